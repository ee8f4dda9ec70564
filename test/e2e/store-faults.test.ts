import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { assembleStore } from '../../gateway/ledger/assemble-store.ts';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { sqliteBooks } from '../../gateway/ledger/sqlite/books.ts';
import { GroupCommit } from '../../gateway/ledger/sqlite/group-commit.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { type Store, StoreError } from '../../gateway/ledger/store.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { ask, type WholeResponse } from '../proxy/wire.ts';
import { askChallenge, buy, type TestGateway } from '../support/gateway.ts';
import { balanceOf, eventually, openScene, type Scene, type Upstream } from './scene.ts';

/* Without its store a gateway sells nothing that needs a balance, gives nothing away, and loses nothing. */

/** How a verb fails: it never arrives, or it holds and its answer is lost. */
type Failure = 'before' | 'after';

interface BrokenStore {
  readonly store: Store;
  /** Verbs that fail now; `*`: all of them. */
  readonly failing: Map<string, Failure>;
}

/** A memory store that can go away. */
function breakableStore(nowMs: () => number): BrokenStore {
  const failing = new Map<string, Failure>();
  const real = createMemoryStore({ nowMs });
  const breakable =
    (name: string, verb: (...args: never[]) => unknown) =>
    async (...args: never[]) => {
      const failure = failing.get(name) ?? failing.get('*');
      if (failure === 'before') throw new StoreError('unavailable', 'the store is gone');
      const result = await verb(...args);
      if (failure === 'after') throw new StoreError('unavailable', 'the answer was lost');
      return result;
    };
  const entries = Object.entries(real).map(([name, verb]) => [name, breakable(name, verb)] as const);
  return { store: { ...real, ...Object.fromEntries(entries) }, failing };
}

interface Shop extends BrokenStore {
  readonly scene: Scene;
  readonly upstream: Upstream;
  readonly gateway: TestGateway;
  readonly log: readonly string[];
  /** What the upstream answers. */
  status: number;
  /** Called when the upstream is asked. */
  onAsked: () => void;
}

async function openShop(t: TestContext): Promise<Shop> {
  const scene = openScene(t);
  const clock = { ms: Date.now() };
  const { store, failing } = breakableStore(() => clock.ms);
  const answer = { status: 200, onAsked: () => {} };
  const upstream = await scene.upstream((_req, res) => {
    answer.onAsked();
    res.writeHead(answer.status).end('paid for');
  });
  const log: string[] = [];
  const gateway = await scene.gateway(
    [
      { price: '10 sat', upstream: upstream.origin },
      { name: 'pass', path: '/pass', price: '10 sat for 10m', upstream: upstream.origin },
    ],
    {
      store,
      clock,
      log: createLog({ level: 'error', format: 'json', destination: { write: (line) => log.push(line) } }),
    },
  );
  return Object.assign(answer, { scene, upstream, gateway, store, failing, log });
}

function call({ gateway }: Shop, credential: string, headers = {}, path = '/quote'): Promise<WholeResponse> {
  return ask(gateway.url + path, { headers: { Authorization: credential, ...headers } });
}

function isClosed(answer: WholeResponse): void {
  assert.equal(answer.status, 503, answer.body.toString());
  assert.ok(answer.headers['retry-after']);
  assert.equal(answer.headers['www-authenticate'], undefined);
  assert.match(answer.body.toString(), /"code":"store-unavailable"/);
}

test('a store that is gone: calls are 503 and reach nobody, passes in use go on, challenges are still made', async (t) => {
  const shop = await openShop(t);
  const call1 = await buy(shop.gateway, '/quote');
  const inUse = await buy(shop.gateway, '/pass');
  const unused = await buy(shop.gateway, '/pass');
  assert.equal((await call(shop, inUse, {}, '/pass')).status, 200);
  shop.failing.set('*', 'before');
  isClosed(await call(shop, call1));
  isClosed(await call(shop, call1, { 'Idempotency-Key': 'k' }));
  isClosed(await call(shop, unused, {}, '/pass'));
  assert.equal((await call(shop, inUse, {}, '/pass')).status, 200);
  await askChallenge(`${shop.gateway.url}/quote`);
  assert.equal(shop.upstream.seen.length, 2);
  shop.failing.clear();
  assert.equal((await call(shop, call1)).status, 200);
  assert.equal((await call(shop, unused, {}, '/pass')).status, 200);
});

test('a debit whose answer was lost is voided as soon as the store is back', async (t) => {
  const shop = await openShop(t);
  const credential = await buy(shop.gateway, '/quote');
  shop.failing.set('spend', 'after').set('voidSpend', 'before');
  isClosed(await call(shop, credential));
  assert.equal(await balanceOf(shop.gateway, credential), 0);
  assert.equal(shop.upstream.seen.length, 0);
  shop.failing.clear();
  await eventually(async () => (await balanceOf(shop.gateway, credential)) === 10_000);
  assert.equal((await call(shop, credential)).status, 200);
  assert.equal(await balanceOf(shop.gateway, credential), 0);
});

test('a debit that never arrived is voided too, so that it can’t arrive late', async (t) => {
  const shop = await openShop(t);
  const credential = await buy(shop.gateway, '/quote');
  shop.failing.set('spend', 'before');
  isClosed(await call(shop, credential));
  shop.failing.clear();
  assert.equal((await call(shop, credential)).status, 200);
  assert.equal(await balanceOf(shop.gateway, credential), 0);
});

