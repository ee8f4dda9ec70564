import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Express } from 'express';
import request from 'supertest';
import type { Config } from '../../config/config.ts';
import { type AdminDeps, createAdminApp } from '../../gateway/admin/app.ts';
import { type Account, CLAIM_GRACE_SEC, StoreError, type Totals } from '../../gateway/ledger/store.ts';
import { createHealth } from '../../gateway/observe/health.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { createMetrics } from '../../gateway/observe/metrics.ts';
import { msat, ZERO_MSAT } from '../../node/msat.ts';
import type { NodeInfo } from '../../node/node.ts';

const TOKEN = 'an-admin-token-of-forty-three-characters-00';
const ACCOUNT = 'ab'.repeat(32);
const NOW_SEC = 1_900_000_000;

const CONFIG: Config = {
  listen: [{ host: '127.0.0.1', port: 0 }],
  admin: { host: '127.0.0.1', port: 0 },
  dataDir: '/tmp/nowhere',
  title: 'My <API>',
  node: { type: 'lnd', url: 'https://user:hunter2@127.0.0.1:8080/?macaroon=hunter2', macaroon: 'hunter2' },
  store: { type: 'memory' },
  workers: 1,
  masterKeys: ['hunter2', 'hunter2'],
  trustedProxies: [],
  identitySecret: 'hunter2',
  allowPlayMoney: false,
  drainTimeoutMs: 1000,
  log: { level: 'info', format: 'json' },
  limits: {
    maxHeaderBytes: 1,
    maxHeaderCount: 1,
    maxUrlBytes: 1,
    maxConnections: 1,
    headersTimeoutMs: 1,
    keepAliveTimeoutMs: 1,
    clientIdleTimeoutMs: 1,
    credentialCacheBytes: 1,
  },
  challenge: {
    invoiceExpirySec: 600,
    minInvoiceMsat: msat(1000),
    memo: 'x',
    burst: 1,
    perMinute: 1,
    shared: false,
    maxOutstanding: 1,
    reservedShare: 0,
    maxOutstandingPerClient: 1,
    nodeConcurrency: 1,
    nodeTimeoutMs: 1,
    legacyLsat: false,
  },
  topUp: { minMsat: msat(1), maxMsat: msat(1), maxOpen: 1 },
  corsOrigins: ['*'],
  services: [
    {
      name: 'quote',
      path: '/quote',
      price: { kind: 'call', amountMsat: msat(10_000) },
      upstream: 'http://user:hunter2@127.0.0.1:3000/base?key=hunter2',
      requestHeaders: { 'X-Whatever': 'hunter2' },
      upstreamHost: 'upstream',
      chargeOn: [[200, 399]],
      validForSec: 3600,
      capabilities: 'all',
      credentialHeader: 'x-credential',
      credentialInQuery: false,
      cacheControl: 'private, no-store',
      connectTimeoutMs: 1,
      headersTimeoutMs: 1,
      idleTimeoutMs: 1,
      maxBodyBytes: 1,
    },
  ],
};

const TOTALS: Totals = {
  accounts: 1,
  claims: 2,
  creditedMsat: msat(30_000),
  spentMsat: msat(10_000),
  reservedMsat: ZERO_MSAT,
  expiredMsat: ZERO_MSAT,
  balanceMsat: msat(20_000),
};

const INFO: NodeInfo = {
  alias: 'bob',
  publicKey: '02'.repeat(33),
  network: 'regtest',
  synced: true,
  blockHeight: 7,
};

function setup(overrides: Partial<AdminDeps> = {}) {
  const state = {
    storeDown: false,
    nodeDown: false,
    nowMs: NOW_SEC * 1000,
    revoked: [] as [string, number][],
  };
  const account: Account = {
    accountId: ACCOUNT,
    service: 'quote',
    creditedMsat: msat(30_000),
    spentMsat: msat(10_000),
    reservedMsat: ZERO_MSAT,
    expiredMsat: ZERO_MSAT,
    balanceMsat: msat(20_000),
    expiresAtSec: NOW_SEC + 90_000,
    revoked: false,
  };
  const up = <T>(value: T): T => {
    if (state.storeDown) throw new StoreError('unavailable', 'disk /secret/path is gone');
    return value;
  };
  const info = async () => {
    if (state.nodeDown) throw new Error('node gone');
    return INFO;
  };
  let logged = '';
  const metrics = createMetrics({ version: '1.2.3' });
  const health = createHealth({ store: { ping: async () => up(undefined) }, node: { info } });
  const app = createAdminApp({
    token: TOKEN,
    config: () => CONFIG,
    store: {
      totals: async () => up(TOTALS),
      account: async (id) => up(id === ACCOUNT ? account : undefined),
      revoke: async (id, untilSec) => {
        up(undefined);
        state.revoked.push([id, untilSec]);
      },
    },
    node: {
      capabilities: {
        minInvoiceMsat: msat(1),
        precisionMsat: msat(1),
        cancel: true,
        settlementFeed: true,
        playMoney: true,
      },
      info,
    },
    health,
    metrics,
    formatPrice: () => '10 sat',
    version: '1.2.3',
    nowMs: () => state.nowMs,
    log: createLog({ level: 'debug', format: 'json', destination: { write: (text) => (logged += text) } }),
    ...overrides,
  });
  return { app, state, health, metrics, logged: () => logged };
}

