import assert from 'node:assert/strict';
import { once } from 'node:events';
import path from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { Cluster, type Redis } from 'ioredis';
import { closeRedis, connectRedis, createRedisClient } from '../../gateway/ledger/redis/connect.ts';
import { eventually } from '../support/eventually.ts';
import { type FakeSentinel, respArray, startFakeSentinel } from '../support/fake-sentinel.ts';
import { freePorts, type RedisServer, redisStoreConfig, startRedis } from '../support/redis-server.ts';

/** Two that take themselves for the master, as the old one does after a failover. */
let servers: readonly [RedisServer, RedisServer];

before(async () => {
  servers = [await startRedis(), await startRedis()];
});

after(() => Promise.all(servers.map((server) => server.stop())));

async function sentinelSaying(t: TestContext, answer?: string): Promise<FakeSentinel> {
  const sentinel = await startFakeSentinel(answer);
  t.after(() => sentinel.stop());
  return sentinel;
}

function naming({ host, port }: { readonly host: string; readonly port: number }): string {
  return respArray([host, String(port)]);
}

function configOf(sentinels: readonly FakeSentinel[]) {
  return redisStoreConfig({ kind: 'sentinel', sentinels, master: 'odd' });
}

/** Not awaited: it is told how that goes by the client. */
function connecting(t: TestContext, sentinels: readonly FakeSentinel[]): Redis {
  const client = createRedisClient(configOf(sentinels));
  assert.ok(!(client instanceof Cluster));
  t.after(() => closeRedis(client));
  client.connect().catch(() => {});
  return client;
}

async function connected(t: TestContext, sentinels: readonly FakeSentinel[]): Promise<Redis> {
  const client = await connectRedis(configOf(sentinels));
  assert.ok(!(client instanceof Cluster));
  t.after(() => closeRedis(client));
  return client;
}

/** Waits until a client uses a server. */
async function untilAt(client: Redis, { port }: RedisServer): Promise<void> {
  await eventually(
    () => client.status === 'ready' && client.stream.remotePort === port,
    (isThere) => isThere,
  );
}

async function untilHeard(...sentinels: readonly FakeSentinel[]): Promise<void> {
  for (const sentinel of sentinels) await eventually(sentinel.ears, (count) => count === 1);
}

const NO_ADDRESSES: Readonly<Record<string, string>> = {
  'a port that is too high': respArray(['127.0.0.1', '99999']),
  'a port that is no number': respArray(['127.0.0.1', 'abc']),
  'port 0': respArray(['127.0.0.1', '0']),
  'an empty host': respArray(['', '6379']),
  'a host of 50,000 letters': respArray(['a'.repeat(50_000), '6379']),
  'a host with a NUL in it': respArray(['127.0.0.1\0', '6379']),
  'numbers for both': '*2\r\n:5\r\n:6379\r\n',
  'nothing for both': '*2\r\n$-1\r\n$-1\r\n',
  'a list in a list': '*2\r\n*1\r\n$1\r\na\r\n$4\r\n6379\r\n',
  'a host alone': respArray(['127.0.0.1']),
  'a word': '+OK\r\n',
  'that it knows no such master': '*-1\r\n',
  'an error': '-IDONTKNOW\r\n',
  'what is not Redis': 'HTTP/1.1 400 Bad Request\r\n\r\n',
};

for (const [what, answer] of Object.entries(NO_ADDRESSES)) {
  test(`a sentinel that answers ${what} is passed over`, async (t) => {
    const odd = await sentinelSaying(t, answer);
    const good = await sentinelSaying(t, naming(servers[0]));
    const client = await connected(t, [odd, good]);
    assert.ok(odd.asked() > 0);
    assert.equal(client.stream.remotePort, servers[0].port);
  });
}

test('a sentinel that answers without an end is cut off', async (t) => {
  const endless = await sentinelSaying(t, `*2\r\n$400000000\r\n${'a'.repeat(1_000_000)}`);
  const good = await sentinelSaying(t, naming(servers[0]));
  const client = await connected(t, [endless, good]);
  assert.equal(client.stream.remotePort, servers[0].port);
});

test('the only sentinel names no address: it is asked again, until it does', async (t) => {
  const odd = await sentinelSaying(t, respArray(['127.0.0.1', '99999']));
  const client = connecting(t, [odd]);
  await eventually(odd.asked, (count) => count >= 3);
  odd.answer(naming(servers[0]));
  await untilAt(client, servers[0]);
});

test('a start that no sentinel helps says what is wrong with them', async (t) => {
  const odd = await sentinelSaying(t, respArray(['127.0.0.1', '99999']));
  const config = { ...configOf([odd]), connectTimeoutMs: 300, commandTimeoutMs: 300 };
  await assert.rejects(connectRedis(config), /a sentinel answers what is no address of a master/);
  const noKey = path.join(servers[0].folder, 'redis.conf');
  const tls = { certFile: noKey, keyFile: noKey };
  await assert.rejects(connectRedis({ ...config, tls }), /PEM/);
});

test('a sentinel that is behind, and names a server that is away, does not keep the gateway from its start', async (t) => {
  const [port = 0] = await freePorts(1);
  const behind = await sentinelSaying(t, naming({ host: '127.0.0.1', port }));
  const good = await sentinelSaying(t, naming(servers[0]));
  const client = await connected(t, [behind, good]);
  assert.equal(client.stream.remotePort, servers[0].port);
  // The next time, the one that knew the master is asked first.
  const asked = behind.asked();
  const again = once(client, 'ready');
  client.disconnect(true);
  await again;
  assert.equal(behind.asked(), asked);
});

