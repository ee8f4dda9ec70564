import assert from 'node:assert/strict';
import http from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { buy, type TestGateway } from '../support/gateway.ts';
import { appended, openScene, termsOf, type Upstream } from './scene.ts';

/* What a connection's last request said is remembered, and each request is judged by itself all the same. */

/** Requests that all go over one connection, one after another. */
function oneConnection(
  t: TestContext,
  gateway: TestGateway,
): (
  path: string,
  headers: Record<string, string>,
) => Promise<{ status: number; reason: string | undefined }> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  let port: number | undefined;
  return async (path, headers) => {
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    http.get(gateway.url + path, { agent, headers }, resolve).on('error', reject);
    const response = await promise;
    const { localPort } = response.socket;
    port ??= localPort;
    assert.equal(localPort, port, 'it is one connection');
    const text = (await response.setEncoding('utf8').toArray()).join('');
    const reason = response.statusCode === 402 ? JSON.parse(text).error.reason : undefined;
    return { status: response.statusCode ?? 0, reason };
  };
}

function creditHeaders(upstream: Upstream): readonly string[] {
  return upstream.seen.flatMap(({ rawHeaders }) =>
    rawHeaders.filter((part) => /l402 |^x-paid$|^authorization$/i.test(part)),
  );
}

test('a credential that was good on a connection is refused there from the second at which it ends', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '200 sat for 10m', upstream: upstream.origin }]);
  const get = oneConnection(t, gateway);
  const Authorization = await buy(gateway, '/quote');
  assert.equal((await get('/quote', { Authorization })).status, 200);
  gateway.clock.ms = (termsOf(Authorization).validUntilSec - 1) * 1000;
  assert.equal((await get('/quote', { Authorization })).status, 200);
  gateway.clock.ms += 1000;
  assert.deepEqual(await get('/quote', { Authorization }), { status: 402, reason: 'expired' });
  assert.equal(upstream.seen.length, 2);
});

test('a revoked credential is refused on the connection on which it was good', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '200 sat for 10m', upstream: upstream.origin }]);
  const get = oneConnection(t, gateway);
  const Authorization = await buy(gateway, '/quote');
  assert.equal((await get('/quote', { Authorization })).status, 200);
  const url = `${gateway.adminUrl}/api/accounts/${termsOf(Authorization).accountId}/revoke`;
  const headers = { Authorization: `Bearer ${gateway.adminToken}` };
  assert.equal((await fetch(url, { method: 'POST', headers })).status, 200);
  assert.deepEqual(await get('/quote', { Authorization }), { status: 402, reason: 'revoked' });
});

test('each request on a connection pays with its own credential, and for its own service', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const shop = { price: '60 sat for 3 calls', upstream: upstream.origin };
  const gateway = await scene.gateway([shop, { ...shop, name: 'other', path: '/other' }]);
  const get = oneConnection(t, gateway);
  const [mine, yours] = [await buy(gateway, '/quote'), await buy(gateway, '/quote')];
  for (const Authorization of [mine, mine, yours, mine])
    assert.equal((await get('/quote', { Authorization })).status, 200);
  assert.deepEqual(await get('/quote', { Authorization: mine }), { status: 402, reason: 'spent' });
  assert.deepEqual(await get('/other', { Authorization: yours }), { status: 402, reason: 'other-service' });
  assert.deepEqual(await get('/quote', {}), { status: 402, reason: 'no-credential' });
  const forged = yours.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
  assert.deepEqual(await get('/quote', { Authorization: forged }), { status: 402, reason: 'bad-preimage' });
  assert.equal((await get('/quote', { Authorization: yours })).status, 200);
  assert.equal((await get('/quote', { Authorization: yours })).status, 200);
  assert.deepEqual(await get('/quote', { Authorization: yours }), { status: 402, reason: 'spent' });
});