const authed = (app: Express, path: string) => request(app).get(path).set('Authorization', `Bearer ${TOKEN}`);

test('nothing below /api answers without the right token', async () => {
  const { app, logged } = setup();
  for (const authorization of [
    '',
    'Bearer',
    `Bearer ${TOKEN}x`,
    `Basic ${TOKEN}`,
    `Bearer ${'x'.repeat(5000)}`,
  ]) {
    const answer = await request(app).get('/api/totals').set('Authorization', authorization);
    assert.equal(answer.status, 401);
    assert.equal(answer.body.error.code, 'unauthorized');
    assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer/);
  }
  for (const path of ['/api', '/api/services', '/api/config', '/api/nothing', `/api/accounts/${ACCOUNT}`]) {
    assert.equal((await request(app).get(path)).status, 401, path);
  }
  assert.equal((await request(app).post(`/api/accounts/${ACCOUNT}/revoke`)).status, 429);
  assert.doesNotMatch(logged(), new RegExp(TOKEN));
});

test('wrong tokens are throttled by address, and the right one never is', async () => {
  const { app, state } = setup();
  const wrong = () => request(app).get('/api/totals').set('Authorization', 'Bearer wrong');
  for (let turn = 0; turn < 10; turn += 1) assert.equal((await wrong()).status, 401);
  const throttled = await wrong();
  assert.equal(throttled.status, 429);
  assert.equal(throttled.headers['retry-after'], '60');
  assert.equal((await authed(app, '/api/totals')).status, 200);
  state.nowMs += 6000;
  assert.equal((await wrong()).status, 401);
  assert.equal((await wrong()).status, 429);
});

test('totals come from the store', async () => {
  const { app } = setup();
  const answer = await authed(app, '/api/totals');
  assert.deepEqual(answer.body, { totals: TOTALS });
  assert.equal(answer.headers['cache-control'], 'no-store');
});

test('services are shown with their price and what they did, without secrets', async () => {
  const { app, metrics } = setup();
  metrics.request('quote', 'served');
  metrics.earned('quote', 10_000);
  const answer = await authed(app, '/api/services');
  assert.deepEqual(answer.body.services, [
    {
      name: 'quote',
      match: { path: '/quote' },
      price: '10 sat',
      upstream: 'http://127.0.0.1:3000/base',
      sinceStart: {
        requests: { served: 1 },
        challenges: 0,
        redemptions: 0,
        earnedMsat: 10_000,
        spentMsat: 0,
        refundedMsat: 0,
      },
    },
  ]);
});

test('the configuration is shown without a secret', async () => {
  const { app } = setup();
  const answer = await authed(app, '/api/config');
  assert.equal(answer.status, 200);
  assert.doesNotMatch(answer.text, /hunter2/);
  const { config } = answer.body;
  assert.deepEqual(config.masterKeys, ['[hidden]', '[hidden]']);
  assert.equal(config.identitySecret, '[hidden]');
  assert.equal(config.node.macaroon, '[hidden]');
  assert.equal(config.node.url, 'https://127.0.0.1:8080/');
  assert.deepEqual(config.services[0].requestHeaders, { 'X-Whatever': '[hidden]' });
  assert.equal(config.services[0].credentialHeader, 'x-credential');
  assert.equal(config.limits.credentialCacheBytes, 1);
});

test('the node is shown with its capabilities, and one that is down is 503', async () => {
  const { app, state } = setup();
  const answer = await authed(app, '/api/node');
  assert.equal(answer.body.node.alias, 'bob');
  assert.equal(answer.body.node.playMoney, true);
  state.nodeDown = true;
  assert.deepEqual((await authed(app, '/api/node')).status, 503);
});

test('an account is shown, and an unknown one is 404', async () => {
  const { app } = setup();
  assert.equal((await authed(app, `/api/accounts/${ACCOUNT}`)).body.account.balanceMsat, 20_000);
  for (const id of ['00'.repeat(32), 'zz', '%2e%2e', `${ACCOUNT}00`]) {
    const answer = await authed(app, `/api/accounts/${id}`);
    assert.equal(answer.status, 404, id);
    assert.equal(answer.body.error.code, 'not-found');
  }
});