test('a sentinel that names a replica is passed over', async (t) => {
  const replica = await startRedis({ lines: [`replicaof ${servers[0].host} ${servers[0].port}`] });
  t.after(() => replica.stop());
  const behind = await sentinelSaying(t, naming(replica));
  const good = await sentinelSaying(t, naming(servers[0]));
  const client = await connected(t, [behind, good]);
  assert.equal(client.stream.remotePort, servers[0].port);
});

test('a client that is closed while it asks asks no other sentinel', async (t) => {
  const silent = await sentinelSaying(t);
  const other = await sentinelSaying(t, naming(servers[0]));
  const client = connecting(t, [silent, other]);
  await eventually(silent.asked, (count) => count === 1);
  await untilHeard(silent, other);
  await closeRedis(client);
  for (const sentinel of [silent, other]) await eventually(sentinel.connections, (count) => count === 0);
  assert.equal(other.asked(), 0);
  assert.equal(client.status, 'end');
});

test('a client that is closed between two rounds through the sentinels asks none again', async (t) => {
  const odd = await sentinelSaying(t, '*-1\r\n');
  const client = connecting(t, [odd]);
  await once(client, 'error');
  const ended = once(client, 'end');
  client.disconnect();
  const asked = odd.asked();
  await ended;
  assert.equal(odd.asked(), asked);
});

test('a failover that was told of while nobody could hear it is asked for', async (t) => {
  const sentinels = [
    await sentinelSaying(t, naming(servers[0])),
    await sentinelSaying(t, naming(servers[0])),
  ];
  const client = await connected(t, sentinels);
  await untilHeard(...sentinels);
  for (const sentinel of sentinels) sentinel.leave();
  for (const sentinel of sentinels) sentinel.answer(naming(servers[1]));
  for (const sentinel of sentinels) sentinel.comeBack();
  await untilAt(client, servers[1]);
});

test('a sentinel that is behind ends a good connection once at most after such a gap', async (t) => {
  const good = await sentinelSaying(t, naming(servers[0]));
  const behind = await sentinelSaying(t, naming(servers[0]));
  const client = await connected(t, [good, behind]);
  await untilHeard(good, behind);
  let closed = 0;
  client.on('close', () => {
    closed += 1;
  });
  behind.answer(naming(servers[1]));
  for (const sentinel of [good, behind]) sentinel.leave();
  const asked = good.asked();
  for (const sentinel of [behind, good]) sentinel.comeBack();
  await eventually(
    () => closed,
    (count) => count === 1,
  );
  await eventually(good.asked, (count) => count > asked);
  await untilAt(client, servers[0]);
  await untilHeard(good, behind);
  // Nothing is under way any more that could end it again: all that listen have been answered.
  assert.equal(await client.ping(), 'PONG');
  assert.equal(closed, 1);
});

test('a sentinel that comes back while another was heard all the time is not asked', async (t) => {
  const good = await sentinelSaying(t, naming(servers[0]));
  const behind = await sentinelSaying(t, naming(servers[1]));
  const client = await connected(t, [good, behind]);
  await untilHeard(good, behind);
  behind.leave();
  behind.comeBack();
  await untilHeard(good, behind);
  // It is asked now, by the next connection. Had it been asked before, that would have come before the end of its ear.
  behind.tell(`odd 127.0.0.1 1 ${servers[1].host} ${servers[1].port}`);
  await untilAt(client, servers[1]);
  await closeRedis(client);
  await eventually(behind.connections, (count) => count === 0);
  assert.equal(behind.asked(), 1);
});

test('who told of a failover is asked first then: the sentinel that led to the old master may be behind', async (t) => {
  const behind = await sentinelSaying(t, naming(servers[0]));
  const knowing = await sentinelSaying(t, naming(servers[1]));
  const client = await connected(t, [behind, knowing]);
  assert.equal(client.stream.remotePort, servers[0].port);
  await untilHeard(behind, knowing);
  knowing.tell(`odd ${servers[0].host} ${servers[0].port} ${servers[1].host} ${servers[1].port}`);
  await untilAt(client, servers[1]);
});

test('news that name no address are no news, and a name is no other master than the one that was connected to by it', async (t) => {
  const named = { host: 'localhost', port: servers[0].port };
  const sentinel = await sentinelSaying(t, naming(named));
  const client = await connected(t, [sentinel]);
  await untilHeard(sentinel);
  let closed = 0;
  client.on('close', () => {
    closed += 1;
  });
  for (const news of [
    'odd',
    'odd 127.0.0.1 1 127.0.0.1 abc',
    'odd 1 2 3',
    'odd 127.0.0.1 1  6379',
    '\n'.repeat(999),
  ])
    sentinel.tell(news);
  sentinel.tell(`odd 127.0.0.1 1 ${named.host} ${named.port}`);
  sentinel.answer(naming(servers[1]));
  sentinel.tell(`odd 127.0.0.1 1 ${servers[1].host} ${servers[1].port}`);
  await untilAt(client, servers[1]);
  assert.equal(closed, 1);
});
