import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { redisClients } from '../../gateway/flow/redis-clients.ts';
import type { SharedAdmission } from '../../gateway/flow/shared-clients.ts';
import { closeRedis, connectRedis } from '../../gateway/ledger/redis/connect.ts';
import { eventually } from '../support/eventually.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { redisStoreConfig, startRedis, storeOn } from '../support/redis-server.ts';

const LIMITS = { burst: 5, perMinute: 1, maxOutstandingPerClient: 3, invoiceExpirySec: 600 };
const WIDE = { ...LIMITS, burst: 1_000, maxOutstandingPerClient: 1_000 };
/** On a busy machine an answer may take its time. */
const PATIENT_MS = 20_000;

async function open(t: TestContext) {
  const server = await startRedis();
  t.after(() => server.stop());
  const make = async () => {
    const client = await connectRedis(storeOn(server));
    t.after(() => closeRedis(client));
    return redisClients({ client, keyPrefix: 'sluice:', timeoutMs: PATIENT_MS });
  };
  return { server, one: await make(), two: await make() };
}

function kinds(admissions: readonly SharedAdmission[]): readonly string[] {
  return admissions.map(({ kind }) => kind).sort();
}

test('two gateways give one client its burst once, though both race, and say when there is more', async (t) => {
  const { one, two } = await open(t);
  const limits = { ...LIMITS, maxOutstandingPerClient: 100 };
  const asked = Array.from({ length: 12 }, (_, at) => (at % 2 === 0 ? one : two).admit('192.0.2.1', limits));
  const answers = await Promise.all(asked);
  assert.equal(answers.filter(({ kind }) => kind === 'admitted').length, 5);
  const refused = answers.find((answer) => answer.kind === 'wait');
  assert.ok(refused?.kind === 'wait' && refused.retryAfterSec > 0 && refused.retryAfterSec <= 60);
  assert.equal((await two.admit('192.0.2.2', limits)).kind, 'admitted');
});

test('a client has so many unpaid invoices at all gateways, and one more when a place was given back anywhere', async (t) => {
  const { one, two } = await open(t);
  const limits = { ...LIMITS, burst: 100 };
  const first = await one.admit('a', limits);
  const others = [await two.admit('a', limits), await one.admit('a', limits), await two.admit('a', limits)];
  assert.deepEqual(kinds(others), ['admitted', 'admitted', 'full']);
  assert.ok(first.kind === 'admitted');
  first.place.giveBack();
  await eventually(
    async () => (await two.admit('a', limits)).kind,
    (kind) => kind === 'admitted',
  );
});

test('a place is free when its invoice has ended, and a client who says nothing leaves nothing in Redis', async (t) => {
  const { server, one } = await open(t);
  const brief = { burst: 1_000, perMinute: 60_000, maxOutstandingPerClient: 1, invoiceExpirySec: 1 };
  assert.equal((await one.admit('a', brief)).kind, 'admitted');
  assert.equal((await one.admit('a', brief)).kind, 'full');
  await eventually(
    async () => (await one.admit('a', brief)).kind,
    (kind) => kind === 'admitted',
  );
  await eventually(
    () => server.call('DBSIZE'),
    (keys) => keys === 0,
  );
});

test('what a client is called stands in no key', async (t) => {
  const { server, one } = await open(t);
  await one.admit('192.0.2.77', WIDE);
  await one.admit('} evil {\r\n', WIDE);
  const keys = String(await server.call('KEYS', '*'));
  assert.doesNotMatch(keys, /192|evil/);
});

test('a Redis that hangs or is gone leaves the verdict to each gateway, soon', async (t) => {
  const { server } = await open(t);
  const client = await connectRedis(storeOn(server));
  t.after(() => client.disconnect());
  const clients = redisClients({ client, keyPrefix: 'sluice:', timeoutMs: 20 });
  server.pause();
  assert.equal((await clients.admit('a', WIDE)).kind, 'away');
  server.resume();
  await server.kill();
  assert.equal((await clients.admit('a', WIDE)).kind, 'away');
});

test('on a Cluster both keys of a client are in one slot', async (t) => {
  const cluster = await startRedisCluster();
  const nodes = cluster.masters.map(({ host, port }) => ({ host, port }));
  const client = await connectRedis(redisStoreConfig({ kind: 'cluster', nodes }));
  t.after(async () => {
    await closeRedis(client);
    await cluster.stop();
  });
  const clients = redisClients({ client, keyPrefix: 'sluice:', timeoutMs: PATIENT_MS });
  const answers = await Promise.all(['a', 'b', 'c', 'd'].map((name) => clients.admit(name, WIDE)));
  assert.deepEqual(new Set(kinds(answers)), new Set(['admitted']));
});
