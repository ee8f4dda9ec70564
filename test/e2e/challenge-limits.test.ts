import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ChallengeConfig, Config } from '../../config/config.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { ask } from '../proxy/wire.ts';
import { testConfig } from '../support/config.ts';
import { askChallenge, buy, type TestGateway, withCredential } from '../support/gateway.ts';
import { openScene } from './scene.ts';

/** What a client may make the node do before it paid. */
async function openShop(
  t: TestContext,
  limits: Partial<ChallengeConfig>,
  config: Partial<Config> = {},
  log?: ReturnType<typeof createLog>,
): Promise<TestGateway> {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  return scene.gateway([{ price: '10 sat', upstream: upstream.origin }], {
    config: { ...config, challenge: { ...testConfig([]).challenge, ...limits } },
    ...(log === undefined ? {} : { log }),
  });
}

async function statusOf(gateway: TestGateway, headers: Record<string, string> = {}, method = 'GET') {
  return (await ask(`${gateway.url}/quote`, { headers, method })).status;
}

test('an address gets its burst of challenges, then 429 with the seconds until the next one', async (t) => {
  const gateway = await openShop(t, { burst: 3, perMinute: 6 });
  for (let n = 0; n < 3; n += 1) assert.equal(await statusOf(gateway), 402);
  const throttled = await ask(`${gateway.url}/quote`);
  assert.deepEqual([throttled.status, throttled.headers['retry-after']], [429, '10']);
  assert.match(throttled.body.toString(), /"code":"throttled"/);
  assert.equal(gateway.simnet.openInvoices(), 3);
  gateway.clock.ms += 10_000;
  assert.equal(await statusOf(gateway), 402);
  assert.equal(await statusOf(gateway), 429);
});

test('an address that was throttled still spends what it has, and what costs no invoice is not counted', async (t) => {
  const gateway = await openShop(t, { burst: 2, perMinute: 1 });
  const credential = await buy(gateway, '/quote');
  for (const method of ['HEAD', 'OPTIONS']) await statusOf(gateway, {}, method);
  assert.equal((await ask(`${gateway.url}/nowhere`)).status, 404);
  assert.equal(await statusOf(gateway), 402);
  assert.equal(await statusOf(gateway), 429);
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credential))).status, 200);
});

test('IPv6 addresses of one /56 share a bucket, others have their own', async (t) => {
  const gateway = await openShop(t, { burst: 1, perMinute: 1 }, { trustedProxies: ['127.0.0.1'] });
  const from = (address: string) => statusOf(gateway, { 'X-Forwarded-For': address });
  assert.equal(await from('2001:db8:0:aa01::1'), 402);
  assert.equal(await from('2001:db8:0:aaff:1:2:3:4'), 429);
  assert.equal(await from('2001:db8:0:ab00::1'), 402);
  assert.equal(await from('192.0.2.1'), 402);
  assert.equal(await from('::ffff:192.0.2.1'), 429);
  assert.equal(await from('192.0.2.2'), 402);
  // What the client wrote in front of the proxy's own word is not believed.
  assert.equal(await from('198.51.100.7, 192.0.2.2'), 429);
});

test('X-Forwarded-For from a peer that nobody declared is ignored, and said once', async (t) => {
  const lines: string[] = [];
  const log = createLog({
    level: 'warn',
    format: 'json',
    destination: { write: (line) => lines.push(line) },
  });
  const gateway = await openShop(t, { burst: 1, perMinute: 1 }, {}, log);
  assert.equal(await statusOf(gateway, { 'X-Forwarded-For': '192.0.2.1' }), 402);
  assert.equal(await statusOf(gateway, { 'X-Forwarded-For': '192.0.2.2' }), 429);
  const said = lines.filter((line) => line.includes('trustedProxies'));
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /127\.0\.0\.1/);
});

test('an address has so many unpaid invoices and no more; paying one, or its expiry, makes room', async (t) => {
  const gateway = await openShop(t, { maxOutstandingPerClient: 2 });
  const { macaroon, invoice } = await askChallenge(`${gateway.url}/quote`);
  assert.equal(await statusOf(gateway), 402);
  const full = await ask(`${gateway.url}/quote`);
  assert.deepEqual([full.status, full.headers['retry-after']], [429, '600']);
  const credential = `L402 ${macaroon}:${await gateway.pay(invoice)}`;
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credential))).status, 200);
  assert.equal(await statusOf(gateway), 402);
  assert.equal(await statusOf(gateway), 429);
  gateway.clock.ms += 600_000;
  assert.equal(await statusOf(gateway), 402);
});

test('when strangers have filled the shop, who has paid before can still buy', async (t) => {
  const gateway = await openShop(
    t,
    { maxOutstanding: 10, reservedShare: 0.2 },
    { trustedProxies: ['127.0.0.1'] },
  );
  const credential = await buy(gateway, '/quote');
  assert.equal(await statusOf(gateway, { Authorization: credential }), 200);
  const statuses = [];
  for (let n = 0; n < 9; n += 1)
    statuses.push(await statusOf(gateway, { 'X-Forwarded-For': `192.0.2.${n}` }));
  assert.deepEqual(statuses, [...Array(8).fill(402), 503]);
  const busy = await ask(`${gateway.url}/quote`);
  assert.ok(busy.headers['retry-after']);
  assert.match(busy.body.toString(), /"code":"busy"/);
  // A credential that was never paid for opens no door.
  assert.equal(
    await statusOf(gateway, { Authorization: `${credential.slice(0, -64)}${'0'.repeat(64)}` }),
    503,
  );
  assert.equal(await statusOf(gateway, { Authorization: credential }), 402);
  assert.equal(await statusOf(gateway, { Authorization: credential }), 402);
  assert.equal(await statusOf(gateway, { Authorization: credential }), 503);
});
