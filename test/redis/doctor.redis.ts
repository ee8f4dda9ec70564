import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkStoreAndKeys } from '../../gateway/cli/doctor/store.ts';
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
