import assert from 'node:assert/strict';
import { CLAIM_GRACE_SEC } from '../../../gateway/ledger/store.ts';
import { msat } from '../../../node/msat.ts';
import {
  ALICE,
  accountOf,
  assertStoreError,
  BOB,
  type ContractTest,
  claimOf,
  DAY_SEC,
  fund,
  hash,
  purgeAll,
} from './subject.ts';

/** Purge, its watermark, clocks that jump, and stores that are opened again. */
export function timeContract(it: ContractTest): void {
  it('a claim is kept a day past its end and then purged, and the verdict on it is the same throughout', async (subject) => {
    const { store, clock, backend } = subject;
    const claim = claimOf(subject, { expiresAtSec: clock.nowSec() + 100 });
    await store.redeem(claim);
    clock.advanceSec(100);
    assert.deepEqual(await store.redeem(claim), { kind: 'too-late' });
    clock.advanceSec(CLAIM_GRACE_SEC - 1);
    assert.equal((await store.purge()).claims, 0);
    assert.equal((await store.totals()).claims, 1);
    assert.deepEqual(await store.redeem(claim), { kind: 'too-late' });
    clock.advanceSec(1);
    const report = await store.purge();
    assert.equal(report.claims, backend.forgetting === 'timers' ? 0 : 1);
    assert.equal((await store.totals()).claims, 0);
    assert.equal(report.accounts, 1);
    assert.equal(report.watermarkSec, claim.expiresAtSec);
    assert.deepEqual(await store.redeem(claim), { kind: 'too-late' });
  });

  it('the watermark never goes back, and nothing that was over opens again, when the clock is set back', async (subject) => {
    const { store, clock } = subject;
    const old = claimOf(subject, { expiresAtSec: clock.nowSec() + 100 });
    await store.redeem(old);
    await fund(subject, BOB, 500);
    clock.advanceSec(60 * DAY_SEC);
    const { watermarkSec } = await store.purge();
    clock.advanceSec(-90 * DAY_SEC);
    assert.equal((await store.purge()).watermarkSec, watermarkSec);
    assert.deepEqual(await store.redeem(old), { kind: 'too-late' });
    const between = claimOf(subject, { paymentHash: hash(7), expiresAtSec: watermarkSec });
    assert.deepEqual(await store.redeem(between), { kind: 'too-late' });
    assert.equal(
      (await store.spend({ accountId: BOB, key: 'k', amountMsat: msat(1) })).kind,
      'unknown-account',
    );
  });

  it('the store says what its clock is, and that it stays ahead when the machine is set back, over a restart too', async (subject) => {
    const { store, clock, backend } = subject;
    assert.equal(await store.clock(), clock.nowSec());
    clock.advanceSec(DAY_SEC);
    const latest = clock.nowSec();
    await store.purge();
    clock.advanceSec(-DAY_SEC);
    assert.equal(await store.clock(), latest);
    if (!backend.persistent) return;
    await store.close();
    const again = await backend.open();
    subject.reopened(again);
    assert.equal(await again.clock(), latest);
    clock.advanceSec(DAY_SEC + 5);
    assert.equal(await again.clock(), latest + 5);
  });

  it('a new generation takes the clock back, at the next opening, so that what is sold by the right one is taken', async (subject) => {
    const { store, clock, backend } = subject;
    if (!backend.persistent) return;
    clock.advanceSec(365 * DAY_SEC);
    await store.purge();
    clock.advanceSec(-365 * DAY_SEC);
    assert.deepEqual(await store.claim(claimOf(subject)), { kind: 'too-late' });
    await store.newGeneration();
    await store.close();
    const again = await backend.open();
    subject.reopened(again);
    assert.equal(await again.clock(), clock.nowSec());
    assert.deepEqual(await again.claim(claimOf(subject)), { kind: 'claimed' });
    await again.purge();
    assert.equal(await again.purgeWatermark(), clock.nowSec() - CLAIM_GRACE_SEC);
  });

  it('an account that was refused as expired stays so when the clock is set back', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 500);
    clock.advanceSec(30 * DAY_SEC);
    const spend = { accountId: ALICE, key: 'k', amountMsat: msat(1) };
    assert.deepEqual(await store.spend(spend), { kind: 'expired' });
    clock.advanceSec(-DAY_SEC);
    assert.deepEqual(await store.spend(spend), { kind: 'expired' });
    assert.equal((await accountOf(store, ALICE)).expiredMsat, 500);
  });

  it('purge expires balances once and leaves the living alone', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 700);
    clock.advanceSec(DAY_SEC);
    await fund(subject, BOB, 300);
    clock.advanceSec(29 * DAY_SEC);
    assert.equal((await store.purge()).expiredMsat, 700);
    assert.equal((await store.purge()).expiredMsat, 0);
    const totals = await store.totals();
    assert.equal(totals.expiredMsat, 700);
    assert.equal(totals.balanceMsat, 300);
    assert.equal(totals.accounts, 2);
    clock.advanceSec(DAY_SEC);
    const report = await store.purge();
    assert.equal(report.accounts, 1);
    assert.equal(report.expiredMsat, 300);
    assert.equal(await store.account(ALICE), undefined);
  });

  it('purge does a bounded part of the work and says that there is more', async (subject) => {
    const { store, clock } = subject;
    await Promise.all(
      Array.from({ length: 2_100 }, (_, n) =>
        store.redeem(claimOf(subject, { paymentHash: hash(n), accountId: hash(n) })),
      ),
    );
    clock.advanceSec(31 * DAY_SEC);
    const first = await store.purge();
    assert.equal(first.more, true);
    assert.ok(first.accounts > 0 && first.accounts < 2_100);
    await purgeAll(store);
    const totals = await store.totals();
    assert.equal(totals.accounts, 0);
    assert.equal(totals.claims, 0);
  });

  it('everything is there after the store is closed and opened again', async (subject) => {
    const { store, clock, backend } = subject;
    if (!backend.persistent) return;
    const claim = claimOf(subject);
    const untilSec = clock.nowSec() + DAY_SEC;
    await store.redeem(claim);
    await store.spend({ accountId: ALICE, key: 'k', amountMsat: msat(4_000) });
    await store.revoke(BOB, untilSec);
    await store.admitMasterKeys([hash(1)]);
    await store.advanceSettlementCursor(12);
    await store.purge();
    const generation = await store.generation();
    const epoch = await store.nextEpoch();
    const before = await accountOf(store, ALICE);
    await store.close();
    clock.advanceSec(-100);
    const again = await backend.open();
    try {
      assert.equal(await again.generation(), generation);
      assert.equal(await again.nextEpoch(), epoch + 1);
      assert.deepEqual(await again.account(ALICE), before);
      assert.deepEqual(await again.redeem(claim), { kind: 'repeated' });
      const spend = { accountId: ALICE, key: 'k', amountMsat: msat(4_000) };
      assert.deepEqual(await again.spend(spend), { kind: 'repeated', balanceMsat: 6_000 });
      assert.deepEqual(await again.admitMasterKeys([hash(2)]), { kind: 'unknown' });
      assert.equal(await again.settlementCursor(), 12);
      assert.equal((await again.revocationsAfter(0)).length, 1);
      const passed = claimOf(subject, { paymentHash: hash(8), expiresAtSec: clock.nowSec() + 50 });
      assert.deepEqual(await again.claim(passed), { kind: 'too-late' });
    } finally {
      await again.close();
    }
    subject.reopened(await backend.open());
  });

  it('a closed store is unavailable, and closing it twice is harmless', async (subject) => {
    const { store, backend } = subject;
    const queued = store.redeem(claimOf(subject));
    await Promise.all([store.close(), store.close()]);
    assert.deepEqual(await queued, { kind: 'claimed' });
    await assertStoreError('unavailable', store.ping());
    await assertStoreError('unavailable', store.spend({ accountId: ALICE, key: 'k', amountMsat: msat(1) }));
    subject.reopened(await backend.open());
  });
}
