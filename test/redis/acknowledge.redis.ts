import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { Cluster } from 'ioredis';
import type { RedisClient } from '../../gateway/ledger/redis/connect.ts';
import { openImport } from '../../gateway/ledger/redis/write-records.ts';
import { openRedisStore, REDIS_STORE_VERSION } from '../../gateway/ledger/redis.ts';
import { StoreError } from '../../gateway/ledger/store.ts';
import { eventually } from '../support/eventually.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { type RedisServer, redisStoreConfig, startRedis, storeOn } from '../support/redis-server.ts';
import { claimNumber } from './crash-terms.ts';
import { clientOn } from './redis-backend.ts';

/* What replicas must have before it counts, and what happens when they have not. */

/** Words of the script that raises the proof, and of no other. */
const RAISES_PROOF = 'tonumber(string.sub(proof, 34)) < tonumber(ARGV[2])';

/** Has something happen once, before a client sends a command that holds this text; what comes after it waits for that too. */
function beforeSending(client: RedisClient, words: string, work: () => Promise<void>): void {
  assert.ok(!(client instanceof Cluster));
  const send = client.sendCommand.bind(client);
  let done: Promise<void> | undefined;
  client.sendCommand = (command, stream) => {
    if (command.args.some((arg) => String(arg).includes(words))) done ??= work();
    if (done === undefined) return send(command, stream);
    done.then(() => send(command, stream)).catch(() => {});
    return command.promise;
  };
}

/** A master with one replica that follows it. */
async function startPair(
  t: TestContext,
): Promise<{ readonly master: RedisServer; readonly replica: RedisServer }> {
  const master = await startRedis();
  t.after(() => master.stop());
  const replica = await startRedis({ lines: [`replicaof ${master.host} ${master.port}`] });
  t.after(() => replica.stop());
  await eventually(
    async () => String(await master.call('INFO', 'replication')),
    (info) => info.includes('state=online'),
  );
  return { master, replica };
}

test('a proof that no replica has is not asked for: a replica that is promoted without it is no older copy', async (t) => {
  const { master, replica } = await startPair(t);
  const [client, strong] = [await clientOn(storeOn(master)), await clientOn(storeOn(master))];
  const acknowledge = { client: strong, replicas: 1, timeoutMs: 2_000 };
  const store = await openRedisStore({ client, name: 'the test', acknowledge });
  t.after(() => store.close());
  await store.nextEpoch();
  // The master raises the proof and dies, and the replica has not heard of it.
  const dumpOf = ({ folder }: { folder: string }) => path.join(folder, 'data', 'dump.rdb');
  const lose = async (): Promise<void> => {
    if (!replica.running) return;
    await replica.call('SAVE');
    await replica.kill();
  };
  for (const one of [client, strong]) beforeSending(one, RAISES_PROOF, lose);
  await store.nextEpoch().catch(() => {});
  assert.equal(replica.running, false);
  await master.kill();
  await cp(dumpOf(replica), dumpOf(master));
  await master.start();
  await eventually(
    () =>
      store.ping().then(
        () => true,
        () => false,
      ),
    (answers) => answers,
  );
  await store.verify();
  assert.deepEqual(await store.redeem(claimNumber(1)).catch(codeOf), 'unavailable');
});

test('what has waited for a replica does not wait once more on the connection of everybody', async (t) => {
  const { master } = await startPair(t);
  const [client, strong] = [await clientOn(storeOn(master)), await clientOn(storeOn(master))];
  const store = await openRedisStore({
    client,
    name: 'the test',
    acknowledge: { client: strong, replicas: 1, timeoutMs: 5_000 },
  });
  t.after(() => store.close());
  // From now on Redis knows the scripts: one that it does not know is sent again.
  await store.nextEpoch();
  const waits = { client: 0, strong: 0 };
  const count = (one: RedisClient, name: keyof typeof waits): void => {
    assert.ok(!(one instanceof Cluster));
    const send = one.sendCommand.bind(one);
    one.sendCommand = (command, stream) => {
      if (command.name === 'wait') waits[name] += 1;
      return send(command, stream);
    };
  };
  count(client, 'client');
  count(strong, 'strong');
  await store.nextEpoch();
  // The epoch, and the proof that asks for it.
  assert.deepEqual(waits, { client: 0, strong: 2 });
});

function codeOf(error: unknown): string {
  assert.ok(error instanceof StoreError);
  return error.code;
}

test('on a Cluster each claim waits for a replica of its own node', async (t) => {
  const cluster = await startRedisCluster({ replicas: 1, lines: ['cluster-require-full-coverage no'] });
  t.after(() => cluster.stop());
  const config = redisStoreConfig({ kind: 'cluster', nodes: cluster.masters });
  const [client, strong] = [await clientOn(config), await clientOn(config)];
  const acknowledge = { client: strong, replicas: 1, timeoutMs: 500 };
  const store = await openRedisStore({ client, name: 'the test', acknowledge });
  t.after(() => store.close());
  // The first master has lost its replica, and the others have theirs.
  const [bare] = cluster.masters;
  assert.ok(bare);
  await cluster.replicas[0]?.kill();
  const outcomes = new Set<string>();
  for (let n = 1; n <= 30; n += 1) {
    const claim = claimNumber(n);
    const isBare: boolean = (await cluster.ownerOf(`sluice:{${claim.paymentHash}}c`)) === bare;
    const outcome = await store.claim(claim).then(({ kind }) => kind, codeOf);
    assert.equal(outcome, isBare ? 'unavailable' : 'claimed', `${n}`);
    outcomes.add(outcome);
  }
  assert.equal(outcomes.size, 2);
});

test('a ledger is moved when a replica has the last step too, and not before', async (t) => {
  const { master, replica } = await startPair(t);
  const client = await clientOn(storeOn(master));
  t.after(() => client.disconnect());
  const options = { client, name: 'the test', keyPrefix: 'moved:', storeVersion: REDIS_STORE_VERSION };
  const target = openImport({ ...options, replicas: 1, waitMs: 300 });
  const none = { epoch: 1, clockSec: 0, watermarkSec: 0, settlementCursor: 0, revocationSequence: 0 };
  const settings = { ...none, generation: 'ab'.repeat(16), keyFingerprints: [] };
  assert.equal(await target.begin(settings), 'begun');
  beforeSending(client, 'revocation-sequence', () => replica.kill());
  await assert.rejects(target.finish(settings), /0 of 1 replicas of the test/);
  await assert.rejects(target.begin(settings), /0 of 1 replicas of the test/);
  await replica.start();
  await eventually(
    () => target.begin(settings).catch(() => undefined),
    (start) => start === 'finished',
  );
});
