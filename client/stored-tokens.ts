import { addMsat } from '../node/msat.ts';
import { accountKey } from './account-tokens.ts';
import type { PaidToken } from './buyer.ts';
import { hasRoom, holdToken } from './hold-token.ts';
import type { Offer } from './read-offer.ts';
import { scopeMatch, type TokenRecord } from './token-store.ts';
import { MAX_PLACES, type Shop, type Visit } from './visit.ts';

/**
 * Stored tokens that one request tries before it buys. Each try that fails costs the server an invoice. The last one is kept for what an
 * offer names: without an offer, those of other services in the same folder are tried too.
 */
const MAX_STORED_TRIES = 3;

/** Puts a token of the service of an address before all that are only near. */
const OF_ITS_SERVICE = 100_000;

/** Notes which service an offer was for: the next request to the same address tries a token of it first, and none in vain. */
export function noteService({ services }: Shop, { url, quote }: Offer): void {
  const place = placeOf(url);
  services.delete(place);
  if (quote.service !== '') services.set(place, quote.service);
  const [oldest] = services.keys();
  if (services.size > MAX_PLACES && oldest !== undefined) services.delete(oldest);
}

function placeOf({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}

/** Takes the best stored token that was not tried in hand: for the offered service, else for the URL; the newest of equals. */
export async function findStored(
  shop: Shop,
  state: Visit,
  offer: Offer | undefined,
): Promise<PaidToken | undefined> {
  const { url, headers } = state.request;
  if (headers.has('authorization')) return undefined;
  // Whoever brings a key of their own wants an answer again that was lost; the token that paid for it may be spent.
  const wantsLostAnswer = headers.has('idempotency-key') && offer === undefined;
  const service = shop.services.get(placeOf(url));
  let best: PaidToken | undefined;
  let bestMatch = -1;
  const records = await shop.store.list(url.origin);
  if (state.isOver) return undefined;
  for (const record of records) {
    if (!isPaid(record) || state.tried.has(record.paymentHash)) continue;
    if (!isNew(state, record) && !mayTry(state, record, offer)) continue;
    if (record.state.kind === 'spent' && !wantsLostAnswer) continue;
    if (record.validUntilSec !== undefined && record.validUntilSec * 1000 <= shop.clock.nowMs()) continue;
    if (!wantsLostAnswer && !hasRoom(shop, record)) continue;
    const near = matchOf(record, url, offer);
    const match = near >= 0 && record.service === service ? near + OF_ITS_SERVICE : near;
    if (match >= 0 && match >= bestMatch) [best, bestMatch] = [record, match];
  }
  if (best === undefined) return undefined;
  if (!isNew(state, best)) state.storedTries += 1;
  holdToken(shop, state, best);
  shop.emit({ type: 'reusing', paymentHash: best.paymentHash, service: best.service });
  return best;
}

/** Bought by another request while this one was on its way. */
function isNew({ beganAtMs }: Visit, { createdAtMs }: TokenRecord): boolean {
  return createdAtMs >= beganAtMs;
}

function mayTry({ storedTries, lacking }: Visit, record: TokenRecord, offer: Offer | undefined): boolean {
  const most = offer === undefined ? MAX_STORED_TRIES - 1 : MAX_STORED_TRIES;
  return storedTries < most && !lacking.has(accountKey(record));
}

function matchOf(record: TokenRecord, url: URL, offer: Offer | undefined): number {
  if (offer !== undefined && offer.quote.service !== '')
    return record.service === offer.quote.service ? 0 : -1;
  return scopeMatch(record, url.pathname);
}

/** Finishes what an earlier request, perhaps of a process that died, began to buy for the same thing. */
export async function resumePending(shop: Shop, state: Visit, offer: Offer): Promise<PaidToken | undefined> {
  const { url } = state.request;
  for (const record of await shop.store.list(url.origin)) {
    if (record.state.kind !== 'pending' || shop.buyer.isBuying(record.paymentHash)) continue;
    if (matchOf(record, url, offer) < 0) continue;
    const purchase = await shop.buyer.resume(record, addMsat(state.paidMsat, state.feeMsat));
    if (purchase === undefined) continue;
    if (!shop.users.has(record.paymentHash)) shop.users.set(record.paymentHash, 0);
    holdToken(shop, state, purchase.token);
    state.bought.add(purchase.token.paymentHash);
    if (!purchase.recovered) {
      state.paidMsat = addMsat(state.paidMsat, purchase.amountMsat);
      state.feeMsat = addMsat(state.feeMsat, purchase.feeMsat);
    }
    return purchase.token;
  }
  return undefined;
}

function isPaid(record: TokenRecord): record is PaidToken {
  return record.state.kind !== 'pending';
}
