import { messageOf, type PaidToken } from './buyer.ts';
import { readMacaroonTerms } from './macaroon-terms.ts';
import type { TokenRecord } from './token-store.ts';
import type { Shop } from './visit.ts';

/** What tells one account from another: by its name in the macaroon, or else by the token. */
export function accountKey(token: TokenRecord): string {
  return `${token.origin} ${accountNameOf(token) ?? token.paymentHash}`;
}

/** A newer token of the same account in the store: another stream or process has topped it up. */
export async function findNewer(shop: Shop, token: PaidToken): Promise<PaidToken | undefined> {
  const name = accountNameOf(token);
  const endsAtSec = token.validUntilSec ?? Infinity;
  for (const record of (await shop.store.list(token.origin)).toReversed()) {
    if (record.state.kind !== 'ready' || name === undefined || accountNameOf(record) !== name) continue;
    if ((record.validUntilSec ?? Infinity) > endsAtSec) return { ...record, state: record.state };
  }
  return undefined;
}

/**
 * The older tokens of the account spend from the same balance and end sooner: they are of no more use, and a stream that
 * tops up each minute would pile them up. They are kept for a while, as used-up ones are.
 */
export async function retireOlder(shop: Shop, newest: PaidToken): Promise<void> {
  const name = accountNameOf(newest);
  if (name === undefined) return;
  const nowMs = shop.clock.nowMs();
  try {
    for (const record of await shop.store.list(newest.origin)) {
      const isOlder = (record.validUntilSec ?? Infinity) <= (newest.validUntilSec ?? Infinity);
      if (record.paymentHash === newest.paymentHash || accountNameOf(record) !== name || !isOlder) continue;
      await shop.store.update(record.paymentHash, (old) => retire(old, nowMs));
    }
    await shop.store.update(newest.paymentHash, (record) => ({ ...record, acceptedAtMs: nowMs }));
  } catch (error) {
    shop.emit({ type: 'store-failed', message: messageOf(error) });
  }
}

function retire(record: TokenRecord, nowMs: number): TokenRecord {
  if (record.state.kind !== 'ready') return record;
  const { preimage } = record.state;
  return {
    ...record,
    acceptedAtMs: record.acceptedAtMs ?? nowMs,
    state: { kind: 'spent', preimage, spentAtMs: nowMs },
  };
}

/** Service and account of a token; `undefined` when its macaroon does not say. */
export function accountNameOf({ macaroon, service }: TokenRecord): string | undefined {
  const { account } = readMacaroonTerms(macaroon);
  return account === undefined ? undefined : `${service} ${account}`;
}
