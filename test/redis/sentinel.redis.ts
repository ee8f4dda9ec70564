import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { Cluster, type Redis } from 'ioredis';
import type { RedisStoreConfig } from '../../config/config.ts';
import { checkServers, warnOfServers } from '../../gateway/ledger/redis/check-server.ts';
import { closeRedis, connectRedis } from '../../gateway/ledger/redis/connect.ts';
import { CERTIFICATE_ONE } from '../security/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { failOver, type RedisSentinel, startRedisSentinel } from '../support/redis-sentinel.ts';
import { type RedisServer, redisStoreConfig, startRedis } from '../support/redis-server.ts';
import { type Relay, startRelay } from '../support/relay.ts';

/** Longer than a client waits between two tries to connect, ms: it asks the sentinels nearly all the time. */
const SLOW_ASKING_MS = 1_500;

let sentinel: RedisSentinel;

before(async () => {
  sentinel = await startRedisSentinel();
});

after(async () => {
  await sentinel.stop();
});

function configOf(sentinels: readonly { readonly host: string; readonly port: number }[]): RedisStoreConfig {
  return redisStoreConfig({ kind: 'sentinel', sentinels, master: sentinel.name });
}

async function connected(t: TestContext, config: RedisStoreConfig): Promise<Redis> {
  const client = await connectRedis(config);
  assert.ok(!(client instanceof Cluster));
  t.after(() => closeRedis(client));
  return client;
}

/** How many clients listen to a sentinel. */
async function ears(at: RedisServer): Promise<number> {
  const list = String(await at.call('CLIENT', 'LIST'));
  return (list.match(/ sub=1 /g) ?? []).length;
}

async function untilEars(count: number): Promise<void> {
  for (const one of sentinel.sentinels)
    await eventually(
      () => ears(one),
      (found) => found === count,
    );
}

async function untilWrites(client: Redis): Promise<void> {
  await eventually(
    () => client.set('a', '1').catch(() => undefined),
    (answer) => answer === 'OK',
  );
}

async function relays(t: TestContext): Promise<readonly Relay[]> {
  const started = await Promise.all(sentinel.sentinels.map(startRelay));
  t.after(() => Promise.all(started.map((relay) => relay.stop())));
  return started;
}

test('a failover that is told of while the client asks for the master is followed', async (t) => {
  const between = await relays(t);
  const client = await connected(t, configOf(between));
  const old = await sentinel.master();
  assert.equal(client.stream.remotePort, old.port);
  for (const relay of between) relay.delay(SLOW_ASKING_MS);
  await sentinel.killMaster();
  for (const relay of between) relay.delay(0);
  await untilWrites(client);
  assert.notEqual(client.stream.remotePort, old.port);
  await sentinel.rejoin(old);
});

test('a connection to a master that hangs ends when another is chosen, without a command that waits for it', async (t) => {
  const client = await connected(t, configOf(sentinel.sentinels));
  await untilEars(1);
  const hung = await sentinel.master();
  const closed = once(client, 'close');
  hung.pause();
  t.after(() => hung.resume());
  await closed;
  await untilWrites(client);
  assert.notEqual(client.stream.remotePort, hung.port);
});

test('nobody listens to the sentinels for a connection that is over, whoever ended it', async (t) => {
  const client = await connected(t, configOf(sentinel.sentinels));
  await untilWrites(client);
  await untilEars(1);
  // As the bus has them: it ends with its connection.
  const alone = client.duplicate({ retryStrategy: null });
  await alone.connect();
  await untilEars(2);
  const ended = once(alone, 'end');
  await (await sentinel.master()).call('CLIENT', 'KILL', 'ID', String(await alone.client('ID')));
  await ended;
  await untilEars(1);
  await closeRedis(client);
  await untilEars(0);
});

test('a failover of another master that the sentinels watch is not ours', async (t) => {
  const client = await connected(t, configOf(sentinel.sentinels));
  await untilWrites(client);
  await untilEars(1);
  const [other, replica] = await watchAnother(t);
  let isClosed = false;
  client.once('close', () => {
    isClosed = true;
  });
  await failOver(sentinel.sentinels[0], 'other-master');
  for (const one of sentinel.sentinels)
    await eventually(
      async () => String(await one.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'other-master')),
      (address) => address.endsWith(String(replica.port)) && !address.endsWith(String(other.port)),
    );
  assert.equal(await client.set('a', '2'), 'OK');
  assert.equal(isClosed, false);
});

