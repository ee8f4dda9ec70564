import assert from 'node:assert/strict';
import { type Attempt, MAX_FREE_RETRIES, SPEND_KEY_TTL_SEC } from '../../../gateway/ledger/store.ts';
import { msat } from '../../../node/msat.ts';
import { ALICE, BOB, balanceOf, type ContractTest, DAY_SEC, fund, hash, purgeAll } from './subject.ts';

function attemptOf(change: Partial<Attempt> = {}): Attempt {
  return {
    accountId: ALICE,
    key: hash(0x77),
    amountMsat: msat(1_000),
    fingerprint: hash(0x88),
    inFlightSec: 60,
    ...change,
  };
}

const KEY = attemptOf().key;

/** Requests with an Idempotency-Key. */
export function attemptContract(it: ContractTest): void {
  it('a first attempt is charged, and a second while it is under way is in flight', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 5_000);
    assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'spent', balanceMsat: 4_000 });
    assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'in-flight' });
    assert.equal(await balanceOf(store, ALICE), 4_000);
  });

  it('the key of another request is a mismatch, in every state', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 5_000);
    await store.beginAttempt(attemptOf());
    const other = attemptOf({ fingerprint: hash(0x99) });
    assert.deepEqual(await store.beginAttempt(other), { kind: 'mismatch' });
    await store.endAttempt(ALICE, KEY, 'delivered');
    assert.deepEqual(await store.beginAttempt(other), { kind: 'mismatch' });
  });

  it('an undelivered answer may be fetched again free of charge, but not for ever', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 2_000);
    await store.beginAttempt(attemptOf());
    for (let retry = 0; retry < MAX_FREE_RETRIES; retry += 1) {
      await store.endAttempt(ALICE, KEY, 'undelivered');
      assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'free', balanceMsat: 1_000 });
      assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'in-flight' });
    }
    await store.endAttempt(ALICE, KEY, 'undelivered');
    assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'spent', balanceMsat: 0 });
    await store.endAttempt(ALICE, KEY, 'undelivered');
    assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'free', balanceMsat: 0 });
  });

  it('a delivered answer is charged again', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_500);
    await store.beginAttempt(attemptOf());
    await store.endAttempt(ALICE, KEY, 'delivered');
    assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'insufficient', balanceMsat: 500 });
  });

  it('a refund gives the money back once and forgets the key', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    await store.beginAttempt(attemptOf());
    assert.deepEqual(await store.endAttempt(ALICE, KEY, 'refunded'), { kind: 'ended' });
    assert.deepEqual(await store.endAttempt(ALICE, KEY, 'refunded'), { kind: 'unknown' });
    assert.equal(await balanceOf(store, ALICE), 1_000);
    assert.deepEqual(await store.beginAttempt(attemptOf({ fingerprint: hash(0x99) })), {
      kind: 'spent',
      balanceMsat: 0,
    });
  });

  it('a free retry that is refunded gives back nothing and does not count', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    await store.beginAttempt(attemptOf());
    await store.endAttempt(ALICE, KEY, 'undelivered');
    for (let failure = 0; failure < 5; failure += 1) {
      assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'free', balanceMsat: 0 });
      await store.endAttempt(ALICE, KEY, 'refunded');
      assert.equal(await balanceOf(store, ALICE), 0);
    }
    for (let retry = 0; retry < MAX_FREE_RETRIES; retry += 1) {
      assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'free', balanceMsat: 0 });
      await store.endAttempt(ALICE, KEY, 'undelivered');
    }
    assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'insufficient', balanceMsat: 0 });
  });

  it('only an attempt in flight can end, and only for its own account', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    await fund(subject, BOB, 1_000);
    await store.endAttempt(ALICE, KEY, 'refunded');
    await store.beginAttempt(attemptOf());
    await store.endAttempt(BOB, KEY, 'refunded');
    await store.endAttempt(hash(0xdead), KEY, 'refunded');
    await store.endAttempt(ALICE, KEY, 'delivered');
    await store.endAttempt(ALICE, KEY, 'refunded');
    assert.equal(await balanceOf(store, ALICE), 0);
    assert.equal(await balanceOf(store, BOB), 1_000);
  });

  it('an attempt whose gateway died counts as undelivered', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 1_000);
    await store.beginAttempt(attemptOf());
    clock.advanceSec(59);
    assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'in-flight' });
    clock.advanceSec(1);
    assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'free', balanceMsat: 0 });
  });

  it('a key is too old after its time, purged or not', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 3_000);
    await store.beginAttempt(attemptOf());
    await store.endAttempt(ALICE, KEY, 'undelivered');
    clock.advanceSec(SPEND_KEY_TTL_SEC);
    assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'spent', balanceMsat: 1_000 });
    await store.endAttempt(ALICE, KEY, 'undelivered');
    clock.advanceSec(SPEND_KEY_TTL_SEC - 1);
    await purgeAll(store);
    assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'free', balanceMsat: 1_000 });
    await store.endAttempt(ALICE, KEY, 'undelivered');
    clock.advanceSec(SPEND_KEY_TTL_SEC);
    await purgeAll(store);
    assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'spent', balanceMsat: 0 });
  });

  it('of a hundred equal attempts at once one is charged and the others are in flight', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 500_000);
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => store.beginAttempt(attemptOf())));
    assert.equal(outcomes.filter(({ kind }) => kind === 'spent').length, 1);
    assert.equal(outcomes.filter(({ kind }) => kind === 'in-flight').length, 99);
    assert.equal(await balanceOf(store, ALICE), 499_000);
  });

  it('a revoked or expired account gets no free retry either', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 1_000);
    await fund(subject, BOB, 1_000);
    const bobs = attemptOf({ accountId: BOB, key: hash(0x78) });
    clock.advanceSec(30 * DAY_SEC - 1);
    await store.beginAttempt(attemptOf());
    await store.beginAttempt(bobs);
    await store.endAttempt(ALICE, KEY, 'undelivered');
    await store.endAttempt(BOB, bobs.key, 'undelivered');
    await store.revoke(ALICE, clock.nowSec() + DAY_SEC);
    assert.deepEqual(await store.beginAttempt(attemptOf()), { kind: 'revoked' });
    clock.advanceSec(1);
    assert.deepEqual(await store.beginAttempt(bobs), { kind: 'expired' });
    assert.deepEqual(await store.beginAttempt(attemptOf({ accountId: hash(9), key: hash(0x79) })), {
      kind: 'unknown-account',
    });
  });
}