test('one header that holds macaroons for two services pays at both, on one connection', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const shop = { price: '200 sat for 10m', upstream: upstream.origin };
  const gateway = await scene.gateway([shop, { ...shop, name: 'other', path: '/other' }]);
  const get = oneConnection(t, gateway);
  const [quote, other] = [await buy(gateway, '/quote'), await buy(gateway, '/other')];
  const macaroonOf = (credential: string) => credential.slice('L402 '.length).split(':')[0] ?? '';
  const preimageOf = (credential: string) => credential.split(':')[1] ?? '';
  // Each carries its own preimage as a caveat, so that one header can hold both.
  const carrying = (credential: string) => appended(credential, `preimage=${preimageOf(credential)}`);
  const Authorization = `L402 ${macaroonOf(carrying(quote))},${macaroonOf(carrying(other))}`;
  for (const path of ['/quote', '/other', '/quote', '/other'])
    assert.equal((await get(path, { Authorization })).status, 200, path);
});

test('a narrowed credential is no wider for the whole one that came before it on the connection', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '200 sat for 10m', upstream: upstream.origin }]);
  const get = oneConnection(t, gateway);
  const Authorization = await buy(gateway, '/quote');
  const soonSec = Math.floor(gateway.clock.ms / 1000) + 5;
  const narrowed = appended(Authorization, `quote_valid_until=${soonSec}`);
  assert.equal((await get('/quote', { Authorization })).status, 200);
  assert.equal((await get('/quote', { Authorization: narrowed })).status, 200);
  gateway.clock.ms = soonSec * 1000;
  assert.deepEqual(await get('/quote', { Authorization: narrowed }), { status: 402, reason: 'expired' });
  assert.equal((await get('/quote', { Authorization })).status, 200);
});

test('the upstream never sees the credential, whichever header brought it on a connection, and sees the others', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const shop = { price: '200 sat for 10m', upstream: upstream.origin };
  const gateway = await scene.gateway([
    { ...shop, credentialHeader: 'x-paid' },
    { ...shop, name: 'plain', path: '/plain' },
    { ...shop, name: 'free', path: '/free', price: 'free' },
  ]);
  const get = oneConnection(t, gateway);
  const paid = await buy(gateway, '/quote');
  const plain = await buy(gateway, '/plain');
  assert.equal((await get('/quote', { Authorization: paid })).status, 200);
  assert.equal((await get('/quote', { 'X-Paid': paid })).status, 200);
  assert.equal((await get('/quote', { 'X-Paid': paid })).status, 200);
  assert.equal((await get('/plain', { Authorization: plain })).status, 200);
  assert.equal((await get('/plain', { Authorization: plain })).status, 200);
  assert.deepEqual(creditHeaders(upstream), []);
  // A header that means nothing to this service is the upstream's own, also when another service took it for a credential.
  assert.equal((await get('/plain', { Authorization: plain, 'X-Paid': 'theirs' })).status, 200);
  assert.deepEqual(creditHeaders(upstream), ['X-Paid']);
  assert.equal((await get('/quote', { 'X-Paid': paid })).status, 200);
  assert.equal((await get('/free', { 'X-Paid': paid })).status, 200);
  assert.deepEqual(creditHeaders(upstream), ['X-Paid', 'X-Paid', paid]);
});

test('requests that stand in one write, each with its own credential, are each paid by their own', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '40 sat for 2 calls', upstream: upstream.origin }]);
  const [mine, yours] = [await buy(gateway, '/quote'), await buy(gateway, '/quote')];
  const forged = yours.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
  const asked = [mine, yours, undefined, mine, forged, yours, mine];
  const { host, hostname, port } = new URL(gateway.url);
  const requests = asked.map((credential, at) => {
    const paying = credential === undefined ? '' : `Authorization: ${credential}\r\n`;
    const last = at === asked.length - 1 ? 'Connection: close\r\n' : '';
    return `GET /quote HTTP/1.1\r\nHost: ${host}\r\n${paying}${last}\r\n`;
  });
  const socket = connect(Number(port), hostname);
  socket.write(requests.join(''));
  const statuses = (await text(socket)).match(/(?<=HTTP\/1\.1 )\d+/g);
  assert.deepEqual(statuses, ['200', '200', '402', '200', '402', '200', '402']);
  assert.deepEqual(creditHeaders(upstream), []);
});
