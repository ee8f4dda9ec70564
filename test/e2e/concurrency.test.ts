import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { ask } from '../proxy/wire.ts';
import { buy } from '../support/gateway.ts';
import { accountOf, openScene, termsOf } from './scene.ts';

const PARALLEL = 200;

function tally(statuses: readonly number[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const status of statuses) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

test('200 requests at once on a credential for one call reach the upstream exactly once', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const headers = { Authorization: await buy(gateway, '/quote') };
  const answers = await Promise.all(
    Array.from({ length: PARALLEL }, () => ask(`${gateway.url}/quote`, { headers })),
  );
  assert.deepEqual(tally(answers.map(({ status }) => status)), { 200: 1, 402: PARALLEL - 1 });
  assert.equal(upstream.seen.length, 1);
  assert.equal((await accountOf(gateway, headers.Authorization)).spentMsat, 10_000);
});

test('200 requests at once over two gateways on one SQLite file too, also when it is presented for the first time', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const file = join(await scene.folder(), 'store.db');
  const wares = [{ price: '30 sat for 3 calls', upstream: upstream.origin }];
  const open = async () =>
    scene.keep(await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' }));
  const one = await scene.gateway(wares, { store: await open() });
  const two = await scene.gateway(wares, { store: await open(), simnet: one.simnet });
  const headers = { Authorization: await buy(one, '/quote') };
  const answers = await Promise.all(
    Array.from({ length: PARALLEL }, (_, n) => ask(`${(n % 2 === 0 ? one : two).url}/quote`, { headers })),
  );
  assert.deepEqual(tally(answers.map(({ status }) => status)), { 200: 3, 402: PARALLEL - 3 });
  assert.equal(upstream.seen.length, 3);
  const { creditedMsat, spentMsat } = await accountOf(two, headers.Authorization);
  assert.deepEqual([creditedMsat, spentMsat], [30_000, 30_000]);
});

test('what one gateway sold another one serves, and its revocation reaches the other', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const file = join(await scene.folder(), 'store.db');
  const wares = [{ price: '10 sat for 10m', upstream: upstream.origin }];
  const open = async () =>
    scene.keep(await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' }));
  const seller = await scene.gateway(wares, { store: await open() });
  const server = await scene.gateway(wares, { store: await open(), simnet: seller.simnet });
  const headers = { Authorization: await buy(seller, '/quote') };
  assert.equal((await ask(`${server.url}/quote`, { headers })).status, 200);
  const { accountId } = termsOf(headers.Authorization);
  await fetch(`${seller.adminUrl}/api/accounts/${accountId}/revoke`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${seller.adminToken}` },
  });
  assert.equal((await ask(`${seller.url}/quote`, { headers })).status, 402);
  let status = 200;
  for (let tries = 0; status === 200 && tries < 2_000; tries += 1)
    ({ status } = await ask(`${server.url}/quote`, { headers }));
  assert.equal(status, 402);
});
