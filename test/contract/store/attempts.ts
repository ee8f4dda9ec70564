import assert from 'node:assert/strict';
import {
  type Attempt,
  type AttemptEnd,
  type AttemptEndOutcome,
  type AttemptOutcome,
  MAX_FREE_RETRIES,
  SPEND_KEY_TTL_SEC,
  type Store,
} from '../../../gateway/ledger/store.ts';
import { msat } from '../../../node/msat.ts';
import { ALICE, BOB, balanceOf, type ContractTest, DAY_SEC, fund, hash, purgeAll } from './subject.ts';

let tries = 0;

/** Another try of the same request. */
function attemptOf(change: Partial<Attempt> = {}): Attempt {
  tries += 1;
  return {
    accountId: ALICE,
    key: hash(0x77),
    attemptId: `try ${tries}`,
    amountMsat: msat(1_000),
    fingerprint: hash(0x88),
    inFlightSec: 60,
    ...change,
  };
}

/** By account: the try that is under way. */
const underWay = new Map<string, Attempt>();

async function begin(store: Store, change: Partial<Attempt> = {}): Promise<AttemptOutcome> {
  const attempt = attemptOf(change);
  const outcome = await store.beginAttempt(attempt);
  if (outcome.kind === 'spent' || outcome.kind === 'free') underWay.set(attempt.accountId, attempt);
  return outcome;
}

/** Ends the try that the account has under way. */
async function end(store: Store, how: AttemptEnd, accountId = ALICE): Promise<AttemptEndOutcome> {
  return store.endAttempt(underWay.get(accountId) ?? assert.fail('nothing is under way'), how);
}

/** Requests with an Idempotency-Key. */
export function attemptContract(it: ContractTest): void {
  retryContract(it);
  lostAttemptContract(it);
}

