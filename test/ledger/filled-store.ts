import assert from 'node:assert/strict';
import type { Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { DAY_SEC, hash, SERVICE } from '../contract/store/subject.ts';
import type { ManualClock } from '../support/clock.ts';

/** Accounts that {@link fillStore} makes; more than a page of any reader. */
export const FILLED_ACCOUNTS = 1_203;

/** What each of the first accounts of {@link fillStore} is there for. */
export const FILLED = {
  spender: hash(0),
  streamer: hash(1),
  revoked: hash(2),
  toppedUp: hash(3),
  expired: hash(4),
} as const;

/** The payment hash of the n-th account's first credit. */
export function paymentOf(n: number): string {
  return hash(0xf000 + n);
}

/** A top-up that is not paid yet, and one that was paid over. */
export const OPEN_OFFER = hash(0xaaaa);
export const PAID_OFFER = hash(0xbbbb);

/** Does everything to a store that leaves a trace in it. */
export async function fillStore(store: Store, clock: ManualClock): Promise<void> {
  const expiresAtSec = clock.nowSec() + 30 * DAY_SEC;
  await Promise.all(
    Array.from({ length: FILLED_ACCOUNTS }, (_, n) =>
      store.redeem({
        paymentHash: paymentOf(n),
        accountId: hash(n),
        service: SERVICE,
        creditMsat: msat(10_000 + n),
        expiresAtSec: n === 4 ? clock.nowSec() + 5 : expiresAtSec,
      }),
    ),
  );
  const { spender, streamer, revoked, toppedUp } = FILLED;
  await store.spend({ accountId: spender, key: 'k1', amountMsat: msat(1_500) });
  await store.reserve({ accountId: streamer, leaseId: 'l1', amountMsat: msat(4_000), ttlSec: 3_600 });
  await store.commit([
    {
      accountId: streamer,
      leaseId: 'l1',
      slice: 1,
      spendMsat: msat(1_000),
      reserveMsat: msat(500),
      ttlSec: 3_600,
    },
  ]);
  await store.revoke(revoked, expiresAtSec);
  await store.revoke(hash(0xdead), expiresAtSec + 7);
  const offer = {
    accountId: toppedUp,
    service: SERVICE,
    amountMsat: msat(2_000),
    invoiceExpiresAtSec: clock.nowSec() + 600,
    creditExpiresAtSec: expiresAtSec + DAY_SEC,
  };
  assert.deepEqual(await store.offer({ ...offer, paymentHash: OPEN_OFFER }, 5), { kind: 'offered' });
  await store.offer({ ...offer, paymentHash: PAID_OFFER }, 5);
  await store.settleOffer(PAID_OFFER, msat(2_345));
  await store.redeem({
    paymentHash: hash(0xcccc),
    accountId: hash(0xcccc),
    service: SERVICE,
    creditMsat: msat(0),
    expiresAtSec,
  });
  await store.admitMasterKeys(['aa'.repeat(32), 'bb'.repeat(32)]);
  await store.advanceSettlementCursor(77);
  await store.nextEpoch();
  clock.advanceSec(10);
  await store.purge();
}
