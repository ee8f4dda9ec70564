import { callsOf, readMacaroonTerms } from './macaroon-terms.ts';
import type { TokenRecord } from './token-store.ts';
import type { Shop, Visit } from './visit.ts';

type Held = Pick<TokenRecord, 'paymentHash' | 'macaroon'>;

/**
 * Whether a token has a call left for one more request, as far as is known: one that paid for its call must not find it taken by a
 * request that came later. What is left of a token that nobody holds only the server knows.
 */
export function hasRoom({ holds }: Shop, { paymentHash, macaroon }: Held): boolean {
  const hold = holds.get(paymentHash);
  if (hold === undefined) return true;
  return hold.holders + hold.charged < (callsOf(readMacaroonTerms(macaroon)) ?? Number.POSITIVE_INFINITY);
}

/** Takes a token in hand, in place of the one before. To be called at once after {@link hasRoom}, with nothing awaited in between. */
export function holdToken(shop: Shop, visit: Visit, { paymentHash }: Pick<Held, 'paymentHash'>): void {
  if (visit.held === paymentHash || visit.isOver) return;
  letGo(shop, visit);
  const { holders, charged } = shop.holds.get(paymentHash) ?? { holders: 0, charged: 0 };
  shop.holds.set(paymentHash, { holders: holders + 1, charged });
  visit.held = paymentHash;
  const users = shop.users.get(paymentHash);
  if (users !== undefined) shop.users.set(paymentHash, users + 1);
}

/** Puts the token in hand back: for others, unless it has paid for this request. */
export function letGo({ holds }: Shop, visit: Visit): void {
  const { held } = visit;
  visit.held = undefined;
  const hold = held === undefined ? undefined : holds.get(held);
  if (held === undefined || hold === undefined) return;
  hold.holders -= 1;
  if (visit.isCharged) hold.charged += 1;
  if (hold.holders === 0) holds.delete(held);
}
