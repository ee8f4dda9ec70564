import assert from 'node:assert/strict';
import { msat } from '../../../node/msat.ts';
import {
  ALICE,
  accountOf,
  BOB,
  balanceOf,
  type ContractTest,
  claimOf,
  DAY_SEC,
  fund,
  hash,
  purgeAll,
} from './subject.ts';

/** What a store is, whom it trusts, and whom no more. */
export function identityContract(it: ContractTest): void {
  it('a store has a random generation that stays until a new one is made', async ({ store }) => {
    const generation = await store.generation();
    assert.match(generation, /^[0-9a-f]{32}$/);
    assert.equal(await store.generation(), generation);
    const next = await store.newGeneration();
    assert.match(next, /^[0-9a-f]{32}$/);
    assert.notEqual(next, generation);
    assert.equal(await store.generation(), next);
  });

  it('the first master keys are admitted, then only sets with a known one, which bring new ones along', async ({
    store,
  }) => {
    assert.deepEqual(await store.admitMasterKeys([hash(1)]), { kind: 'first' });
    assert.deepEqual(await store.admitMasterKeys([hash(1)]), { kind: 'known' });
    assert.deepEqual(await store.admitMasterKeys([hash(2)]), { kind: 'unknown' });
    assert.deepEqual(await store.admitMasterKeys([hash(3), hash(1), hash(3)]), { kind: 'known' });
    assert.deepEqual(await store.admitMasterKeys([hash(3)]), { kind: 'known' });
    assert.deepEqual(await store.admitMasterKeys([hash(2)]), { kind: 'unknown' });
  });

  it('a new generation admits any master keys as the first', async ({ store }) => {
    await store.admitMasterKeys([hash(1)]);
    await store.newGeneration();
    assert.deepEqual(await store.admitMasterKeys([hash(2)]), { kind: 'first' });
    assert.deepEqual(await store.admitMasterKeys([hash(1)]), { kind: 'unknown' });
  });

  it('the epoch rises when it is told to', async ({ store }) => {
    assert.equal(await store.epoch(), 0);
    assert.equal(await store.nextEpoch(), 1);
    assert.equal(await store.nextEpoch(), 2);
    assert.equal(await store.epoch(), 2);
  });

  it('a store answers a ping', async ({ store }) => {
    await store.ping();
  });

  it('a revoked account can not claim or be debited, but what was paid is still credited', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 1_000);
    await store.revoke(ALICE, clock.nowSec() + 30 * DAY_SEC);
    assert.equal((await accountOf(store, ALICE)).revoked, true);
    const spend = { accountId: ALICE, key: 'k', amountMsat: msat(1) };
    assert.deepEqual(await store.spend(spend), { kind: 'revoked' });
    assert.deepEqual(await store.claim(claimOf(subject)), { kind: 'revoked' });
    assert.deepEqual(await store.redeem(claimOf(subject)), { kind: 'revoked' });
    const { expiresAtSec, service } = claimOf(subject);
    const credit = { creditKey: hash(5), accountId: ALICE, service, amountMsat: msat(5), expiresAtSec };
    assert.equal((await store.credit(credit)).kind, 'credited');
    assert.equal(await balanceOf(store, ALICE), 1_005);
    assert.deepEqual(await store.spend(spend), { kind: 'revoked' });
  });

  it('an account can be revoked before it opens', async (subject) => {
    const { store, clock } = subject;
    const { expiresAtSec, service } = claimOf(subject);
    await store.revoke(ALICE, expiresAtSec);
    assert.deepEqual(await store.redeem(claimOf(subject)), { kind: 'revoked' });
    await store.credit({ creditKey: hash(5), accountId: ALICE, service, amountMsat: msat(5), expiresAtSec });
    assert.deepEqual(await store.spend({ accountId: ALICE, key: 'k', amountMsat: msat(1) }), {
      kind: 'revoked',
    });
    assert.equal(clock.nowSec() < expiresAtSec, true);
  });

  it('revocations are read from a sequence number on, and again when they are extended', async (subject) => {
    const { store, clock } = subject;
    const untilSec = clock.nowSec() + DAY_SEC;
    assert.deepEqual(await store.revocationsAfter(0), []);
    await store.revoke(ALICE, untilSec);
    await store.revoke(BOB, untilSec);
    const both = await store.revocationsAfter(0);
    assert.deepEqual(
      both.map(({ accountId, untilSec: until }) => [accountId, until]),
      [
        [ALICE, untilSec],
        [BOB, untilSec],
      ],
    );
    const last = both[1]?.sequence ?? 0;
    assert.ok(last > (both[0]?.sequence ?? 0));
    await store.revoke(ALICE, untilSec);
    await store.revoke(ALICE, untilSec - 1);
    assert.deepEqual(await store.revocationsAfter(last), []);
    await store.revoke(ALICE, untilSec + 1);
    const news = await store.revocationsAfter(last);
    assert.deepEqual(
      news.map(({ accountId, untilSec: until }) => [accountId, until]),
      [[ALICE, untilSec + 1]],
    );
  });

  it('a revocation is kept while anything of its account is left, and its number is not used again', async (subject) => {
    const { store, clock } = subject;
    await fund(subject, ALICE, 1_000);
    await store.revoke(ALICE, clock.nowSec() + 60);
    const [revocation] = await store.revocationsAfter(0);
    clock.advanceSec(60 + DAY_SEC);
    await purgeAll(store);
    assert.deepEqual(await store.spend({ accountId: ALICE, key: 'k', amountMsat: msat(1) }), {
      kind: 'revoked',
    });
    assert.deepEqual(await store.redeem(claimOf(subject)), { kind: 'revoked' });
    clock.advanceSec(30 * DAY_SEC);
    await purgeAll(store);
    assert.deepEqual(await store.revocationsAfter(0), []);
    await store.revoke(BOB, clock.nowSec() + 60);
    const [next] = await store.revocationsAfter(0);
    assert.ok((next?.sequence ?? 0) > (revocation?.sequence ?? 0));
  });
}
