import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { openScene, termsOf, toService, type Upstream, type Ware } from '../e2e/scene.ts';
import { ask } from '../proxy/wire.ts';
import { testConfig } from '../support/config.ts';
import { askChallenge, buy, type TestGateway, type TestGatewayOptions } from '../support/gateway.ts';
import { refusalOf } from '../support/top-up.ts';

interface Site {
  readonly gateway: TestGateway;
  readonly upstream: Upstream;
}

async function openSite(
  t: TestContext,
  ware: Partial<Ware> = {},
  options: TestGatewayOptions = {},
  others: readonly Partial<Ware>[] = [],
): Promise<Site> {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const wares = [{ price: '200 sat for 10m', session: true, ...ware }, ...others].map((one) => ({
    price: '200 sat for 10m',
    upstream: upstream.origin,
    ...one,
  }));
  return { upstream, gateway: await scene.gateway(wares, options) };
}

function postSession(gateway: TestGateway, credential: string, headers: Record<string, string> = {}) {
  return ask(`${gateway.url}/.l402/session`, {
    method: 'POST',
    headers: { authorization: credential, ...headers },
  });
}

/** Buys, and changes the credential for a cookie. @returns the Cookie header of a browser */
async function cookieOf(gateway: TestGateway, credential: string, cookie = ''): Promise<string> {
  const answer = await postSession(gateway, credential, cookie === '' ? {} : { cookie });
  assert.equal(answer.status, 200, answer.body.toString());
  return (answer.headers['set-cookie']?.[0] ?? '').split(';', 1)[0] ?? '';
}

test('a credential is changed for a cookie, and the cookie pays; the upstream never sees it', async (t) => {
  const { gateway, upstream } = await openSite(t);
  const credential = await buy(gateway, '/quote');
  const answer = await postSession(gateway, credential);
  assert.equal(answer.status, 200);
  assert.match(
    answer.headers['set-cookie']?.[0] ?? '',
    /^sluice-session=[A-Za-z0-9_-]{43}; Path=\/; Max-Age=(1200|1199); HttpOnly; SameSite=Strict$/,
  );
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(answer.headers['www-authenticate'], undefined);
  const { expiresAt } = JSON.parse(answer.body.toString());
  assert.equal(Date.parse(expiresAt) / 1000, termsOf(credential).validUntilSec);
  const ours = (answer.headers['set-cookie']?.[0] ?? '').split(';', 1)[0] ?? '';
  const cookie = `theme="dark mode"; ${ours}; id=7`;
  const paid = await ask(`${gateway.url}/quote`, { headers: { cookie, 'sec-fetch-site': 'same-origin' } });
  assert.deepEqual([paid.status, paid.body.toString()], [200, 'paid for']);
  assert.equal(upstream.seen[0]?.headers.cookie, 'theme="dark mode"; id=7');
  const head = await ask(`${gateway.url}/quote`, { method: 'HEAD', headers: { cookie: ours } });
  assert.equal(head.status, 200);
  assert.equal(upstream.seen[1]?.headers.cookie, undefined);
});

test('the cookie is kept from the upstream on every service, also where it pays for nothing', async (t) => {
  const { gateway, upstream } = await openSite(t, {}, {}, [
    { name: 'free', path: '/free', price: 'free' },
    { name: 'closed', path: '/closed' },
  ]);
  const cookie = await cookieOf(gateway, await buy(gateway, '/quote'));
  await ask(`${gateway.url}/free`, { headers: { cookie: `a=1; ${cookie}` } });
  assert.equal(upstream.seen[0]?.headers.cookie, 'a=1');
  const closed = await buy(gateway, '/closed');
  await ask(`${gateway.url}/closed`, { headers: { cookie, authorization: closed } });
  assert.equal(upstream.seen[1]?.headers.cookie, undefined);
  assert.equal((await ask(`${gateway.url}/closed`, { headers: { cookie } })).status, 402);
});

test('a page of another site can not ride on the cookie, and costs no invoice', async (t) => {
  const { gateway, upstream } = await openSite(t);
  const cookie = await cookieOf(gateway, await buy(gateway, '/quote'));
  const invoices = gateway.simnet.openInvoices();
  for (const headers of [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'video' },
    { origin: 'https://evil.example' },
  ]) {
    const answer = await ask(`${gateway.url}/quote`, { headers: { ...headers, cookie } });
    assert.deepEqual(
      [answer.status, JSON.parse(answer.body.toString()).error.code],
      [400, 'misdirected-cookie'],
      JSON.stringify(headers),
    );
    assert.equal(answer.headers['access-control-allow-credentials'], undefined);
  }
  assert.equal(gateway.simnet.openInvoices(), invoices);
  assert.equal(upstream.seen.length, 0);
  // Who follows a link from another site is a guest, and is shown how to pay.
  const visit = await ask(`${gateway.url}/quote`, {
    headers: { cookie, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
  });
  assert.equal(visit.status, 402);
  const own = await ask(`${gateway.url}/quote`, { headers: { cookie, 'sec-fetch-site': 'none' } });
  assert.equal(own.status, 200);
});

