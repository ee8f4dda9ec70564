import type { Msat } from '../node/msat.ts';
import { type AccountReport, readAccountReport } from './account-report.ts';
import type { PaidToken } from './buyer.ts';
import { authorizationOf } from './purchase-record.ts';
import { readJsonBody } from './read-json.ts';
import { retryAfterMsOf } from './retry-after.ts';
import { startTimeLimit } from './time-limit.ts';
import type { Shop } from './visit.ts';

/** The account behind a token, for as long as it is used: `token` becomes the newest one that the gateway has accepted. */
export interface PaidAccount {
  /** What is paid for. New tokens of the account are kept for it. */
  readonly url: URL;
  token: PaidToken;
}

/** Why a gateway did not answer about an account. */
export type AccountErrorKind =
  /** The credential is not (or no longer) good for this, or what was asked makes no sense to the gateway. */
  | 'refused'
  /** The server has no such endpoint. */
  | 'missing'
  /** Nobody answered, or the gateway can't answer just now. */
  | 'unavailable';

/** The gateway did not answer a question about an account. Nothing was paid for asking. */
export class AccountError extends Error {
  readonly kind: AccountErrorKind;
  /** When to ask again, ms from now, if the gateway said so. */
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: AccountErrorKind,
    message: string,
    details: { cause?: unknown; retryAfterMs?: number } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'AccountError';
    this.kind = kind;
    this.retryAfterMs = details.retryAfterMs;
  }
}

const ANSWER_TIMEOUT_MS = 15_000;
const MAX_RETRY_AFTER_MS = 60_000;

/**
 * Asks what is left (`GET /.l402/account`). A token that the gateway has not seen yet opens or credits its account by this.
 * @param token - another token of the account than its newest
 * @throws {@link AccountError}
 */
export async function askAccount(
  shop: Shop,
  account: PaidAccount,
  token: PaidToken = account.token,
  signal?: AbortSignal,
): Promise<AccountReport> {
  const response = await ask(shop, account, '/.l402/account', { headers: headersOf(token) }, signal);
  const report = readAccountReport(await readJsonBody(response, shop.clock), shop.clock.nowMs());
  if (report === undefined)
    throw new AccountError('missing', 'The server does not tell what is left on an account.');
  return report;
}

/**
 * Asks for an invoice that adds to the account (`POST /.l402/topup`).
 * @returns an answer that `readOffer` reads
 * @throws {@link AccountError}
 */
export function askTopUp(
  shop: Shop,
  account: PaidAccount,
  amountMsat: Msat,
  signal?: AbortSignal,
): Promise<Response> {
  const headers = { ...headersOf(account.token), 'content-type': 'application/json' };
  const init = { method: 'POST', headers, body: JSON.stringify({ amountMsat }) };
  return ask(shop, account, '/.l402/topup', init, signal);
}

/**
 * Opens the account's event feed (`GET /.l402/account/events`). It has no end of its own; `signal` ends it.
 * @throws {@link AccountError} `missing` when there is none
 */
export async function openAccountFeed(
  shop: Shop,
  account: PaidAccount,
  signal: AbortSignal,
): Promise<Response> {
  const headers = { ...headersOf(account.token), accept: 'text/event-stream' };
  const response = await ask(
    shop,
    account,
    '/.l402/account/events',
    { headers, cache: 'no-store' },
    signal,
    'stream',
  );
  if (/^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')) return response;
  await response.body?.cancel().catch(() => undefined);
  throw new AccountError('missing', 'The server has no feed of the account.');
}

function headersOf({ scheme, macaroon, state }: PaidToken): Record<string, string> {
  return { authorization: authorizationOf(scheme, macaroon, state.preimage), accept: 'application/json' };
}

async function ask(
  shop: Shop,
  { url }: PaidAccount,
  path: string,
  init: RequestInit,
  signal: AbortSignal | undefined,
  kind: 'answer' | 'stream' = 'answer',
): Promise<Response> {
  // Bounds the wait for the head of the answer; its body is bounded by whoever reads it.
  const limit = startTimeLimit(shop.clock, ANSWER_TIMEOUT_MS);
  const signals = signal === undefined ? [limit.signal] : [limit.signal, signal];
  let response: Response;
  try {
    // A redirect would carry the credential to another address.
    response = await shop.fetch(`${url.origin}${path}`, {
      ...init,
      redirect: 'error',
      signal: AbortSignal.any(signals),
    });
  } catch (cause) {
    throw new AccountError('unavailable', 'The gateway could not be asked about the account.', { cause });
  } finally {
    limit.stop();
  }
  if (response.ok && (kind === 'stream' || response.status === 200)) return response;
  throw await refusalOf(shop, response);
}

async function refusalOf(shop: Shop, response: Response): Promise<AccountError> {
  const { status } = response;
  await readJsonBody(response, shop.clock);
  if (status === 404 || status === 405 || status === 501) {
    return new AccountError('missing', `The server answered ${status}: it has no such endpoint.`);
  }
  if (status >= 500 || status === 429 || status === 408) {
    const retryAfterMs = retryAfterMsOf(response);
    return new AccountError(
      'unavailable',
      `The gateway answered ${status}.`,
      retryAfterMs === undefined ? {} : { retryAfterMs: Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) },
    );
  }
  return new AccountError('refused', `The gateway answered ${status} to the credential.`);
}
