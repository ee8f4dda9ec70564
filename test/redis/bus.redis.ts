import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { Cluster, Redis } from 'ioredis';
import type { Bus, BusNews } from '../../gateway/bus/bus.ts';
import { openRedisBus } from '../../gateway/bus/redis-bus.ts';
import { createRedisClient } from '../../gateway/ledger/redis/connect.ts';
import { eventually } from '../support/eventually.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { type RedisServer, redisStoreConfig, startRedis, storeOn } from '../support/redis-server.ts';

const ALICE = 'a1'.repeat(32);
const CREDITED = { kind: 'credited', accountId: ALICE, paymentHash: ALICE } as const;
const LATER = { kind: 'revoked', accountId: 'cafe' } as const;
const BEAT_EVERY_MS = 50;

/** A bus as one gateway has it. */
interface Member {
  readonly bus: Bus;
  readonly news: BusNews[];
  readonly counts: Map<string, number>;
  readonly stands: boolean[];
  readonly failures: unknown[];
  /** Messages of others heard so far, without `missed`. */
  messages(): readonly BusNews[];
  missed(): number;
}

function join(t: TestContext, makeClient: () => Redis | Cluster, keyPrefix = 'sluice:'): Member {
  const client = makeClient();
  client.connect().catch(() => {});
  const news: BusNews[] = [];
  const counts = new Map<string, number>();
  const stands: boolean[] = [];
  const failures: unknown[] = [];
  const bus = openRedisBus({
    client,
    keyPrefix,
    beatEveryMs: BEAT_EVERY_MS,
    observe: {
      counted: (what) => counts.set(what, (counts.get(what) ?? 0) + 1),
      stands: (up) => stands.push(up),
      failed: (error) => failures.push(error),
    },
  });
  bus.subscribe((one) => news.push(one));
  t.after(async () => {
    await bus.close();
    client.disconnect();
  });
  return {
    bus,
    news,
    counts,
    stands,
    failures,
    messages: () => news.filter(({ kind }) => kind !== 'missed'),
    missed: () => news.filter(({ kind }) => kind === 'missed').length,
  };
}

function joinServer(t: TestContext, server: RedisServer, keyPrefix?: string): Member {
  return join(t, () => createRedisClient(storeOn(server, { commandTimeoutMs: 1_000 })), keyPrefix);
}

async function started(t: TestContext): Promise<RedisServer> {
  const server = await startRedis();
  t.after(() => server.stop());
  return server;
}

/** Waits until it has heard itself so often after having been deaf. */
async function untilMissed(member: Member, times = 1): Promise<void> {
  await eventually(member.missed, (count) => count >= times);
}

async function untilDown(member: Member): Promise<void> {
  await eventually(
    () => member.stands.at(-1),
    (up) => up === false,
  );
}

async function untilHeard(member: Member, count: number): Promise<void> {
  await eventually(member.messages, ({ length }) => length >= count);
}

