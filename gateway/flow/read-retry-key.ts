import { createHash, hash } from 'node:crypto';
import type { Exchange } from './exchange.ts';
import type { BodyOwner, HeldBodies } from './held-bodies.ts';
import type { Grant } from './verify-credential.ts';

/** A request that carries a usable `Idempotency-Key`, its body read. */
export interface Retryable {
  readonly idempotencyKey: string;
  /** Hash of method, full target and body, hex. */
  readonly fingerprint: string;
  readonly body: Buffer | undefined;
}

/** Identifies one request of one account across its retries. */
export interface RetryKey {
  /** Hash of account, service and Idempotency-Key, hex. */
  readonly key: string;
  readonly fingerprint: string;
}

/** Longest body that is read into memory to be hashed, bytes. */
export const MAX_HASHED_BODY_BYTES = 1_048_576;
/** Longest Idempotency-Key that counts, characters. */
const MAX_KEY_LENGTH = 255;

/**
 * Reads the `Idempotency-Key` of a request (draft-ietf-httpapi-idempotency-key-header) and the body that it covers, so that
 * a retry of exactly this request is free. A request with a longer body, or with no Content-Length, has no such key: it is
 * streamed, and charged each time. Called only for a credential that holds: a stranger's body is never read.
 * @param ownerOf - asked only when there is a body to read: it may ask the store
 * @throws GatewayError when the body does not arrive, or has no room
 */
export async function readRetryable(
  bodies: HeldBodies,
  exchange: Exchange,
  ownerOf: () => Promise<BodyOwner>,
): Promise<Retryable | undefined> {
  const { req, target } = exchange;
  const idempotencyKey = req.headers['idempotency-key'];
  if (typeof idempotencyKey !== 'string' || exchange.upgrade !== undefined) return undefined;
  if (idempotencyKey.length === 0 || idempotencyKey.length > MAX_KEY_LENGTH) return undefined;
  const length = bodyLength(exchange);
  if (length === undefined || length > Math.min(MAX_HASHED_BODY_BYTES, exchange.service.maxBodyBytes))
    return undefined;
  const body = length === 0 ? undefined : await bodies.read(exchange, await ownerOf(), length);
  const fingerprint = createHash('sha256')
    .update(`${req.method ?? ''} ${target.host} ${target.path}${target.query}\n`)
    .update(body ?? '')
    .digest('hex');
  return { idempotencyKey, fingerprint, body };
}

/** The key under which the ledger knows this request of this account. */
export function retryKeyOf(retryable: Retryable, grant: Grant): RetryKey {
  const { accountId, service } = grant.minted;
  const key = hash('sha256', `${accountId}\n${service}\n${retryable.idempotencyKey}`, 'hex');
  return { key, fingerprint: retryable.fingerprint };
}

function bodyLength(exchange: Exchange): number | undefined {
  const { headers } = exchange.req;
  if (headers['transfer-encoding'] !== undefined) return undefined;
  return headers['content-length'] === undefined ? 0 : Number(headers['content-length']);
}
