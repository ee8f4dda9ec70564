import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { checkStoreAndKeys } from '../../gateway/cli/doctor/store.ts';
import { keyFingerprint } from '../../gateway/l402/root-key.ts';
import { openLedger } from '../../gateway/ledger/ledger.ts';
import { closeRedis, connectRedis } from '../../gateway/ledger/redis/connect.ts';
import { openRedisStore } from '../../gateway/ledger/redis.ts';
import { testConfig } from '../support/config.ts';
import { startRedis, storeOn } from '../support/redis-server.ts';

test('doctor says that Redis answers, what it may lose, how its clock differs, and why it does not answer', async (t) => {
  const server = await startRedis({ lines: ['maxmemory-policy allkeys-lru'] });
  t.after(() => server.stop());
  const store = storeOn(server, { connectTimeoutMs: 2_000, commandTimeoutMs: 2_000 });
  const look = async (nowMs: () => number): Promise<readonly string[]> =>
    (await checkStoreAndKeys(testConfig([], { store }), nowMs)).map(
      ({ status, message, remedy }) => `${status} ${message} ${remedy ?? ''}`,
    );
  const seen = (await look(Date.now)).join('\n');
  assert.match(seen, /^ok redis:\/\/127\.0\.0\.1:\d+ answers in /m);
  assert.match(seen, /^warning .* writes snapshots only.*`appendonly yes`/m);
  assert.match(seen, /^warning .* throws keys away.*`maxmemory-policy noeviction`/m);
  assert.match(
    (await look(() => Date.now() + 3_600_000)).join('\n'),
    /^problem the clock of Redis .* 60 minutes apart/m,
  );
  await server.kill();
  assert.match((await look(Date.now)).join('\n'), /^problem The store at .* nobody listens there/m);
});

test('doctor says whether the master key, the data folder and the ledger in Redis belong together, and writes nothing', async (t) => {
  const server = await startRedis();
  const dataDir = await mkdtemp(path.join(tmpdir(), 'sluice-doctor-'));
  t.after(async () => {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
  const ours = Buffer.alloc(32, 1);
  const store = storeOn(server, { connectTimeoutMs: 2_000, commandTimeoutMs: 2_000 });
  const look = async (key: Buffer): Promise<string> => {
    const config = testConfig([], { store, dataDir, masterKeys: [key.toString('hex')] });
    const found = await checkStoreAndKeys(config, Date.now);
    return found.map(({ status, check, message }) => `${status} ${check}: ${message}`).join('\n');
  };
  assert.match(await look(ours), /^ok store: .* holds no ledger yet/m);

  const opened = await openRedisStore({ client: await connectRedis(store), name: 'test' });
  const ledger = await openLedger({
    store: opened,
    storeName: 'test',
    dataDir,
    keyFingerprints: [keyFingerprint(ours)],
    nowMs: Date.now,
  });
  const epoch = await opened.epoch();
  await ledger.close();
  const good = await look(ours);
  assert.match(good, /^ok master key: the store knows the master key$/m);
  assert.match(good, /^ok ledger\.json: the store is the one that this data folder used last$/m);
  assert.match(await look(Buffer.alloc(32, 2)), /^problem master key: the store was written with another/m);
  assert.equal(await opened.epoch(), epoch);
  await opened.close();

  await writeFile(
    path.join(dataDir, 'ledger.json'),
    JSON.stringify({ generation: '0'.repeat(32), epoch: 1 }),
  );
  assert.match(await look(ours), /^problem ledger\.json: .* names another generation/m);
  const client = await connectRedis(store);
  await client.flushall();
  await closeRedis(client);
  assert.match(
    await look(ours),
    /^problem store: .* holds no ledger, and this data folder has used a store/m,
  );
});
