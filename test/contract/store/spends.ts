import assert from 'node:assert/strict';
import { SPEND_KEY_TTL_SEC, type Spend } from '../../../gateway/ledger/store.ts';
import { msat } from '../../../node/msat.ts';
import {
  ALICE,
  accountOf,
  assertStoreError,
  BOB,
  balanceOf,
  type ContractTest,
  DAY_SEC,
  fund,
  purgeAll,
} from './subject.ts';

function spendOf(key: string, amountMsat = 1_000, accountId = ALICE): Spend {
  return { accountId, key, amountMsat: msat(amountMsat) };
}

/** Debits and how they are taken back. */
export function spendContract(it: ContractTest): void {
  it('a spend moves its amount from the balance to spent', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 2_500);
    assert.deepEqual(await store.spend(spendOf('a')), { kind: 'spent', balanceMsat: 1_500 });
    assert.deepEqual(await store.spend(spendOf('b')), { kind: 'spent', balanceMsat: 500 });
    assert.deepEqual(await store.spend(spendOf('c')), { kind: 'insufficient', balanceMsat: 500 });
    assert.deepEqual(await store.spend(spendOf('d', 500)), { kind: 'spent', balanceMsat: 0 });
    assert.deepEqual(await store.spend(spendOf('e', 0)), { kind: 'spent', balanceMsat: 0 });
    assert.equal((await accountOf(store, ALICE)).spentMsat, 2_500);
  });

  it('of 1,000 concurrent spends of a one-call credit exactly one wins', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    const outcomes = await Promise.all(
      Array.from({ length: 1_000 }, (_, n) => store.spend(spendOf(`k:${n}`))),
    );
    assert.equal(outcomes.filter(({ kind }) => kind === 'spent').length, 1);
    assert.equal(outcomes.filter(({ kind }) => kind === 'insufficient').length, 999);
    assert.equal((await accountOf(store, ALICE)).spentMsat, 1_000);
  });

  it('one key spends once, also when the money is gone or asked for a hundred times at once', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => store.spend(spendOf('same'))));
    assert.deepEqual(outcomes[0], { kind: 'spent', balanceMsat: 0 });
    for (const outcome of outcomes.slice(1)) assert.deepEqual(outcome, { kind: 'repeated', balanceMsat: 0 });
  });

  it('a refused spend is not remembered: the same key may spend when there is money', async (subject) => {
    const { store } = subject;
    assert.deepEqual(await store.spend(spendOf('a')), { kind: 'unknown-account' });
    await fund(subject, ALICE, 500);
    assert.deepEqual(await store.spend(spendOf('a')), { kind: 'insufficient', balanceMsat: 500 });
    await fund(subject, ALICE, 500);
    assert.deepEqual(await store.spend(spendOf('a')), { kind: 'spent', balanceMsat: 0 });
  });

  it('voiding gives a spend back once, and the key can never spend again', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    await store.spend(spendOf('a'));
    assert.deepEqual(await store.voidSpend(spendOf('a')), { kind: 'voided' });
    assert.equal(await balanceOf(store, ALICE), 1_000);
    assert.deepEqual(await store.voidSpend(spendOf('a')), { kind: 'repeated' });
    assert.deepEqual(await store.spend(spendOf('a')), { kind: 'voided' });
    assert.equal(await balanceOf(store, ALICE), 1_000);
    assert.equal((await accountOf(store, ALICE)).spentMsat, 0);
  });

  it('a spend that arrives after it was voided is refused', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 1_000);
    assert.deepEqual(await store.voidSpend(spendOf('late')), { kind: 'unknown' });
    assert.deepEqual(await store.voidSpend(spendOf('late')), { kind: 'repeated' });
    assert.deepEqual(await store.spend(spendOf('late')), { kind: 'voided' });
    assert.equal(await balanceOf(store, ALICE), 1_000);
  });

  it('a void that comes before the account itself still refuses the spend', async (subject) => {
    const { store } = subject;
    assert.deepEqual(await store.voidSpend(spendOf('early')), { kind: 'unknown' });
    await fund(subject, ALICE, 1_000);
    assert.deepEqual(await store.spend(spendOf('early')), { kind: 'voided' });
  });

  it('a spend and its void at once leave the money where it was', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 100_000);
    await Promise.all(
      Array.from({ length: 100 }, (_, n) => [
        store.spend(spendOf(`k${n}`)),
        store.voidSpend(spendOf(`k${n}`)),
      ]).flat(),
    );
    assert.equal(await balanceOf(store, ALICE), 100_000);
  });

  it('a key under another amount or account is invalid and changes nothing', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 5_000);
    await fund(subject, BOB, 5_000);
    await store.spend(spendOf('a'));
    await assertStoreError('invalid', store.spend(spendOf('a', 1_001)));
    await assertStoreError('invalid', store.voidSpend(spendOf('a', 999)));
    assert.equal(await balanceOf(store, ALICE), 4_000);
    assert.equal(await balanceOf(store, BOB), 5_000);
  });

  it('a key is remembered for its time, over purges', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 5_000);
    await store.spend(spendOf('a'));
    await store.voidSpend(spendOf('b'));
    for (let elapsed = 0; elapsed < SPEND_KEY_TTL_SEC - 1; elapsed += 60) {
      assert.equal((await store.spend(spendOf('a'))).kind, 'repeated');
      assert.deepEqual(await store.spend(spendOf('b')), { kind: 'voided' });
      await purgeAll(store);
      clock.advanceSec(Math.min(60, SPEND_KEY_TTL_SEC - 1 - elapsed));
    }
    assert.equal((await store.spend(spendOf('a'))).kind, 'repeated');
    assert.deepEqual(await store.voidSpend(spendOf('a')), { kind: 'voided' });
    assert.equal(await balanceOf(store, ALICE), 5_000);
  });

  it('a spend that was made is refunded once, however long ago its key was forgotten', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 5_000);
    for (const [n, elapsedSec] of [0, SPEND_KEY_TTL_SEC, 3 * SPEND_KEY_TTL_SEC, DAY_SEC].entries()) {
      const spend = spendOf(`k${n}`);
      await store.spend(spend);
      clock.advanceSec(elapsedSec);
      await purgeAll(store);
      assert.deepEqual(await store.refundSpend(spend), { kind: 'refunded' });
      for (let repeated = 0; repeated < SPEND_KEY_TTL_SEC; repeated += 100) {
        assert.deepEqual(await store.refundSpend(spend), { kind: 'repeated' });
        assert.deepEqual(await store.voidSpend(spend), { kind: 'repeated' });
        assert.deepEqual(await store.spend(spend), { kind: 'voided' });
        await purgeAll(store);
        clock.advanceSec(repeated === 0 ? 99 : 100);
      }
      assert.equal(await balanceOf(store, ALICE), 5_000);
    }
  });

  it('a hundred refunds of one spend at once, and its void, give it back once', async (subject) => {
    const { store } = subject;
    await fund(subject, ALICE, 5_000);
    await store.spend(spendOf('a'));
    const verbs = Array.from({ length: 100 }, (_, n) =>
      n === 50 ? store.voidSpend(spendOf('a')) : store.refundSpend(spendOf('a')),
    );
    const kinds = (await Promise.all(verbs)).map(({ kind }) => kind);
    assert.equal(kinds.filter((kind) => kind !== 'repeated').length, 1);
    assert.equal(await balanceOf(store, ALICE), 5_000);
  });

  it('nothing is refunded that can’t have been spent', async (subject) => {
    const { store } = subject;
    assert.deepEqual(await store.refundSpend(spendOf('a')), { kind: 'unknown-account' });
    await fund(subject, ALICE, 5_000);
    await fund(subject, BOB, 5_000);
    await store.spend(spendOf('a'));
    await assertStoreError('invalid', store.refundSpend(spendOf('other', 1_001)));
    await assertStoreError('invalid', store.refundSpend(spendOf('a', 999)));
    await assertStoreError('invalid', store.refundSpend(spendOf('a', 1_000, BOB)));
    assert.equal(await balanceOf(store, ALICE), 4_000);
    assert.equal(await balanceOf(store, BOB), 5_000);
  });

  it('keys are forgotten in the end', async (subject) => {
    const { store, clock, backend } = subject;
    await fund(subject, ALICE, 5_000_000);
    await Promise.all(Array.from({ length: 2_500 }, (_, n) => store.spend(spendOf(`k:${n}`))));
    clock.advanceSec(3 * SPEND_KEY_TTL_SEC);
    const reports = [await store.purge(), await store.purge(), await store.purge()];
    assert.equal(
      reports.reduce((sum, { keys }) => sum + keys, 0),
      backend.forgetting === 'timers' ? 0 : 2_500,
    );
    assert.equal(reports[2]?.more, false);
    assert.equal((await store.purge()).keys, 0);
    assert.equal((await store.spend(spendOf('k:0'))).kind, 'spent');
    assert.equal((await store.voidSpend(spendOf('k:1'))).kind, 'unknown');
  });

  it('an account refuses debits from the second at which it ends, and its balance expires', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 3_000);
    clock.advanceSec(30 * DAY_SEC - 1);
    assert.deepEqual(await store.spend(spendOf('a')), { kind: 'spent', balanceMsat: 2_000 });
    clock.advanceSec(1);
    assert.deepEqual(await store.spend(spendOf('b')), { kind: 'expired' });
    const account = await accountOf(store, ALICE);
    assert.equal(account.balanceMsat, 0);
    assert.equal(account.expiredMsat, 2_000);
  });

  it('what is given back to an account that has ended expires', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 3_000);
    clock.advanceSec(30 * DAY_SEC - 1);
    await store.spend(spendOf('a'));
    clock.advanceSec(1);
    await purgeAll(store);
    assert.deepEqual(await store.voidSpend(spendOf('a')), { kind: 'voided' });
    const account = await accountOf(store, ALICE);
    assert.equal(account.balanceMsat, 0);
    assert.equal(account.expiredMsat, 3_000);
    assert.equal((await store.totals()).balanceMsat, 0);
  });
}
