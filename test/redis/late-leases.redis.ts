import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { ALICE, accountOf, assertStoreError } from '../contract/store/subject.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisServer, startRedis, storeOn } from '../support/redis-server.ts';
import { claimNumber } from './crash-terms.ts';
import { openOn } from './redis-backend.ts';

/* Verbs of a stream whose answer was lost, and that arrive when something else was done already. */

let server: RedisServer;
let store: Store;

before(async () => {
  server = await startRedis();
  store = await openOn(storeOn(server, { commandTimeoutMs: 1_000 }));
  await store.redeem(claimNumber(1));
});

after(async () => {
  await store.close();
  await server.stop();
});

function reserveOf(leaseId: string, ttlSec = 60): Parameters<Store['reserve']>[0] {
  return { accountId: ALICE, leaseId, amountMsat: msat(100), ttlSec };
}

function releaseOf(leaseId: string): Parameters<Store['release']>[0] {
  return { accountId: ALICE, leaseId, spendMsat: msat(0) };
}

function commitOf(leaseId: string): Parameters<Store['commit']>[0] {
  const amounts = { spendMsat: msat(10), reserveMsat: msat(10) };
  return [{ accountId: ALICE, leaseId, slice: 1, ttlSec: 60, ...amounts }];
}

async function untouched(): Promise<void> {
  const { balanceMsat, reservedMsat, spentMsat } = await accountOf(store, ALICE);
  assert.deepEqual(
    { balanceMsat, reservedMsat, spentMsat },
    { balanceMsat: 1_000, reservedMsat: 0, spentMsat: 0 },
  );
}

test('a reserve that arrives after its release holds the money until its end, and no longer', async () => {
  assert.deepEqual(await store.release(releaseOf('early')), { kind: 'gone' });
  assert.equal((await store.reserve(reserveOf('early', 1))).kind, 'reserved');
  await eventually(
    () => accountOf(store, ALICE),
    ({ reservedMsat }) => reservedMsat === 0,
  );
  await untouched();
});

test('a reserve that arrives a second time, after its lease was released, holds nothing', async () => {
  assert.equal((await store.reserve(reserveOf('twice'))).kind, 'reserved');
  assert.equal((await store.release(releaseOf('twice'))).kind, 'released');
  assert.equal((await store.reserve(reserveOf('twice'))).kind, 'repeated');
  await untouched();
});

test('a commit that arrives after its release spends nothing', async () => {
  await store.reserve(reserveOf('over'));
  await store.release(releaseOf('over'));
  assert.deepEqual(await store.commit(commitOf('over')), [{ kind: 'gone' }]);
  await untouched();
});

test('what hangs in a Redis that hangs arrives when it wakes up: repeating the release gives everything back', async () => {
  const wakeUp = async (): Promise<void> => {
    server.resume();
    await eventually(
      () =>
        store.ping().then(
          () => true,
          () => false,
        ),
      (answers) => answers,
    );
  };
  server.pause();
  const lost = [store.reserve(reserveOf('hung')), store.release(releaseOf('hung'))];
  await Promise.all(lost.map((verb) => assertStoreError('unavailable', verb)));
  await wakeUp();
  assert.ok(['released', 'gone'].includes((await store.release(releaseOf('hung'))).kind));
  await untouched();
  await store.reserve(reserveOf('spent'));
  server.pause();
  const late = [store.release(releaseOf('spent')), store.commit(commitOf('spent'))];
  await Promise.all(late.map((verb) => assertStoreError('unavailable', verb)));
  await wakeUp();
  await store.release(releaseOf('spent'));
  await untouched();
});