test('a revocation lasts until nothing of the account can be valid any more', async () => {
  const told: string[] = [];
  const { app, state } = setup({ onRevoked: (id) => told.push(id) });
  const revoke = (id: string) =>
    request(app).post(`/api/accounts/${id}/revoke`).set('Authorization', `Bearer ${TOKEN}`);
  const known = await revoke(ACCOUNT);
  assert.deepEqual(known.body, {
    accountId: ACCOUNT,
    revoked: true,
    untilSec: NOW_SEC + 90_000 + CLAIM_GRACE_SEC,
  });
  // A pass has no credit in the store; a challenge may still be paid.
  const pass = '01'.repeat(32);
  await revoke(pass);
  assert.deepEqual(state.revoked[1], [pass, NOW_SEC + 600 + 3600 + CLAIM_GRACE_SEC]);
  assert.deepEqual(told, [ACCOUNT, pass]);
  assert.equal((await revoke('zz')).status, 400);
  assert.equal((await authed(app, `/api/accounts/${ACCOUNT}/revoke`)).status, 404);
});

test('a store that is down is 503 without its reason', async () => {
  const { app, state, logged } = setup();
  state.storeDown = true;
  const answer = await authed(app, '/api/totals');
  assert.equal(answer.status, 503);
  assert.equal(answer.body.error.code, 'store-unavailable');
  assert.doesNotMatch(answer.text, /secret\/path/);
  assert.match(logged(), /secret\/path/);
});

test('health needs no token', async () => {
  const { app, health } = setup();
  assert.deepEqual((await request(app).get('/healthz')).body, { status: 'ok' });
  assert.equal((await request(app).get('/readyz')).status, 503);
  await health.check();
  assert.equal((await request(app).get('/readyz')).status, 200);
  health.drain();
  assert.equal((await request(app).get('/readyz')).body.status, 'draining');
  assert.equal((await request(app).get('/healthz')).status, 200);
});

test('a probe may leave the node out of the readiness', async () => {
  const { app, health, state } = setup();
  state.nodeDown = true;
  await health.check();
  assert.equal((await request(app).get('/readyz')).status, 503);
  assert.equal((await request(app).get('/readyz?exclude=node')).status, 200);
  assert.equal((await request(app).get('/readyz?exclude=x&exclude=node')).status, 200);
});

test('metrics are open to a scraper on the same machine', async () => {
  const { app } = setup();
  const answer = await request(app).get('/metrics');
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/);
  assert.match(answer.text, /sluice_build_info\{version="1\.2\.3"/);
});

test('metrics ask for the token when a browser, a rebound name or a proxy may be in between', async () => {
  const { app } = setup();
  const suspicious: Record<string, string>[] = [
    { Host: 'evil.example' },
    { Host: 'localhost.evil.example:8403' },
    { Host: '127.0.0.1.evil.example' },
    { Origin: 'https://evil.example' },
    { 'Sec-Fetch-Site': 'cross-site' },
    { 'X-Forwarded-For': '203.0.113.9' },
    { Forwarded: 'for=203.0.113.9' },
  ];
  for (const headers of suspicious) {
    assert.equal((await request(app).get('/metrics').set(headers)).status, 401, JSON.stringify(headers));
    const withToken = await request(app).get('/metrics').set(headers).set('Authorization', `Bearer ${TOKEN}`);
    assert.equal(withToken.status, 200);
  }
  for (const host of ['localhost:8403', '127.0.0.1', '[::1]:8403']) {
    assert.equal((await request(app).get('/metrics').set('Host', host)).status, 200, host);
  }
});

test('a body is read to a bound and refused as JSON', async () => {
  const { app } = setup();
  const post = () =>
    request(app).post(`/api/accounts/${ACCOUNT}/revoke`).set('Authorization', `Bearer ${TOKEN}`);
  const large = await post()
    .set('Content-Type', 'application/json')
    .send(JSON.stringify('x'.repeat(10_000)));
  assert.deepEqual([large.status, large.body.error.code], [413, 'body-too-large']);
  const broken = await post().set('Content-Type', 'application/json').send('{"a":');
  assert.deepEqual([broken.status, broken.body.error.code], [400, 'bad-request']);
  assert.equal((await authed(app, '/api/%E0%A4%A')).status, 404);
  assert.equal((await authed(app, '/api/accounts/%E0%A4%A')).status, 400);
});

test('the dashboard holds no data, escapes the title, and runs nothing but its own script', async () => {
  const { app } = setup();
  const first = await request(app).get('/');
  assert.equal(first.status, 200);
  assert.match(first.text, /<h1>My &lt;API&gt;<\/h1>/);
  assert.doesNotMatch(first.text, new RegExp(`${TOKEN}|hunter2|20000`));
  assert.doesNotMatch(first.text, /(src|href)=/);
  const policy = first.headers['content-security-policy'] ?? '';
  assert.match(policy, /default-src 'none'; script-src 'nonce-[A-Za-z0-9+/=]{24}'/);
  assert.doesNotMatch(policy, /unsafe/);
  const nonce = /script-src 'nonce-([^']+)'/.exec(policy)?.[1] ?? '';
  assert.equal(first.text.split(`<script nonce="${nonce}">`).length, 2);
  const second = await request(app).get('/');
  assert.notEqual(second.headers['content-security-policy'], policy);
  assert.equal(first.headers['referrer-policy'], 'no-referrer');
});
