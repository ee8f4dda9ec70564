import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { ask } from '../proxy/wire.ts';
import { testConfig } from '../support/config.ts';
import { askChallenge, buy, withCredential } from '../support/gateway.ts';
import { appended, eventually, openScene, partsOf } from './scene.ts';

test('whatever is asked without payment writes nothing to the store', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const file = join(await scene.folder(), 'store.db');
  const store = scene.keep(await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' }));
  const challenge = { ...testConfig([]).challenge, burst: 60, perMinute: 1 };
  const gateway = await scene.gateway(
    [
      { price: '10 sat', upstream: upstream.origin },
      { name: 'free', path: '/free', price: 'free', upstream: upstream.origin },
    ],
    { store, config: { challenge } },
  );
  const paid = await buy(gateway, '/quote');
  await fetch(`${gateway.url}/quote`, withCredential(paid));
  // The feed of settlements remembers how far it has come: that is written for the payment, not for what follows.
  await eventually(async () => (await store.settlementCursor()) > 0);
  const unpaid = await askChallenge(`${gateway.url}/quote`);

  // Another connection's data_version changes with every commit of anybody (https://www.sqlite.org/pragma.html).
  const observer = new DatabaseSync(file, { readOnly: true });
  scene.keep({ close: async () => observer.close() });
  const version = (): unknown => observer.prepare('PRAGMA data_version').get()?.['data_version'];
  const before = version();
  const preimage = partsOf(paid).preimage;
  const forms: readonly [path: string, method: string, headers: Record<string, string>][] = [
    ['/quote', 'GET', {}],
    ['/quote', 'HEAD', {}],
    ['/quote', 'OPTIONS', { origin: 'https://page.example', 'access-control-request-method': 'GET' }],
    ['/quote', 'GET', { accept: 'text/html' }],
    ['/quote', 'POST', { 'content-type': 'application/grpc' }],
    ['/quote', 'POST', { 'idempotency-key': 'k' }],
    ['/quote', 'GET', { authorization: 'L402 garbage' }],
    ['/quote', 'GET', { authorization: `L402 ${unpaid.macaroon}:${preimage}` }],
    ['/quote', 'GET', { authorization: `L402 ${unpaid.macaroon}:${'00'.repeat(32)}` }],
    ['/quote', 'GET', { authorization: appended(paid, 'quote_credit_msat=99') }],
    ['/free', 'GET', {}],
    ['/nowhere', 'GET', {}],
    [`/.l402/invoices/${unpaid.paymentHash}`, 'GET', { 'l402-macaroon': unpaid.macaroon }],
  ];
  const statuses = new Set<number>();
  for (let round = 0; round < 10; round += 1) {
    for (const [path, method, headers] of forms)
      statuses.add((await ask(gateway.url + path, { method, headers })).status);
  }
  assert.deepEqual([...statuses].sort(), [200, 204, 402, 404, 429]);
  assert.equal(version(), before);

  // The measure works: one paid call changes it.
  const another = `L402 ${unpaid.macaroon}:${await gateway.pay(unpaid.invoice)}`;
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(another))).status, 200);
  assert.notEqual(version(), before);
});
