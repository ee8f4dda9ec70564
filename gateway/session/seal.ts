import { createCipheriv, createDecipheriv, hash, hkdfSync, randomBytes } from 'node:crypto';
import type { HeldCredential } from './table.ts';

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** What a sealed session may take, bytes: credentials are hundreds of bytes, and a shelf is shared by all. */
export const MAX_SEALED_BYTES = 16_384;

/** The name under which a session is kept: it tells nothing of the id. 64 hex digits. */
export function sessionKey(id: string): string {
  return hash('sha256', id, 'hex');
}

/**
 * Encrypts what a session stands for, under a key that only the holder of its id can make: AES-256-GCM, with the session's name bound
 * in. A copy of the store is worth nothing without the cookies.
 */
export function seal(id: string, held: readonly HeldCredential[]): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', cipherKey(id), nonce);
  cipher.setAAD(Buffer.from(sessionKey(id)));
  const text = JSON.stringify(held.map(write));
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([Buffer.of(VERSION), nonce, cipher.getAuthTag(), body]);
}

/** The reverse of {@link seal}; empty for what was not sealed under this id, or by a version that wrote another form. */
export function unseal(id: string, sealed: Buffer): readonly HeldCredential[] {
  const bodyAt = 1 + NONCE_BYTES + TAG_BYTES;
  if (sealed.length <= bodyAt || sealed.length > MAX_SEALED_BYTES || sealed[0] !== VERSION) return [];
  const decipher = createDecipheriv('aes-256-gcm', cipherKey(id), sealed.subarray(1, 1 + NONCE_BYTES));
  decipher.setAAD(Buffer.from(sessionKey(id)));
  decipher.setAuthTag(sealed.subarray(1 + NONCE_BYTES, bodyAt));
  try {
    const text = Buffer.concat([decipher.update(sealed.subarray(bodyAt)), decipher.final()]).toString('utf8');
    return read(JSON.parse(text));
  } catch {
    return [];
  }
}

function cipherKey(id: string): Buffer {
  return Buffer.from(hkdfSync('sha256', id, '', 'sluice/session/v1', 32));
}

type Written = readonly [
  service: string,
  accountId: string,
  validUntilSec: number,
  preimage: string | null,
  macaroons: readonly string[],
];

function write({ service, accountId, validUntilSec, candidate }: HeldCredential): Written {
  return [service, accountId, validUntilSec, candidate.preimage ?? null, candidate.macaroons];
}

function read(value: unknown): readonly HeldCredential[] {
  if (!Array.isArray(value)) return [];
  const held = value.map(readOne);
  return held.every((one) => one !== undefined) ? held : [];
}

function readOne(value: unknown): HeldCredential | undefined {
  if (!Array.isArray(value) || value.length !== 5) return undefined;
  const [service, accountId, validUntilSec, preimage, macaroons]: readonly unknown[] = value;
  if (typeof service !== 'string' || typeof accountId !== 'string') return undefined;
  if (typeof validUntilSec !== 'number' || !isTexts(macaroons)) return undefined;
  if (preimage !== null && typeof preimage !== 'string') return undefined;
  // Equal keys mean equal macaroons and preimages, which is all that is asked of it.
  const cacheKey = `${macaroons.join(',')}:${preimage ?? ''}`;
  const candidate = { macaroons, cacheKey, ...(preimage === null ? {} : { preimage }) };
  return { service, accountId, validUntilSec, candidate };
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
