import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { storeContract } from '../contract/store.contract.ts';
import { runModel } from '../ledger/run-model.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisSentinel, startRedisSentinel } from '../support/redis-sentinel.ts';
import { redisStoreConfig } from '../support/redis-server.ts';
import { freshPrefix, openOn, redisBackend } from './redis-backend.ts';

let sentinel: RedisSentinel;

before(async () => {
  sentinel = await startRedisSentinel();
});

after(async () => {
  await sentinel.stop();
});

const backend = redisBackend(() =>
  redisStoreConfig({ kind: 'sentinel', sentinels: sentinel.sentinels, master: sentinel.name }),
);

storeContract('redis sentinel', backend);

test('redis sentinel: the books balance after every step of any sequence of verbs', async () => {
  await runModel(backend, 25);
});

test('redis sentinel: the epoch counts when a replica has it, so that a failover right after it is no older copy', async (t) => {
  const config = redisStoreConfig({ kind: 'sentinel', sentinels: sentinel.sentinels, master: sentinel.name });
  const store = await openOn(config, { keyPrefix: freshPrefix() });
  t.after(() => store.close());
  const master = await sentinel.master();
  for (let failover = 0; failover < 2; failover += 1) {
    const epoch = await store.nextEpoch();
    await sentinel.killMaster();
    await eventually(
      () => store.epoch().catch(() => 0),
      (now) => now >= epoch,
    );
    await store.verify();
    if (failover === 0) await sentinel.rejoin(master);
  }
});

test('redis sentinel: an epoch that no replica takes is not asked for', async (t) => {
  const own = await startRedisSentinel();
  t.after(() => own.stop());
  const config = redisStoreConfig({ kind: 'sentinel', sentinels: own.sentinels, master: own.name });
  const store = await openOn(config, { keyPrefix: freshPrefix() });
  t.after(() => store.close());
  await store.nextEpoch();
  const master = await own.master();
  const replicas = own.servers.filter((server) => server !== master);
  for (const replica of replicas) replica.pause();
  await assert.rejects(store.nextEpoch(), /None of the 2 replicas of Redis took the store's epoch/);
  for (const replica of replicas) replica.resume();
  await eventually(
    () => store.nextEpoch().catch(() => 0),
    (epoch) => epoch > 0,
  );
});
