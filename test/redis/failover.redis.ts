import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { RedisStoreConfig } from '../../config/config.ts';
import { connectRedis } from '../../gateway/ledger/redis/connect.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts';
import { startRedisSentinel } from '../support/redis-sentinel.ts';
import { type RedisServer, redisStoreConfig } from '../support/redis-server.ts';
import { FIRST_ACCOUNT, startFailoverLoad } from './failover-load.ts';
import { openOn } from './redis-backend.ts';

/** Rounds of every customer before, between and after what happens to Redis. */
const ROUNDS = 3;
/** How long replicas may take, ms. */
const ACKNOWLEDGE_MS = 1_000;

/** A store whose strong writes are acknowledged by so many replicas. */
async function openAcknowledged(reach: RedisStoreConfig['reach'], replicas: number): Promise<Store> {
  const config = redisStoreConfig(reach, { connectTimeoutMs: 2_000, commandTimeoutMs: 3_000 });
  const client = await connectRedis(config);
  return openOn(config, { acknowledge: { client, replicas, timeoutMs: ACKNOWLEDGE_MS } });
}

/** Plays load on a store while something happens to its Redis, checks all books afterwards, and closes the store. */
async function playThrough(store: Store, happen: () => Promise<unknown>): Promise<void> {
  const load = startFailoverLoad(store);
  try {
    await load.untilRounds(ROUNDS);
    await happen();
    await load.untilRounds(ROUNDS);
    await load.stop();
    await load.check();
  } finally {
    // Also when a customer's verb went wrong: an open store would keep this file from its end.
    await load.stop().finally(() => store.close());
  }
}

test('sentinel: a failover in the middle of the load loses no acknowledged payment, doubles none, and the store goes on', async (t) => {
  const redis = await startRedisSentinel();
  t.after(() => redis.stop());
  const reach = { kind: 'sentinel', sentinels: redis.sentinels, master: redis.name } as const;
  // Both: while the master is well, sentinels promote whichever they like.
  const store = await openAcknowledged(reach, 2);
  const before = await redis.master();
  await playThrough(store, () => redis.failover());
  assert.notEqual(await redis.master(), before);
});

test('sentinel: a master that is killed in the middle of the load costs no acknowledged payment either', async (t) => {
  const redis = await startRedisSentinel();
  t.after(() => redis.stop());
  const reach = { kind: 'sentinel', sentinels: redis.sentinels, master: redis.name } as const;
  // One is enough: of two replicas of a dead master, the one that has received more is promoted.
  const store = await openAcknowledged(reach, 1);
  const before = await redis.master();
  await playThrough(store, () => redis.killMaster());
  assert.notEqual(await redis.master(), before);
});

test('sentinel: a master that hangs until another was promoted, and wakes up as if nothing had happened, costs none', async (t) => {
  const redis = await startRedisSentinel();
  t.after(() => redis.stop());
  const reach = { kind: 'sentinel', sentinels: redis.sentinels, master: redis.name } as const;
  // Both: the old master wakes up with the other replica still at it, which would acknowledge what both will forget.
  const store = await openAcknowledged(reach, 2);
  const before = await redis.master();
  await playThrough(store, async () => {
    before.pause();
    await eventually(
      () => redis.master(),
      (now) => now !== before,
    );
    before.resume();
  });
});

/** A Cluster with a replica for each master, and a store on it that waits for that replica. */
async function openCluster(
  t: TestContext,
): Promise<{ readonly store: Store; readonly cluster: RedisCluster; readonly owner: RedisServer }> {
  const cluster = await startRedisCluster({ replicas: 1 });
  t.after(() => cluster.stop());
  const store = await openAcknowledged({ kind: 'cluster', nodes: cluster.masters }, 1);
  return { store, cluster, owner: await cluster.ownerOf(KEY) };
}

/** A key that the load works on. */
const KEY = `test:{${FIRST_ACCOUNT}}a`;

function promoted(cluster: RedisCluster, before: RedisServer): Promise<RedisServer> {
  return eventually(
    () => cluster.ownerOf(KEY),
    (now) => now !== before,
  );
}

test('cluster: a failover of a node in the middle of the load loses and doubles nothing, and the store goes on', async (t) => {
  const { store, cluster, owner } = await openCluster(t);
  const replica = cluster.replicas[cluster.masters.indexOf(owner)];
  await playThrough(store, async () => {
    await replica?.call('CLUSTER', 'FAILOVER');
    await promoted(cluster, owner);
  });
});

test('cluster: a node that is killed in the middle of the load costs no acknowledged payment', async (t) => {
  const { store, cluster, owner } = await openCluster(t);
  await playThrough(store, async () => {
    await owner.kill();
    await promoted(cluster, owner);
    // Until it is back, as a replica, nobody can acknowledge what is written to its slots.
    await owner.start();
  });
});

test('cluster: a node that hangs until its replica was promoted, and wakes up, costs none', async (t) => {
  const { store, cluster, owner } = await openCluster(t);
  await playThrough(store, async () => {
    owner.pause();
    await promoted(cluster, owner);
    owner.resume();
  });
});