test('a first presentation whose answer was lost is credited once', async (t) => {
  const shop = await openShop(t);
  const credential = await buy(shop.gateway, '/quote');
  shop.failing.set('redeem', 'after');
  isClosed(await call(shop, credential));
  shop.failing.clear();
  assert.equal((await call(shop, credential)).status, 200);
  assert.equal((await shop.store.totals()).creditedMsat, 10_000);
  assert.equal((await call(shop, credential)).status, 402);
});

test('a call with an Idempotency-Key whose debit got lost on the way is free when it is asked again', async (t) => {
  const shop = await openShop(t);
  const credential = await buy(shop.gateway, '/quote');
  shop.failing.set('beginAttempt', 'after');
  isClosed(await call(shop, credential, { 'Idempotency-Key': 'k' }));
  shop.failing.clear();
  assert.equal((await call(shop, credential, { 'Idempotency-Key': 'k' })).status, 200);
  assert.equal(await balanceOf(shop.gateway, credential), 0);
  assert.equal(shop.upstream.seen.length, 1);
});

test('a store that goes while the upstream works: its answer is given, its refund comes when the store is back', async (t) => {
  const shop = await openShop(t);
  const credential = await buy(shop.gateway, '/quote');
  shop.status = 500;
  shop.onAsked = () => shop.failing.set('*', 'before');
  assert.equal((await call(shop, credential)).status, 500);
  shop.failing.clear();
  assert.equal(await balanceOf(shop.gateway, credential), 0);
  await eventually(async () => (await balanceOf(shop.gateway, credential)) === 10_000);
});

test('a refund that was waiting is made when the gateway stops, or its loss is said', async (t) => {
  for (const back of [true, false]) {
    const shop = await openShop(t);
    const credential = await buy(shop.gateway, '/quote');
    shop.status = 500;
    shop.onAsked = () => shop.failing.set('*', 'before');
    await call(shop, credential);
    if (back) shop.failing.clear();
    await shop.gateway.gateway.stop();
    shop.failing.clear();
    assert.equal(await balanceOf(shop.gateway, credential), back ? 10_000 : 0);
    assert.equal(
      shop.log.some((line) => line.includes('could not be ended')),
      !back,
    );
  }
});

test('a SQLite file that another program has locked: 503, nothing charged, and it goes on afterwards', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const file = join(await scene.folder(), 'store.db');
  const store = scene.keep(
    await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal', busyTimeoutMs: 30 }),
  );
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }], { store });
  const credential = await buy(gateway, '/quote');
  const headers = { Authorization: credential };
  const fresh = await buy(gateway, '/quote');
  await store.ping();
  const other = new DatabaseSync(file);
  scene.keep({ close: async () => other.close() });
  other.exec('BEGIN IMMEDIATE');
  isClosed(await ask(`${gateway.url}/quote`, { headers }));
  isClosed(await ask(`${gateway.url}/quote`, { headers: { Authorization: fresh } }));
  other.exec('ROLLBACK');
  assert.equal(upstream.seen.length, 0);
  assert.equal((await ask(`${gateway.url}/quote`, { headers })).status, 200);
  assert.equal((await ask(`${gateway.url}/quote`, { headers })).status, 402);
});

test('a full disk: new payments are 503 and not lost, passes go on, and all of it is served when there is room', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const file = join(await scene.folder(), 'store.db');
  const nowMs = Date.now;
  await (await openSqliteStore({ file, nowMs, spendDurability: 'normal' })).close();
  const db = new DatabaseSync(file);
  const store = assembleStore(
    new GroupCommit({
      db,
      books: sqliteBooks(db),
      file,
      nowSec: () => Math.floor(nowMs() / 1000),
      nowMs,
      spendDurability: 'normal',
      busyTimeoutMs: 1_000,
      onLatency: () => {},
    }),
  );
  scene.keep(store);
  const gateway = await scene.gateway(
    [
      { price: '10 sat', upstream: upstream.origin },
      { name: 'pass', path: '/pass', price: '10 sat for 10m', upstream: upstream.origin },
    ],
    { store },
  );
  const pass = await buy(gateway, '/pass');
  const call = (credential: string, path = '/quote') =>
    ask(gateway.url + path, { headers: { Authorization: credential } });
  assert.equal((await call(pass, '/pass')).status, 200);
  db.exec('PRAGMA max_page_count = 1');
  const paid: string[] = [];
  let last: WholeResponse | undefined;
  while (last?.status !== 503 && paid.length < 500) {
    const credential = await buy(gateway, '/quote');
    paid.push(credential);
    last = await call(credential);
  }
  assert.ok(last);
  isClosed(last);
  const served = upstream.seen.length;
  assert.equal((await call(pass, '/pass')).status, 200);
  await askChallenge(`${gateway.url}/quote`);
  db.exec('PRAGMA max_page_count = 1000000');
  const [refused = ''] = paid.slice(-1);
  assert.equal((await call(refused)).status, 200);
  assert.equal(upstream.seen.length, served + 2);
  for (const credential of paid) assert.equal((await call(credential)).status, 402);
  const totals = await store.totals();
  assert.deepEqual([totals.creditedMsat, totals.balanceMsat], [paid.length * 10_000, 0]);
});