test('the cookie pays for GET and HEAD only, and never when the request has a credential of its own', async (t) => {
  const { gateway } = await openSite(t);
  const cookie = await cookieOf(gateway, await buy(gateway, '/quote'));
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    const answer = await ask(`${gateway.url}/quote`, { method, headers: { cookie } });
    assert.equal(answer.status, 402, method);
  }
  const { macaroon } = await askChallenge(`${gateway.url}/quote`);
  const unpaid = `L402 ${macaroon}:${'0'.repeat(64)}`;
  assert.equal(
    (await ask(`${gateway.url}/quote`, { headers: { cookie, authorization: unpaid } })).status,
    402,
  );
});

test('no answer to a cookie invites pages of other origins to read it', async (t) => {
  const { gateway } = await openSite(t, {}, { config: { corsOrigins: ['https://app.example'] } });
  const cookie = await cookieOf(gateway, await buy(gateway, '/quote'));
  const origin = 'https://app.example';
  for (const [path, headers] of [
    ['/quote', { 'sec-fetch-site': 'same-origin' }],
    ['/.l402/account', { 'sec-fetch-site': 'same-origin' }],
  ] as const) {
    const answer = await ask(gateway.url + path, { headers: { ...headers, cookie, origin } });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['access-control-allow-credentials'], undefined, path);
  }
});

test('a session ends with its credential', async (t) => {
  const { gateway } = await openSite(t);
  const cookie = await cookieOf(gateway, await buy(gateway, '/quote'));
  gateway.clock.ms += 1_199_000;
  assert.equal((await ask(`${gateway.url}/quote`, { headers: { cookie } })).status, 200);
  gateway.clock.ms += 1_000;
  assert.equal((await ask(`${gateway.url}/quote`, { headers: { cookie } })).status, 402);
});

