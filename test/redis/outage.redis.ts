import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { openScene } from '../e2e/scene.ts';
import { eventually } from '../support/eventually.ts';
import { askChallenge, buy, type TestGateway } from '../support/gateway.ts';
import { type RedisServer, startRedis, storeOn } from '../support/redis-server.ts';
import { openOn } from './redis-backend.ts';

const GRACE_MS = 60_000;

interface Shop {
  readonly server: RedisServer;
  readonly gateway: TestGateway;
  readonly clock: { ms: number };
  /** How many requests reached the upstream. */
  served(): number;
}

/** A gateway on a Redis of its own, that sells calls and passes. */
async function openShop(t: TestContext, lines: readonly string[]): Promise<Shop> {
  const server = await startRedis({ lines });
  t.after(() => server.stop());
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const config = storeOn(server, {
    connectTimeoutMs: 2_000,
    commandTimeoutMs: 2_000,
    passGraceMs: GRACE_MS,
  });
  const clock = { ms: Date.now() };
  const store = scene.keep(await openOn(config));
  const gateway = await scene.gateway(
    [
      { name: 'calls', path: '/quote', price: '100 sat for 10 calls', upstream: upstream.origin },
      { name: 'pass', path: '/pass', price: '10 sat for 10m', upstream: upstream.origin },
    ],
    { store, clock, config: { store: config } },
  );
  return { server, gateway, clock, served: () => upstream.seen.length };
}

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly retryAfter: string | null;
}

async function call({ gateway }: Shop, target: string, credential?: string): Promise<Answer> {
  const headers: Record<string, string> = credential === undefined ? {} : { Authorization: credential };
  const response = await fetch(gateway.url + target, { headers });
  const text = await response.text();
  const code = /"code":"([a-z-]+)"/.exec(text)?.[1];
  return { status: response.status, code, retryAfter: response.headers.get('retry-after') };
}

async function statusOf(shop: Shop, target: string, credential?: string): Promise<number> {
  return (await call(shop, target, credential)).status;
}

async function readiness({ gateway }: Shop): Promise<string> {
  const response = await fetch(`${gateway.adminUrl}/readyz`);
  return `${response.status} ${await response.text()}`;
}

function becomes(shop: Shop, target: string, credential: string, status: number): Promise<number> {
  return eventually(
    () => statusOf(shop, target, credential),
    (seen) => seen === status,
  );
}

test('Redis is away: balances wait, passes go on for their time, challenges are given, and all is well when it is back', async (t) => {
  const shop = await openShop(t, ['appendonly yes', 'appendfsync always']);
  const calls = await buy(shop.gateway, '/quote');
  const pass = await buy(shop.gateway, '/pass');
  const fresh = await buy(shop.gateway, '/quote');
  assert.equal(await statusOf(shop, '/quote', calls), 200);
  assert.equal(await statusOf(shop, '/pass', pass), 200);
  await shop.server.kill();
  const refused = await call(shop, '/quote', calls);
  assert.deepEqual([refused.status, refused.code], [503, 'store-unavailable']);
  assert.ok(Number(refused.retryAfter) > 0);
  assert.equal(await statusOf(shop, '/quote', fresh), 503);
  assert.equal(await statusOf(shop, '/pass', pass), 200);
  await askChallenge(`${shop.gateway.url}/quote`);
  await eventually(
    () => readiness(shop),
    (seen) => seen.startsWith('503'),
  );
  assert.equal(shop.served(), 3);
  shop.clock.ms += GRACE_MS + 10_000;
  assert.equal(await statusOf(shop, '/pass', pass), 503);
  await shop.server.start();
  await becomes(shop, '/quote', calls, 200);
  await becomes(shop, '/pass', pass, 200);
  await becomes(shop, '/quote', fresh, 200);
  await eventually(
    () => readiness(shop),
    (seen) => seen.startsWith('200'),
  );
});

test('Redis comes back empty: nothing is sold, charged or credited again, and it goes on when the data is back', async (t) => {
  const shop = await openShop(t, []);
  const { server, gateway } = shop;
  const calls = await buy(gateway, '/quote');
  const pass = await buy(gateway, '/pass');
  assert.equal(await statusOf(shop, '/quote', calls), 200);
  assert.equal(await statusOf(shop, '/pass', pass), 200);
  const served = shop.served();
  await server.call('SAVE');
  const data = path.join(server.folder, 'data', 'dump.rdb');
  const kept = path.join(server.folder, 'kept.rdb');
  await cp(data, kept);
  await server.kill();
  await server.wipe();
  await server.start();
  const refused = await eventually(
    () => call(shop, '/quote', calls),
    ({ code }) => code === 'store-mismatch',
  );
  assert.equal(refused.status, 503);
  await becomes(shop, '/pass', pass, 503);
  // Nobody is asked to pay for what can't be credited.
  await eventually(
    () => call(shop, '/quote'),
    ({ status, code }) => status === 503 && code === 'store-mismatch',
  );
  await eventually(
    () => readiness(shop),
    (seen) => seen.includes('store-mismatch'),
  );
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  assert.match(metrics, /^sluice_store_mismatch 1$/m);
  assert.equal(await server.call('DBSIZE'), 0);
  await server.kill();
  await cp(kept, data);
  await server.start();
  // The balance is what it was: nine calls.
  await becomes(shop, '/quote', calls, 200);
  for (let i = 0; i < 8; i += 1) assert.equal(await statusOf(shop, '/quote', calls), 200);
  assert.equal(await statusOf(shop, '/quote', calls), 402);
  await becomes(shop, '/pass', pass, 200);
  assert.ok(shop.served() >= served + 9);
});
