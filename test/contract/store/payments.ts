import assert from 'node:assert/strict';
import { CLAIM_GRACE_SEC } from '../../../gateway/ledger/store.ts';
import { msat } from '../../../node/msat.ts';
import {
  ALICE,
  assertStoreError,
  type ContractTest,
  claimOf,
  DAY_SEC,
  fund,
  hash,
  purgeAll,
  SERVICE,
} from './subject.ts';

/** What the books hold of a payment, for reconciliation. */
export function paymentContract(it: ContractTest): void {
  it('what the books hold of each payment is read in the order asked', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 100);
    const claim = claimOf(subject, { paymentHash: hash(1) });
    const pass = claimOf(subject, { paymentHash: hash(2), creditMsat: msat(0) });
    const offer = {
      paymentHash: hash(3),
      accountId: ALICE,
      service: SERVICE,
      amountMsat: msat(5_000),
      invoiceExpiresAtSec: clock.nowSec() + 600,
      creditExpiresAtSec: clock.nowSec() + 40 * DAY_SEC,
    };
    await store.redeem(claim);
    await store.redeem(pass);
    await store.offer(offer, 3);
    const nothing = { claim: undefined, offer: undefined, creditedMsat: undefined, excessMsat: undefined };
    assert.deepEqual(await store.paymentEntries([hash(3), hash(9), hash(2), hash(1)]), [
      { ...nothing, paymentHash: hash(3), offer: { ...offer, settled: false } },
      { ...nothing, paymentHash: hash(9) },
      { ...nothing, paymentHash: hash(2), claim: pass },
      { ...nothing, paymentHash: hash(1), claim, creditedMsat: 10_000 },
    ]);
    await store.settleOffer(hash(3), msat(5_007));
    assert.deepEqual(await store.paymentEntries([hash(3)]), [
      {
        ...nothing,
        paymentHash: hash(3),
        offer: { ...offer, settled: true },
        creditedMsat: 5_000,
        excessMsat: 7,
      },
    ]);
  });

  it('at most a thousand payments are read at once, and nothing else than hashes', async ({ store }) => {
    assert.deepEqual(await store.paymentEntries([]), []);
    const many = Array.from({ length: 1_001 }, (_, n) => hash(n));
    await assertStoreError('invalid', store.paymentEntries(many));
    assert.equal((await store.paymentEntries(many.slice(1))).length, 1_000);
    await assertStoreError('invalid', store.paymentEntries(['abc']));
  });

  it('the purge watermark says since when nothing is forgotten', async (subject) => {
    const { store, clock } = subject;
    assert.equal(await store.purgeWatermark(), 0);
    await store.redeem(claimOf(subject, { paymentHash: hash(1), expiresAtSec: clock.nowSec() + 60 }));
    clock.advanceSec(61 + CLAIM_GRACE_SEC);
    await purgeAll(store);
    assert.equal(await store.purgeWatermark(), clock.nowSec() - CLAIM_GRACE_SEC);
    const [entry] = await store.paymentEntries([hash(1)]);
    assert.equal(entry?.claim ?? entry?.creditedMsat, undefined);
  });
}