describe('the bus over Redis', { concurrency: 3 }, () => {
  test('a message is heard once by each of the others, and not by its sender', async (t) => {
    const server = await started(t);
    const members = [joinServer(t, server), joinServer(t, server), joinServer(t, server)];
    const [one, two, three] = members;
    assert.ok(one && two && three);
    await Promise.all(members.map((member) => untilMissed(member)));
    const settled = { kind: 'settled', paymentHash: ALICE } as const;
    one.bus.publish(CREDITED);
    one.bus.publish(settled);
    two.bus.publish({ kind: 'revoked', accountId: 'beef' });
    await Promise.all([untilHeard(one, 1), untilHeard(two, 2), untilHeard(three, 3)]);
    assert.deepEqual(one.messages(), [{ kind: 'revoked', accountId: 'beef' }]);
    assert.deepEqual(two.messages(), [CREDITED, settled]);
    assert.deepEqual(three.counts.get('heard'), 3);
  });

  test('shops with other prefixes on one Redis hear nothing of each other', async (t) => {
    const server = await started(t);
    const [one, two, other] = [joinServer(t, server), joinServer(t, server), joinServer(t, server, 'other:')];
    await Promise.all([one, two, other].map((member) => untilMissed(member)));
    other.bus.publish({ kind: 'revoked', accountId: ALICE });
    await eventually(
      () => other.counts.get('sent'),
      (count) => count === 1,
    );
    one.bus.publish(CREDITED);
    await untilHeard(two, 1);
    assert.deepEqual([two.messages(), other.messages()], [[CREDITED], []]);
  });

  test('what somebody else writes to the channel is ignored and counted, however long it is', async (t) => {
    const server = await started(t);
    const [one, two] = [joinServer(t, server), joinServer(t, server)];
    await Promise.all([untilMissed(one), untilMissed(two)]);
    const hostile = [
      '',
      'hello',
      '{"kind":"revoked"}',
      `1 ${'0'.repeat(16)} credited ${'a'.repeat(1_000_000)}`,
    ];
    for (const text of hostile) await server.call('PUBLISH', 'sluice:bus', text);
    one.bus.publish(CREDITED);
    await untilHeard(two, 1);
    assert.deepEqual([two.messages(), two.counts.get('ignored')], [[CREDITED], hostile.length]);
  });

  test('while Redis is away messages are lost without a word, and when it is back all are told that they missed some', async (t) => {
    const server = await started(t);
    const [one, two] = [joinServer(t, server), joinServer(t, server)];
    await Promise.all([untilMissed(one), untilMissed(two)]);
    await server.kill();
    await Promise.all([untilDown(one), untilDown(two)]);
    one.bus.publish(CREDITED);
    await eventually(
      () => one.counts.get('lost'),
      (count) => count === 1,
    );
    await server.start();
    await Promise.all([untilMissed(one, 2), untilMissed(two, 2)]);
    one.bus.publish(LATER);
    await untilHeard(two, 1);
    assert.deepEqual(two.messages(), [LATER]);
    assert.deepEqual(two.stands, [true, false, true]);
  });

  test('a bus that loses its right to the channel is down, and stands when it has it again', async (t) => {
    const server = await started(t);
    const [one, two] = [joinServer(t, server), joinServer(t, server)];
    await Promise.all([untilMissed(one), untilMissed(two)]);
    await server.call('ACL', 'SETUSER', 'default', 'resetchannels', '&none');
    await Promise.all([untilDown(one), untilDown(two)]);
    await server.call('ACL', 'SETUSER', 'default', 'allchannels');
    await Promise.all([untilMissed(one, 2), untilMissed(two, 2)]);
    one.bus.publish(CREDITED);
    await untilHeard(two, 1);
    assert.deepEqual(two.stands, [true, false, true]);
  });

  test('a Redis that hangs blocks nobody, and is heard again when it goes on', async (t) => {
    const server = await started(t);
    const [one, two] = [joinServer(t, server), joinServer(t, server)];
    await Promise.all([untilMissed(one), untilMissed(two)]);
    server.pause();
    one.bus.publish(CREDITED);
    await untilDown(two);
    server.resume();
    await untilMissed(two, 2);
    await untilMissed(one, 2);
    one.bus.publish(LATER);
    await eventually(two.messages, (seen) =>
      seen.some((news) => 'accountId' in news && news.accountId === 'cafe'),
    );
  });

  test('a user without the right to the channel is told of, and the bus stays down', async (t) => {
    const server = await started(t);
    await server.call('ACL', 'SETUSER', 'limited', 'on', '>secret', '~*', '+@all', 'resetchannels');
    const limited = storeOn(server, { username: 'limited', password: 'secret' });
    const member = join(t, () => createRedisClient(limited));
    await eventually(
      () => member.failures.length,
      (count) => count >= 1,
    );
    assert.match(String(member.failures.at(-1)), /NOPERM/);
    member.bus.publish(CREDITED);
    await eventually(
      () => member.counts.get('lost'),
      (count) => count === 1,
    );
    assert.deepEqual(member.stands, []);
  });

  test('a bus that is closed hears and says nothing, and its connection is gone', async (t) => {
    const server = await started(t);
    const [one, two] = [joinServer(t, server), joinServer(t, server)];
    await Promise.all([untilMissed(one), untilMissed(two)]);
    await two.bus.close();
    await eventually(
      async () =>
        String(await server.call('CLIENT', 'LIST', 'TYPE', 'pubsub'))
          .trim()
          .split('\n').length,
      (subscribers) => subscribers === 1,
    );
    two.bus.publish(CREDITED);
    one.bus.publish(CREDITED);
    await eventually(
      () => one.counts.get('sent'),
      (count) => count === 1,
    );
    assert.deepEqual([one.messages(), two.messages()], [[], []]);
    await two.bus.close();
  });
});

test('on a Cluster the bus is one shard’s matter, and follows it to the replica that takes over', async (t) => {
  const cluster = await startRedisCluster({ replicas: 1 });
  t.after(() => cluster.stop());
  const nodes = cluster.masters.map(({ host, port }) => ({ host, port }));
  const makeClient = () => createRedisClient(redisStoreConfig({ kind: 'cluster', nodes }));
  const [one, two] = [join(t, makeClient), join(t, makeClient)];
  await Promise.all([untilMissed(one), untilMissed(two)]);
  one.bus.publish(CREDITED);
  await untilHeard(two, 1);
  const owner = await cluster.ownerOf('sluice:bus');
  assert.deepEqual(await owner.call('PUBSUB', 'SHARDCHANNELS'), ['sluice:bus']);
  await owner.kill();
  await untilMissed(one, 2);
  await untilMissed(two, 2);
  one.bus.publish(LATER);
  await eventually(two.messages, (seen) =>
    seen.some((news) => 'accountId' in news && news.accountId === 'cafe'),
  );
});

test('on a Cluster that has no sharded channels, messages go through all of its nodes', async (t) => {
  const cluster = await startRedisCluster({
    lines: ['rename-command SSUBSCRIBE ""', 'rename-command SPUBLISH ""'],
  });
  t.after(() => cluster.stop());
  const nodes = cluster.masters.map(({ host, port }) => ({ host, port }));
  const makeClient = () => createRedisClient(redisStoreConfig({ kind: 'cluster', nodes }));
  const [one, two] = [join(t, makeClient), join(t, makeClient)];
  await Promise.all([untilMissed(one), untilMissed(two)]);
  one.bus.publish(CREDITED);
  await untilHeard(two, 1);
  assert.deepEqual(two.messages(), [CREDITED]);
});