test('a session of a revoked account pays no more', async (t) => {
  const { gateway } = await openSite(t);
  const credential = await buy(gateway, '/quote');
  const cookie = await cookieOf(gateway, credential);
  await fetch(`${gateway.adminUrl}/api/accounts/${termsOf(credential).accountId}/revoke`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${gateway.adminToken}` },
  });
  assert.equal((await ask(`${gateway.url}/quote`, { headers: { cookie } })).status, 402);
  assert.equal((await postSession(gateway, credential)).status, 403);
});

test('a session can be ended by its browser', async (t) => {
  const { gateway } = await openSite(t);
  const cookie = await cookieOf(gateway, await buy(gateway, '/quote'));
  const ended = await ask(`${gateway.url}/.l402/session`, { method: 'DELETE', headers: { cookie } });
  assert.equal(ended.status, 204);
  assert.match(ended.headers['set-cookie']?.[0] ?? '', /^sluice-session=; Path=\/; Max-Age=0;/);
  assert.equal((await ask(`${gateway.url}/quote`, { headers: { cookie } })).status, 402);
});

test('one browser may pay for two services, and its first cookie is worth nothing after the second', async (t) => {
  const { gateway } = await openSite(t, {}, {}, [{ name: 'live', path: '/live', session: true }]);
  const first = await cookieOf(gateway, await buy(gateway, '/quote'));
  const second = await cookieOf(gateway, await buy(gateway, '/live'), first);
  assert.notEqual(first, second);
  for (const path of ['/quote', '/live']) {
    assert.equal((await ask(gateway.url + path, { headers: { cookie: second } })).status, 200);
    assert.equal((await ask(gateway.url + path, { headers: { cookie: first } })).status, 402);
  }
});

test('only a paid credential of a service that takes cookies is changed for one', async (t) => {
  const { gateway } = await openSite(t, {}, {}, [{ name: 'closed', path: '/closed' }]);
  const closed = await postSession(gateway, await buy(gateway, '/closed'));
  assert.deepEqual([closed.status, JSON.parse(closed.body.toString()).error.code], [403, 'session-refused']);
  assert.equal(closed.headers['set-cookie'], undefined);
  const { macaroon } = await askChallenge(`${gateway.url}/quote`);
  for (const credential of [`L402 ${macaroon}:${'0'.repeat(64)}`, 'L402 x', '']) {
    const answer = await postSession(gateway, credential);
    assert.deepEqual(
      [answer.status, JSON.parse(answer.body.toString()).error.code, answer.headers['set-cookie']],
      [403, 'credential-refused', undefined],
    );
  }
  const cookie = await cookieOf(gateway, await buy(gateway, '/quote'));
  const bare = await ask(`${gateway.url}/.l402/session`, { method: 'POST', headers: { cookie } });
  assert.equal(bare.status, 403);
});

test('a service that takes cookies no more is not paid by them', async (t) => {
  const { gateway, upstream } = await openSite(t);
  const cookie = await cookieOf(gateway, await buy(gateway, '/quote'));
  const service = toService({ price: '200 sat for 10m', upstream: upstream.origin });
  gateway.gateway.reload(testConfig([service]));
  assert.equal((await ask(`${gateway.url}/quote`, { headers: { cookie } })).status, 402);
  assert.equal((await ask(`${gateway.url}/.l402/account`, { headers: { cookie } })).status, 403);
});

test('over plain HTTP away from localhost a cookie can not work, and the answer says so', async (t) => {
  const { gateway } = await openSite(t);
  const credential = await buy(gateway, '/quote');
  for (const headers of [
    { host: 'media.example.com' },
    { host: '192.168.1.7:8402' },
    { 'x-forwarded-proto': 'https' },
  ]) {
    const answer = await postSession(gateway, credential, headers as Record<string, string>);
    assert.deepEqual(
      [answer.status, JSON.parse(answer.body.toString()).error.code, answer.headers['set-cookie']],
      [400, 'session-needs-https', undefined],
    );
  }
});

test('behind a declared proxy that ends TLS the cookie is Secure and of this host alone', async (t) => {
  const { gateway } = await openSite(t, {}, { config: { trustedProxies: ['127.0.0.1'] } });
  const proxied = { host: 'media.example.com', 'x-forwarded-proto': 'https', 'x-forwarded-for': '192.0.2.1' };
  const answer = await postSession(gateway, await buy(gateway, '/quote'), proxied);
  const [set = ''] = answer.headers['set-cookie'] ?? [];
  assert.match(
    set,
    /^__Host-sluice=[A-Za-z0-9_-]{43}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Strict; Secure$/,
  );
  const cookie = set.split(';', 1)[0] ?? '';
  assert.equal((await ask(`${gateway.url}/quote`, { headers: { ...proxied, cookie } })).status, 200);
  const insecure = { ...proxied, 'x-forwarded-proto': 'http', cookie };
  assert.equal((await ask(`${gateway.url}/quote`, { headers: insecure })).status, 402);
});

test('a session is opened and ended by pages of its own origin only', async (t) => {
  const { gateway } = await openSite(t);
  const credential = await buy(gateway, '/quote');
  const cookie = await cookieOf(gateway, credential);
  const cross = { 'sec-fetch-site': 'cross-site' };
  assert.equal((await postSession(gateway, credential, cross)).status, 400);
  const ended = await ask(`${gateway.url}/.l402/session`, {
    method: 'DELETE',
    headers: { ...cross, cookie },
  });
  assert.deepEqual([ended.status, JSON.parse(ended.body.toString()).error.code], [400, 'misdirected-cookie']);
  assert.equal((await ask(`${gateway.url}/quote`, { headers: { cookie } })).status, 200);
});

test('the account is shown to its session, to pages of its own origin, and never topped up by it', async (t) => {
  const { gateway } = await openSite(t, { price: '10 sat' });
  const cookie = await cookieOf(gateway, await buy(gateway, '/quote'));
  const own = await fetch(`${gateway.url}/.l402/account`, { headers: { cookie } });
  assert.equal((await own.json()).balanceMsat, 10_000);
  assert.match(own.headers.get('vary') ?? '', /Cookie/);
  const cross = await fetch(`${gateway.url}/.l402/account`, {
    headers: { cookie, 'sec-fetch-site': 'cross-site' },
  });
  assert.deepEqual(await refusalOf(cross), [400, 'misdirected-cookie']);
  const topUp = await fetch(`${gateway.url}/.l402/topup`, { method: 'POST', headers: { cookie } });
  assert.deepEqual(await refusalOf(topUp), [403, 'credential-refused']);
});

test('a WebSocket, which can carry no header of ours, is paid by the cookie from its own origin only', async (t) => {
  const { gateway, upstream } = await openSite(t);
  const server = new WebSocketServer({ server: upstream.server });
  const cookies: (string | undefined)[] = [];
  server.on('connection', (socket, request) => {
    cookies.push(request.headers.cookie);
    socket.close();
  });
  const cookie = await cookieOf(gateway, await buy(gateway, '/quote'));
  const url = `${gateway.url.replace('http', 'ws')}/quote`;
  const statusOf = (origin: string): Promise<number | undefined> =>
    new Promise((resolve) => {
      const socket = new WebSocket(url, { headers: { cookie: `a=1; ${cookie}`, origin } });
      socket.on('error', () => {});
      socket.on('upgrade', ({ statusCode }) => resolve(statusCode));
      socket.on('unexpected-response', (_request, response) => {
        response.resume();
        resolve(response.statusCode);
      });
    });
  assert.equal(await statusOf('https://evil.example'), 400);
  assert.equal(await statusOf(gateway.url), 101);
  assert.deepEqual(cookies, ['a=1']);
});