function retryContract(it: ContractTest): void {
  it('a first attempt is charged, and a second while it is under way is in flight', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 5_000);
    assert.deepEqual(await begin(store), { kind: 'spent', balanceMsat: 4_000 });
    assert.deepEqual(await begin(store), { kind: 'in-flight' });
    assert.equal(await balanceOf(store, ALICE), 4_000);
  });

  it('the key of another request is a mismatch, in every state', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 5_000);
    await begin(store);
    const other = { fingerprint: hash(0x99) };
    assert.deepEqual(await begin(store, other), { kind: 'mismatch' });
    await end(store, 'delivered');
    assert.deepEqual(await begin(store, other), { kind: 'mismatch' });
  });

  it('an undelivered answer may be fetched again free of charge, but not for ever', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 2_000);
    await begin(store);
    for (let retry = 0; retry < MAX_FREE_RETRIES; retry += 1) {
      await end(store, 'undelivered');
      assert.deepEqual(await begin(store), { kind: 'free', balanceMsat: 1_000 });
      assert.deepEqual(await begin(store), { kind: 'in-flight' });
    }
    await end(store, 'undelivered');
    assert.deepEqual(await begin(store), { kind: 'spent', balanceMsat: 0 });
    await end(store, 'undelivered');
    assert.deepEqual(await begin(store), { kind: 'free', balanceMsat: 0 });
  });

  it('a delivered answer is charged again', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_500);
    await begin(store);
    await end(store, 'delivered');
    assert.deepEqual(await begin(store), { kind: 'insufficient', balanceMsat: 500 });
  });

  it('a refund gives the money back once and forgets the key', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    await begin(store);
    assert.deepEqual(await end(store, 'refunded'), { kind: 'ended' });
    assert.deepEqual(await end(store, 'refunded'), { kind: 'unknown' });
    assert.equal(await balanceOf(store, ALICE), 1_000);
    assert.deepEqual(await begin(store, { fingerprint: hash(0x99) }), {
      kind: 'spent',
      balanceMsat: 0,
    });
  });

  it('a free retry that is refunded gives back nothing and does not count', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    await begin(store);
    await end(store, 'undelivered');
    for (let failure = 0; failure < 5; failure += 1) {
      assert.deepEqual(await begin(store), { kind: 'free', balanceMsat: 0 });
      await end(store, 'refunded');
      assert.equal(await balanceOf(store, ALICE), 0);
    }
    for (let retry = 0; retry < MAX_FREE_RETRIES; retry += 1) {
      assert.deepEqual(await begin(store), { kind: 'free', balanceMsat: 0 });
      await end(store, 'undelivered');
    }
    assert.deepEqual(await begin(store), { kind: 'insufficient', balanceMsat: 0 });
  });

  it('only a try in flight can end, and only under its own name and account', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    await fund(subject, BOB, 1_000);
    const attempt = attemptOf();
    await store.endAttempt(attempt, 'refunded');
    await store.beginAttempt(attempt);
    for (const accountId of [BOB, hash(0xdead)]) {
      assert.deepEqual(await store.endAttempt({ ...attempt, accountId }, 'refunded'), { kind: 'unknown' });
    }
    assert.deepEqual(await store.endAttempt(attemptOf(), 'refunded'), { kind: 'unknown' });
    assert.deepEqual(await store.endAttempt(attempt, 'delivered'), { kind: 'ended' });
    assert.deepEqual(await store.endAttempt(attempt, 'refunded'), { kind: 'unknown' });
    assert.equal(await balanceOf(store, ALICE), 0);
    assert.equal(await balanceOf(store, BOB), 1_000);
  });

  it('an attempt whose gateway died counts as undelivered', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 1_000);
    await begin(store);
    clock.advanceSec(59);
    assert.deepEqual(await begin(store), { kind: 'in-flight' });
    clock.advanceSec(1);
    assert.deepEqual(await begin(store), { kind: 'free', balanceMsat: 0 });
  });

  it('a key is too old after its time, purged or not', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 3_000);
    await begin(store);
    await end(store, 'undelivered');
    clock.advanceSec(SPEND_KEY_TTL_SEC);
    assert.deepEqual(await begin(store), { kind: 'spent', balanceMsat: 1_000 });
    await end(store, 'undelivered');
    clock.advanceSec(SPEND_KEY_TTL_SEC - 1);
    await purgeAll(store);
    assert.deepEqual(await begin(store), { kind: 'free', balanceMsat: 1_000 });
    await end(store, 'undelivered');
    clock.advanceSec(SPEND_KEY_TTL_SEC);
    await purgeAll(store);
    assert.deepEqual(await begin(store), { kind: 'spent', balanceMsat: 0 });
  });

  it('of a hundred equal attempts at once one is charged and the others are in flight', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 500_000);
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => begin(store)));
    assert.equal(outcomes.filter(({ kind }) => kind === 'spent').length, 1);
    assert.equal(outcomes.filter(({ kind }) => kind === 'in-flight').length, 99);
    assert.equal(await balanceOf(store, ALICE), 499_000);
  });

  it('a revoked or expired account gets no free retry either', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 1_000);
    await fund(subject, BOB, 1_000);
    const bobs = { accountId: BOB, key: hash(0x78) };
    clock.advanceSec(30 * DAY_SEC - 1);
    await begin(store);
    await begin(store, bobs);
    await end(store, 'undelivered');
    await end(store, 'undelivered', BOB);
    await store.revoke(ALICE, clock.nowSec() + DAY_SEC);
    assert.deepEqual(await begin(store), { kind: 'revoked' });
    clock.advanceSec(1);
    assert.deepEqual(await begin(store, bobs), { kind: 'expired' });
    assert.deepEqual(await begin(store, { accountId: hash(9), key: hash(0x79) }), {
      kind: 'unknown-account',
    });
  });
}

