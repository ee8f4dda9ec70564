import { addMsat } from '../node/msat.ts';
import type { PaidToken } from './buyer.ts';
import { PaymentError, type PaymentErrorCode } from './errors.ts';
import { hasRoom, holdToken } from './hold-token.ts';
import { isShared } from './macaroon-terms.ts';
import type { Offer } from './read-offer.ts';
import { findStored, resumePending } from './stored-tokens.ts';
import { scopeOf } from './token-store.ts';
import type { Shop, Visit } from './visit.ts';

/** After these nobody else shall try it at once: the same person would be asked again, or something else be paid in its place. */
const FINAL: ReadonlySet<PaymentErrorCode> = new Set(['declined', 'payment-unknown']);
/** Failures of the wallet and of the store, which are the same for all: so many while a request waits, and it fails with the last. */
const OF_ALL: ReadonlySet<PaymentErrorCode> = new Set(['wallet-failed', 'payment-failed', 'store-failed']);
const MAX_FAILURES = 2;

/**
 * Takes a token for an offer in hand: one that is stored and not tried yet, one whose payment an earlier request began, else a new one.
 * When it serves more than one request, parallel requests wait for one purchase; those whom it does not serve go on with the next one.
 * @throws {@link PaymentError}
 */
export async function acquireToken(shop: Shop, visit: Visit, offer: Offer): Promise<PaidToken> {
  if (!isShared(offer.terms)) return findOrBuy(shop, visit, offer);
  const key = flightKey(offer);
  for (let failures = 0; ; ) {
    const flying = shop.flights.get(key);
    if (flying === undefined) return lead(shop, key, visit, offer);
    try {
      const token = await flying.purchase;
      visit.request.signal?.throwIfAborted();
      if (visit.tried.has(token.paymentHash) || !hasRoom(shop, token)) continue;
      holdToken(shop, visit, token);
      return token;
    } catch (error) {
      visit.request.signal?.throwIfAborted();
      if (!(error instanceof PaymentError)) continue;
      if (FINAL.has(error.code)) throw error;
      // Every other failure is that request's own, such as its budget; this one leads now if it is the first.
      if (!OF_ALL.has(error.code)) continue;
      failures += 1;
      if (failures >= MAX_FAILURES) throw error;
    }
  }
}

function flightKey({ url, quote }: Offer): string {
  return `${url.origin} ${quote.service === '' ? scopeOf(url.pathname) : quote.service}`;
}

function lead(shop: Shop, key: string, visit: Visit, offer: Offer): Promise<PaidToken> {
  // Set before anything is awaited: whoever comes next finds it.
  const purchase = findOrBuy(shop, visit, offer).finally(() => shop.flights.delete(key));
  const { origin, pathname } = offer.url;
  shop.flights.set(key, { purchase, offer: { origin, scope: scopeOf(pathname) } });
  return purchase;
}

async function findOrBuy(shop: Shop, visit: Visit, offer: Offer): Promise<PaidToken> {
  const stored = await findStored(shop, visit, offer);
  if (stored !== undefined) return stored;
  const resumed = await resumePending(shop, visit, offer);
  if (resumed !== undefined) return resumed;
  if (visit.bought.size >= shop.maxPurchases) {
    throw new PaymentError(
      'too-many-purchases',
      `This request has bought ${visit.bought.size} times and is still asked to pay. What was bought is kept.`,
    );
  }
  visit.request.signal?.throwIfAborted();
  return buyAndHold(shop, visit, offer);
}

/** In hand before it is bought: from the moment it is in the store others may look for one. */
async function buyAndHold(shop: Shop, visit: Visit, offer: Offer): Promise<PaidToken> {
  const { paymentHash } = offer.quote;
  shop.users.set(paymentHash, 0);
  holdToken(shop, visit, offer.quote);
  try {
    const alreadyMsat = addMsat(visit.paidMsat, visit.feeMsat);
    const { token, amountMsat, feeMsat } = await shop.buyer.buy(offer, alreadyMsat);
    visit.bought.add(paymentHash);
    visit.paidMsat = addMsat(visit.paidMsat, amountMsat);
    visit.feeMsat = addMsat(visit.feeMsat, feeMsat);
    return token;
  } catch (error) {
    shop.users.delete(paymentHash);
    throw error;
  }
}
