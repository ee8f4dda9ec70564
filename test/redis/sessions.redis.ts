import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { closeRedis, connectRedis } from '../../gateway/ledger/redis/connect.ts';
import { redisShelf } from '../../gateway/session/redis-shelf.ts';
import { createSharedSessions } from '../../gateway/session/shared-table.ts';
import { heldCredential, sessionsContract } from '../contract/sessions.contract.ts';
import { eventually } from '../support/eventually.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { type RedisServer, redisStoreConfig, startRedis, storeOn } from '../support/redis-server.ts';

async function openServer(t: TestContext, nowMs: () => number = Date.now, maxSessions = 1_000) {
  const server = await startRedis();
  const client = await connectRedis(storeOn(server));
  t.after(async () => {
    await closeRedis(client);
    await server.stop();
  });
  return { server, shelf: redisShelf({ client, name: 'test', keyPrefix: 'sluice:', nowMs, maxSessions }) };
}

function always(): () => number {
  let ms = 0;
  return () => {
    ms += 1_000;
    return ms;
  };
}

sessionsContract('in Redis', async (t, clock) => {
  const { shelf } = await openServer(t, clock.nowMs);
  return createSharedSessions({ shelf, nowSec: clock.nowSec, steadyMs: always() });
});

/** Everything that a copy of the server would hold. */
async function dumpOf(server: RedisServer): Promise<string> {
  const keys = await server.call('KEYS', '*');
  assert.ok(Array.isArray(keys));
  const values = await Promise.all(
    keys.map((key) =>
      /sessions/.test(key) ? server.call('ZRANGE', key, '0', '-1') : server.call('GET', key),
    ),
  );
  return [...keys, ...values.flat()].join('\n');
}

test('a copy of Redis holds no credential that could be spent, and no cookie', async (t) => {
  const { server, shelf } = await openServer(t);
  const table = createSharedSessions({ shelf, nowSec: () => 0 });
  const secret = 'c0ffee'.repeat(8);
  const candidate = { macaroons: [secret], preimage: secret, cacheKey: secret };
  const validUntilSec = Math.floor(Date.now() / 1000) + 600;
  const { id } = await table.open(heldCredential({ candidate, validUntilSec }), undefined);
  const dump = await dumpOf(server);
  assert.match(dump, /sluice:session:[0-9a-f]{64}/);
  assert.ok(!dump.includes(secret) && !dump.includes(id));
});

test('Redis forgets a session at its end, and the lists with the last one in them', async (t) => {
  const { server, shelf } = await openServer(t);
  const untilSec = Math.ceil(Date.now() / 1000) + 1;
  await shelf.put({ key: 'ab'.repeat(32), sealed: Buffer.from('x'), accountIds: ['aa'], untilSec });
  await eventually(
    () => server.call('DBSIZE'),
    (keys) => keys === 0,
  );
});

test('of all sessions the oldest is forgotten beyond the bound', async (t) => {
  let ms = Date.now();
  const { server, shelf } = await openServer(t, () => ms, 3);
  const untilSec = Math.ceil(ms / 1000) + 600;
  const keys = ['1', '2', '3', '4', '5'].map((digit) => digit.repeat(64));
  for (const key of keys) {
    ms += 1;
    await shelf.put({ key, sealed: Buffer.from(key), accountIds: [key.slice(0, 4)], untilSec });
  }
  const found = await Promise.all(keys.map((key) => shelf.get(key)));
  assert.deepEqual(
    found.map((sealed) => sealed?.toString()),
    [undefined, undefined, ...keys.slice(2)],
  );
  assert.equal(await server.call('ZCARD', 'sluice:sessions'), 3);
});

test('sessions work on a Cluster', async (t) => {
  const cluster = await startRedisCluster();
  const nodes = cluster.masters.map(({ host, port }) => ({ host, port }));
  const client = await connectRedis(redisStoreConfig({ kind: 'cluster', nodes }));
  t.after(async () => {
    await closeRedis(client);
    await cluster.stop();
  });
  const shelf = redisShelf({ client, name: 'test', keyPrefix: 'sluice:', nowMs: Date.now });
  const validUntilSec = Math.floor(Date.now() / 1000) + 600;
  const [here, there] = [
    createSharedSessions({ shelf, nowSec: () => 0 }),
    createSharedSessions({ shelf, nowSec: () => 0 }),
  ];
  for (const accountId of ['aa', 'bb', 'cc']) {
    const held = heldCredential({ accountId, validUntilSec });
    const { id } = await here.open(held, undefined);
    assert.deepEqual(await there.credentials(id), [held]);
  }
});