async function watchAnother(t: TestContext): Promise<readonly [RedisServer, RedisServer]> {
  const other = await startRedis();
  t.after(() => other.stop());
  const replica = await startRedis({ lines: [`replicaof ${other.host} ${other.port}`] });
  t.after(() => replica.stop());
  await eventually(
    async () => String(await other.call('INFO', 'replication')),
    (info) => info.includes('state=online'),
  );
  for (const one of sentinel.sentinels)
    await one.call('SENTINEL', 'MONITOR', 'other-master', other.host, String(other.port), '2');
  t.after(() => Promise.all(sentinel.sentinels.map((one) => one.call('SENTINEL', 'REMOVE', 'other-master'))));
  for (const one of sentinel.sentinels)
    await eventually(
      async () => String(await one.call('SENTINEL', 'MASTER', 'other-master')),
      (known) => /num-slaves,1,num-other-sentinels,2/.test(known),
    );
  return [other, replica];
}

/** A sentinel of its own with one user, who logs in as `sluice`. */
async function strictSentinel(t: TestContext, user: string): Promise<[RedisServer, RedisStoreConfig]> {
  const master = await startRedis();
  t.after(() => master.stop());
  const strict = await startRedis({
    isSentinel: true,
    lines: [
      `sentinel monitor strict ${master.host} ${master.port} 1`,
      user,
      'user default on nopass ~* &* +@all',
    ],
  });
  t.after(() => strict.stop());
  const reach = { kind: 'sentinel', sentinels: [strict], master: 'strict' } as const;
  const login = { sentinelUsername: 'sluice', sentinelPassword: 'sentinel-secret' };
  return [strict, redisStoreConfig({ ...reach, ...login })];
}

test('the user that the documentation gives to the sentinels may all that is needed there', async (t) => {
  const documented = /^ {4}(user sluice on )>PASSWORD( &\+switch-master .*)$/m;
  const [, begin, rights] = documented.exec(readFileSync('docs/redis.md', 'utf8')) ?? [];
  const [strict, config] = await strictSentinel(t, `${begin}>sentinel-secret${rights}`);
  const client = await connected(t, config);
  assert.equal(await client.set('a', '1'), 'OK');
  await eventually(
    () => ears(strict),
    (found) => found === 1,
  );
  assert.ok(!(await checkServers(client, config)).some(({ code }) => code === 'deaf'));
});

test('a user who may not listen to the sentinels is told what is missing, and finds the master all the same', async (t) => {
  const rights = '-@all +hello +auth +sentinel|get-master-addr-by-name';
  const [strict, config] = await strictSentinel(t, `user sluice on >sentinel-secret ${rights}`);
  const client = await connected(t, config);
  assert.equal(await client.set('a', '1'), 'OK');
  assert.deepEqual(await warningsOf(client, config, 'sentinel'), [
    `store: ${strict.host}:${strict.port} (sentinel) does not let this user listen to failovers: a master that hangs is left only when ` +
      'commands have waited for it in vain, and one that wakes up is taken for the master until it is told otherwise. Mend it with the ' +
      'rights `&+switch-master +subscribe` for its user in their sentinel.conf; see docs/redis.md',
  ]);
  // One that is away is not looked at: the others may be.
  await strict.kill();
  assert.deepEqual(await warningsOf(client, config, 'sentinel'), []);
});

/** What the gateway says at its start that has a word in it. */
async function warningsOf(client: Redis, config: RedisStoreConfig, word: string): Promise<readonly string[]> {
  return (await warnOfServers(client, config)).filter((line) => line.includes(word));
}

test('with TLS, the sentinels and the master that they name are both asked by it', async (t) => {
  const master = await startRedis({ tls: CERTIFICATE_ONE });
  t.after(() => master.stop());
  const secure = await startRedis({
    tls: CERTIFICATE_ONE,
    isSentinel: true,
    lines: ['tls-replication yes', `sentinel monitor secure ${master.host} ${master.port} 1`],
  });
  t.after(() => secure.stop());
  const reach = { kind: 'sentinel', sentinels: [secure], master: 'secure' } as const;
  const client = await connected(
    t,
    redisStoreConfig(reach, { tls: { caFile: path.join(secure.folder, 'tls.crt') } }),
  );
  assert.equal(await client.set('a', '1'), 'OK');
  assert.equal(client.stream.remotePort, master.port);
  await eventually(
    () => ears(secure),
    (found) => found === 1,
  );
});

test('a sentinel that is away is tried again, and nothing is written about it', async (t) => {
  const wrote = t.mock.method(console, 'error', () => {});
  const between = await relays(t);
  const client = await connected(t, configOf(between));
  await untilEars(1);
  const [lost] = sentinel.sentinels;
  const [way] = between;
  assert.ok(lost && way);
  const before = way.connections();
  await lost.kill();
  await eventually(way.connections, (count) => count >= before + 3);
  assert.equal(await client.set('a', '3'), 'OK');
  assert.equal(wrote.mock.callCount(), 0);
  await lost.start();
  await untilEars(1);
});