/** Tries whose beginning had no answer. */
function lostAttemptContract(it: ContractTest): void {
  it('a try that is repeated while it is under way is what it was, and is charged once', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    const attempt = attemptOf();
    for (let call = 0; call < 3; call += 1) {
      assert.deepEqual(await store.beginAttempt(attempt), { kind: 'spent', balanceMsat: 0 });
    }
    await store.endAttempt(attempt, 'undelivered');
    assert.deepEqual(await store.beginAttempt(attempt), { kind: 'voided' });
    const retry = attemptOf();
    assert.deepEqual(await store.beginAttempt(retry), { kind: 'free', balanceMsat: 0 });
    assert.deepEqual(await store.beginAttempt(retry), { kind: 'free', balanceMsat: 0 });
  });

  it('a charged try that is voided gives the money back once, and can’t begin again', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    const attempt = attemptOf();
    await store.beginAttempt(attempt);
    assert.deepEqual(await store.voidAttempt(attempt), { kind: 'voided' });
    assert.deepEqual(await store.voidAttempt(attempt), { kind: 'repeated' });
    assert.deepEqual(await store.beginAttempt(attempt), { kind: 'voided' });
    assert.equal(await balanceOf(store, ALICE), 1_000);
    assert.deepEqual(await begin(store), { kind: 'spent', balanceMsat: 0 });
  });

  it('a try that arrives after it was voided or refunded is refused, for as long as a key is known', async (subject) => {
    const { store, clock } = subject;
    const early = attemptOf({ key: hash(0x76) });
    assert.deepEqual(await store.voidAttempt(early), { kind: 'unknown' });
    await fund(subject, ALICE, 1_000);
    const late = attemptOf();
    assert.deepEqual(await store.voidAttempt(late), { kind: 'unknown' });
    const refunded = attemptOf({ key: hash(0x78) });
    await store.beginAttempt(refunded);
    await store.endAttempt(refunded, 'refunded');
    clock.advanceSec(SPEND_KEY_TTL_SEC - 1);
    await purgeAll(store);
    for (const attempt of [early, late, refunded]) {
      assert.deepEqual(await store.beginAttempt(attempt), { kind: 'voided' });
    }
    assert.equal(await balanceOf(store, ALICE), 1_000);
  });

  it('voiding a repeat that was lost does not end the try before it', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 2_000);
    await begin(store);
    const lost = attemptOf();
    assert.deepEqual(await store.voidAttempt(lost), { kind: 'unknown' });
    assert.deepEqual(await store.beginAttempt(lost), { kind: 'voided' });
    assert.deepEqual(await begin(store), { kind: 'in-flight' });
    assert.deepEqual(await end(store, 'delivered'), { kind: 'ended' });
    assert.equal(await balanceOf(store, ALICE), 1_000);
  });

  it('a free retry that is voided does not count, and one that was charged since stays charged', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 1_000);
    await begin(store);
    await end(store, 'undelivered');
    for (let retry = 0; retry <= MAX_FREE_RETRIES; retry += 1) {
      const lost = attemptOf();
      assert.deepEqual(await store.beginAttempt(lost), { kind: 'free', balanceMsat: 0 });
      assert.deepEqual(await store.voidAttempt(lost), { kind: 'voided' });
    }
    const first = attemptOf();
    await store.beginAttempt(first);
    clock.advanceSec(60);
    assert.deepEqual(await begin(store), { kind: 'free', balanceMsat: 0 });
    assert.deepEqual(await store.voidAttempt(first), { kind: 'unknown' });
    assert.deepEqual(await end(store, 'delivered'), { kind: 'ended' });
    assert.equal(await balanceOf(store, ALICE), 0);
  });

  it('a try and its void at once leave the money where it was', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 100_000);
    const attempts = Array.from({ length: 50 }, (_, n) => attemptOf({ key: hash(0x7000 + n) }));
    await Promise.all(
      attempts.flatMap((attempt, n) =>
        n % 2 === 0
          ? [store.beginAttempt(attempt), store.voidAttempt(attempt)]
          : [store.voidAttempt(attempt), store.beginAttempt(attempt)],
      ),
    );
    assert.equal(await balanceOf(store, ALICE), 100_000);
  });
}
