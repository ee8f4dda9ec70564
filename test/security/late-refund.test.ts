import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { SPEND_KEY_TTL_SEC, type Store } from '../../gateway/ledger/store.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { balanceOf, eventually, openScene, type Scene } from '../e2e/scene.ts';
import { buy, type TestGatewayOptions, withCredential } from '../support/gateway.ts';

/** A gateway whose upstream answers when it is told to. */
async function openShop(scene: Scene, options: TestGatewayOptions) {
  const asked: ServerResponse[] = [];
  const upstream = await scene.upstream((req, res) => {
    req.resume();
    asked.push(res);
  });
  const gateway = await scene.gateway(
    [{ price: '10 sat', upstream: upstream.origin, headersTimeoutMs: 86_400_000 }],
    options,
  );
  const answer = async (status: number) => {
    await eventually(() => asked.length > 0);
    asked.shift()?.writeHead(status).end();
  };
  return { gateway, asked, answer };
}

const stores: Record<string, (scene: Scene, nowMs: () => number) => Promise<Store>> = {
  memory: async (_scene, nowMs) => createMemoryStore({ nowMs }),
  sqlite: async (scene, nowMs) => {
    const file = path.join(await scene.folder(), 'store.db');
    return scene.keep(await openSqliteStore({ file, nowMs, spendDurability: 'normal' }));
  },
};

for (const [name, open] of Object.entries(stores)) {
  test(`${name}: a call that fails long after the key of its spend was forgotten is given back, once`, async (t) => {
    const scene = openScene(t);
    const clock = { ms: Date.now() };
    const store = await open(scene, () => clock.ms);
    const shop = await openShop(scene, { clock, store });
    for (const elapsedSec of [0, SPEND_KEY_TTL_SEC + 1, 3 * SPEND_KEY_TTL_SEC]) {
      const credential = await buy(shop.gateway, '/quote');
      const answer = fetch(`${shop.gateway.url}/quote`, withCredential(credential));
      await eventually(() => shop.asked.length > 0);
      assert.equal(await balanceOf(shop.gateway, credential), 0);
      clock.ms += elapsedSec * 1000;
      await store.purge();
      await shop.answer(503);
      assert.equal((await answer).headers.get('l402-balance-msat'), '10000');
      await eventually(async () => (await balanceOf(shop.gateway, credential)) === 10_000);
    }
    assert.equal((await store.totals()).spentMsat, 0);
    assert.match((await shop.gateway.metrics.scrape()).body, /^sluice_charges_given_up_total 0$/m);
  });
}

for (const [what, headers, replies] of [
  ['a call', {}, { refundSpend: async () => ({ kind: 'unknown-account' }) as const }],
  [
    'a call with an Idempotency-Key',
    { 'Idempotency-Key': 'k' },
    { endAttempt: async () => ({ kind: 'unknown' }) as const },
  ],
] as const) {
  test(`${what} that can not be given back is counted, and its amount and the account are logged`, async (t) => {
    const scene = openScene(t);
    const clock = { ms: Date.now() };
    const lines: string[] = [];
    const destination = { write: (line: string) => lines.push(line) };
    const log = createLog({ level: 'error', format: 'json', destination });
    const store = { ...createMemoryStore({ nowMs: () => clock.ms }), ...replies };
    const shop = await openShop(scene, { clock, store, log });
    const credential = await buy(shop.gateway, '/quote');
    const answer = fetch(`${shop.gateway.url}/quote`, withCredential(credential, { headers }));
    await shop.answer(503);
    await (await answer).text();
    await eventually(() => lines.length > 0);
    assert.match(lines.join(''), /10000 msat could not be given back to account [0-9a-f]{8}…/);
    assert.match((await shop.gateway.metrics.scrape()).body, /^sluice_charges_given_up_total 1$/m);
  });
}
