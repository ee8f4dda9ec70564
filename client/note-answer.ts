import { formatMsat, type Msat, msat } from '../node/msat.ts';
import { readMeteredRate } from './account-report.ts';
import { accountKey, retireOlder } from './account-tokens.ts';
import { messageOf, type PaidToken } from './buyer.ts';
import { chooseChallenge, parseChallenges } from './challenge.ts';
import { PaymentError } from './errors.ts';
import { type MacaroonTerms, readMacaroonTerms } from './macaroon-terms.ts';
import { scopeMatch, scopeOf, type TokenRecord } from './token-store.ts';
import type { Shop, Visit } from './visit.ts';

const MAX_SCOPES = 64;

/** A refusal counts only where the token was sent: a redirect to another origin left it behind. */
export function wasRefused({ request }: Visit, token: PaidToken, response: Response): boolean {
  if (!isRefusal(response)) return false;
  const final = response.redirected && response.url !== '' ? new URL(response.url) : request.url;
  return final.origin === token.origin;
}

/** The server wants to be paid (again). Some answer 401 in place of 402 to a token that is used up. */
export function isRefusal(response: Response): boolean {
  if (response.status === 402) return !isUpstreams402(response);
  return response.status === 401 && hasChallenge(response);
}

/** What is behind the gateway has answered 402 for reasons of its own: the gateway has taken the token and says what is left. */
export function isUpstreams402(response: Response): boolean {
  return response.status === 402 && !hasChallenge(response) && balanceOf(response) !== undefined;
}

function hasChallenge(response: Response): boolean {
  return parseChallenges(response.headers.get('www-authenticate')).length > 0;
}

/**
 * Notes that the server answered 402 to a token.
 * @throws {@link PaymentError} `paid-but-refused` when this request bought it and nobody else can have used it up.
 */
export async function noteRefusal(
  shop: Shop,
  state: Visit,
  token: PaidToken,
  response: Response,
): Promise<void> {
  const { paymentHash, amountMsat } = token;
  const offered = offeredBy(response);
  if (addsToAccount(offered, token)) {
    // The token holds, and its account too little for this request: what is paid now comes on top, and what is there is kept.
    state.lacking.add(accountKey(token));
    return;
  }
  const users = shop.users.get(paymentHash) ?? 0;
  const wasAccepted = token.acceptedAtMs !== undefined || shop.accepted.has(paymentHash);
  if (wasAccepted || users === 0) {
    // Services may share a folder: what another one does not take still opens its own.
    if (!isOfAnother(offered, token)) await markSpent(shop, token);
    return;
  }
  // Others may have used it up, and their answers are still on the way.
  if (users > 1 || !state.bought.has(paymentHash)) return;
  throw new PaymentError(
    'paid-but-refused',
    `The payment of ${formatMsat(amountMsat)} went through and the server still refuses the request. The token is kept and ` +
      'is tried again with the next request; tell the operator the payment hash if it stays so.',
    { paymentHash, amountMsat },
  );
}

function offeredBy(response: Response): MacaroonTerms {
  const challenge = chooseChallenge(parseChallenges(response.headers.get('www-authenticate')));
  return readMacaroonTerms(challenge?.macaroon ?? '');
}

/** What is sold here is another service than the token was bought for. */
function isOfAnother(offered: MacaroonTerms, token: PaidToken): boolean {
  return offered.service !== undefined && token.service !== '' && offered.service !== token.service;
}

/** The invoice of a 402 is for the very account that the token spends from. A gateway offers that only to a token that holds. */
function addsToAccount(offered: MacaroonTerms, token: PaidToken): boolean {
  const own = readMacaroonTerms(token.macaroon);
  return own.account !== undefined && own.account === offered.account && own.service === offered.service;
}

/** Notes what an answer says about the token that paid for it. */
export async function noteAnswer(
  shop: Shop,
  state: Visit,
  token: PaidToken,
  response: Response,
): Promise<void> {
  shop.accepted.add(token.paymentHash);
  if (state.bought.has(token.paymentHash) && state.lacking.has(accountKey(token)))
    await retireOlder(shop, token);
  const { creditMsat } = readMacaroonTerms(token.macaroon);
  const isCharged = response.status < 500 && response.status !== 429;
  state.isCharged = isCharged;
  // What is charged as it goes has set money aside, and most of it may come back: the next 402 tells when it is used up.
  const isFinal = isCharged && !isMetered(response, token);
  if (creditMsat !== undefined && creditMsat > 0 && isFinal && balanceOf(response) === 0) {
    return markSpent(shop, { ...token, acceptedAtMs: shop.clock.nowMs() });
  }
  const scope = scopeOf(state.request.url.pathname);
  const isKnown = scopeMatch(token, state.request.url.pathname) >= 0;
  if (token.acceptedAtMs !== undefined && isKnown) return;
  await updateQuietly(shop, token.paymentHash, (record) => ({
    ...record,
    acceptedAtMs: record.acceptedAtMs ?? shop.clock.nowMs(),
    scopes: isKnown ? record.scopes : [...record.scopes, scope].slice(-MAX_SCOPES),
  }));
}

function markSpent(shop: Shop, { paymentHash, acceptedAtMs }: PaidToken): Promise<void> {
  const spentAtMs = shop.clock.nowMs();
  shop.users.delete(paymentHash);
  shop.accepted.delete(paymentHash);
  return updateQuietly(shop, paymentHash, (record) => {
    if (record.state.kind !== 'ready') return record;
    const accepted = acceptedAtMs ?? record.acceptedAtMs;
    const { preimage } = record.state;
    return {
      ...record,
      ...(accepted === undefined ? {} : { acceptedAtMs: accepted }),
      state: { kind: 'spent', preimage, spentAtMs },
    };
  });
}

/** Notes about a token are not worth losing an answer for. */
async function updateQuietly(
  shop: Shop,
  paymentHash: string,
  change: (record: TokenRecord) => TokenRecord,
): Promise<void> {
  try {
    await shop.store.update(paymentHash, change);
  } catch (error) {
    shop.emit({ type: 'store-failed', message: messageOf(error) });
  }
}

/**
 * The answer is charged as it is delivered: its head can't say what it will have cost. The price in the token is for servers that do not
 * name today's.
 */
export function isMetered(response: Response, { macaroon }: Pick<PaidToken, 'macaroon'>): boolean {
  const price = response.headers.get('l402-price') ?? readMacaroonTerms(macaroon).price;
  return readMeteredRate(price) !== undefined;
}

/** What the server says is left on the account, msat; of what is charged as it goes, beside what it has set aside for it. */
export function balanceOf(response: Response): Msat | undefined {
  const text = response.headers.get('l402-balance-msat') ?? '';
  return /^\d{1,15}$/.test(text) ? msat(Number(text)) : undefined;
}
