import assert from 'node:assert/strict';
import { mkdir, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { RedisStoreConfig } from '../../config/config.ts';
import { connectRedis } from '../../gateway/ledger/redis/connect.ts';
import { slotOf } from '../../gateway/ledger/redis/slots.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { ALICE, accountOf, assertBalanced, assertStoreError, hash } from '../contract/store/subject.ts';
import { eventually } from '../support/eventually.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { type RedisServer, redisStoreConfig, startRedis, storeOn } from '../support/redis-server.ts';
import { claimNumber, offerNumber } from './crash-terms.ts';
import { openOn } from './redis-backend.ts';

/** Long for a replica that is well; what waits for one that hangs takes as long. */
const ACKNOWLEDGE_MS = 1_000;

async function openAcknowledged(t: TestContext, config: RedisStoreConfig): Promise<Store> {
  const client = await connectRedis(config);
  const store = await openOn(config, { acknowledge: { client, replicas: 1, timeoutMs: ACKNOWLEDGE_MS } });
  t.after(() => store.close());
  return store;
}

async function startReplica(t: TestContext, master: RedisServer): Promise<RedisServer> {
  const replica = await startRedis({ lines: [`replicaof ${master.host} ${master.port}`] });
  t.after(() => replica.stop());
  await eventually(
    async () => String(await replica.call('INFO', 'replication')),
    (info) => info.includes('master_link_status:up'),
  );
  return replica;
}

async function startMaster(t: TestContext, lines: readonly string[] = []): Promise<RedisServer> {
  const server = await startRedis({ lines });
  t.after(() => server.stop());
  return server;
}

/** Repeats what is unavailable until it is not. */
function healed<T>(verb: () => Promise<T>): Promise<T | 'unavailable'> {
  return eventually<T | 'unavailable'>(
    () => verb().catch(() => 'unavailable' as const),
    (outcome) => outcome !== 'unavailable',
  );
}

test('a claim that no replica acknowledges is unavailable, and found again by its payment when they do', async (t) => {
  const master = await startMaster(t);
  const replica = await startReplica(t, master);
  const store = await openAcknowledged(t, storeOn(master));
  assert.equal((await store.redeem(claimNumber(1))).kind, 'claimed');
  assert.equal((await store.offer(offerNumber(3), 9)).kind, 'offered');
  replica.pause();
  const refused = await assertStoreError('unavailable', store.redeem(claimNumber(2)));
  assert.match(refused.message, /0 of 1 replicas acknowledged/);
  await assertStoreError('unavailable', store.settleOffer(offerNumber(3).paymentHash, msat(1_000)));
  await assertStoreError('unavailable', store.offer(offerNumber(4), 9));
  await assertStoreError('unavailable', store.revoke(hash(77), 4_000_000_000));
  // What is weak goes on.
  assert.equal((await store.spend({ accountId: ALICE, key: 'k', amountMsat: msat(1) })).kind, 'spent');
  replica.resume();
  // The master has both already; they are acknowledged by being written again.
  assert.deepEqual(await healed(() => store.redeem(claimNumber(2))), { kind: 'repeated' });
  const settled = await healed(() => store.settleOffer(offerNumber(3).paymentHash, msat(1_000)));
  assert.ok(settled !== 'unavailable' && settled.kind === 'repeated');
  assert.equal((await accountOf(store, ALICE)).creditedMsat, 3_000);
  await assertBalanced(store);
});

test('what was written before its replica hung is not taken for acknowledged when it is presented again', async (t) => {
  const master = await startMaster(t);
  const replica = await startReplica(t, master);
  const store = await openAcknowledged(t, storeOn(master));
  replica.pause();
  await assertStoreError('unavailable', store.claim(claimNumber(1)));
  const another = await openAcknowledged(t, storeOn(master)).catch((error: unknown) => error);
  assert.match(String(another), /replicas acknowledged/);
  // The same connection as before, and nothing new to write.
  await assertStoreError('unavailable', store.claim(claimNumber(1)));
  await assertStoreError('unavailable', store.claim(claimNumber(1)));
  replica.resume();
  assert.deepEqual(await healed(() => store.claim(claimNumber(1))), { kind: 'repeated' });
});

test('a server that has forgotten its scripts is sent their text, and replicas acknowledge what that wrote', async (t) => {
  const master = await startMaster(t);
  const replica = await startReplica(t, master);
  const store = await openAcknowledged(t, storeOn(master));
  await store.claim(claimNumber(1));
  await master.call('SCRIPT', 'FLUSH');
  assert.deepEqual(await store.claim(claimNumber(2)), { kind: 'claimed' });
  await master.call('SCRIPT', 'FLUSH');
  replica.pause();
  await assertStoreError('unavailable', store.claim(claimNumber(3)));
  replica.resume();
});

test('on a Cluster, the replica that is waited for is that of the node which has written', async (t) => {
  const cluster = await startRedisCluster({ replicas: 1 });
  t.after(() => cluster.stop());
  const store = await openAcknowledged(t, redisStoreConfig({ kind: 'cluster', nodes: cluster.masters }));
  for (const [hung, replica] of cluster.replicas.entries()) {
    replica.pause();
    for (const [index] of cluster.masters.entries()) {
      const claimed = store.claim(claimAt(index, 10 * (hung + 1) + index));
      if (index === hung) await assertStoreError('unavailable', claimed);
      else assert.deepEqual(await claimed, { kind: 'claimed' });
    }
    replica.resume();
    const again = claimAt(hung, 10 * (hung + 1) + hung);
    assert.deepEqual(await healed(() => store.claim(again)), { kind: 'repeated' });
  }
});

/** A claim that lies on the node of that number, of three with a third of the slots each. */
function claimAt(node: number, number: number): ReturnType<typeof claimNumber> {
  for (let n = number * 1_000; ; n += 1) {
    const claim = claimNumber(n);
    if (Math.floor((slotOf(`{${claim.paymentHash}}`) * 3) / 16_384) === node) return claim;
  }
}

test('a server that can not write its snapshot takes no writes: unavailable, says so, and heals', async (t) => {
  const server = await startMaster(t);
  const store = await openOn(storeOn(server));
  t.after(() => store.close());
  await store.redeem(claimNumber(1));
  const before = await accountOf(store, ALICE);
  const lastSave = async (): Promise<string> => String(await server.call('INFO', 'persistence'));
  // A folder where the snapshot should go: that stops root too.
  const inTheWay = path.join(server.folder, 'data', 'dump.rdb');
  await mkdir(path.join(inTheWay, 'full'), { recursive: true });
  await server.call('CONFIG', 'SET', 'save', '3600 1');
  await server.call('BGSAVE');
  await eventually(lastSave, (info) => info.includes('rdb_last_bgsave_status:err'));
  const verbs = [
    () => store.spend({ accountId: ALICE, key: 'k', amountMsat: msat(1) }),
    () => store.redeem(claimNumber(2)),
    () => store.reserve({ accountId: ALICE, leaseId: 'l', amountMsat: msat(1), ttlSec: 9 }),
    () => store.offer(offerNumber(3), 9),
  ];
  for (const verb of verbs) {
    assert.match((await assertStoreError('unavailable', verb())).message, /write to its disk/);
  }
  assert.deepEqual(await accountOf(store, ALICE), before);
  await rmdir(path.join(inTheWay, 'full'));
  await rmdir(inTheWay);
  await server.call('BGSAVE');
  await eventually(lastSave, (info) => info.includes('rdb_last_bgsave_status:ok'));
  assert.deepEqual(await store.redeem(claimNumber(2)), { kind: 'claimed' });
  assert.equal((await accountOf(store, ALICE)).creditedMsat, 2_000);
});

test('a master that is made a replica is unavailable, cut off from its master too, and the store goes on when it is a master again', async (t) => {
  const server = await startMaster(t, ['replica-serve-stale-data no']);
  const replica = await startReplica(t, server);
  const store = await openOn(storeOn(server, { commandTimeoutMs: 2_000, connectTimeoutMs: 2_000 }));
  t.after(() => store.close());
  await store.redeem(claimNumber(1));
  const spend = { accountId: ALICE, key: 'k', amountMsat: msat(1) };
  await eventually(
    () => replica.call('DBSIZE'),
    (size) => Number(size) >= 4,
  );
  await replica.call('REPLICAOF', 'NO', 'ONE');
  await server.call('REPLICAOF', replica.host, String(replica.port));
  await assertStoreError('unavailable', store.spend(spend));
  await eventually(
    async () => String(await server.call('INFO', 'replication')),
    (info) => info.includes('master_link_status:up'),
  );
  const says = (pattern: RegExp) =>
    eventually(
      async () => (await assertStoreError('unavailable', store.spend(spend))).message,
      (message) => pattern.test(message),
    );
  await says(/takes no writes/);
  // Two that follow each other: neither has a master.
  await replica.call('REPLICAOF', server.host, String(server.port));
  await replica.call('CLIENT', 'KILL', 'TYPE', 'replica').catch(() => {});
  await assertStoreError('unavailable', store.spend(spend));
  await server.call('REPLICAOF', 'NO', 'ONE');
  const outcome = await healed(() => store.voidSpend(spend));
  assert.ok(outcome !== 'unavailable' && outcome.kind === 'unknown');
  assert.equal((await accountOf(store, ALICE)).balanceMsat, 1_000);
});
