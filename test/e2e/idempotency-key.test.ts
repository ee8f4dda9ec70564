import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { ask, rawClient } from '../proxy/wire.ts';
import { buy } from '../support/gateway.ts';
import { balanceOf, eventually, openScene, portOf } from './scene.ts';

/** A request line and head, as bytes. */
function head(credential: string, key: string, line = 'GET /quote HTTP/1.1'): string {
  return `${line}\r\nHost: a\r\nAuthorization: ${credential}\r\nIdempotency-Key: ${key}\r\n`;
}

test('a response that was lost is asked again free, at most twice, and then paid for again', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream((_req, res) => {
    res.writeHead(200, { 'Content-Length': 10 }).write('half ');
  });
  const gateway = await scene.gateway([{ price: '30 sat for 3 calls', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const lose = async (): Promise<void> => {
    const asked = upstream.seen.length;
    // Until the gateway has noticed that its client left, the first try counts as under way.
    await eventually(async () => {
      const client = await rawClient(portOf(gateway), `${head(credential, 'k1')}\r\n`);
      const text = await client.until('\r\n\r\n');
      if (text.startsWith('HTTP/1.1 200')) await client.until('half ');
      client.socket.resetAndDestroy();
      return upstream.seen.length > asked;
    });
  };
  const balances: number[] = [];
  for (let attempt = 0; attempt < 4; attempt += 1) {
    await lose();
    balances.push(await balanceOf(gateway, credential));
  }
  assert.deepEqual(balances, [20_000, 20_000, 20_000, 10_000]);
});

test('a response that arrived in full is not free a second time: one payment buys one answer', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '30 sat for 3 calls', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const headers = { Authorization: credential, 'Idempotency-Key': 'k1' };
  assert.equal((await ask(`${gateway.url}/quote`, { headers })).status, 200);
  await eventually(async () => (await ask(`${gateway.url}/quote`, { headers })).status === 200);
  assert.equal(await balanceOf(gateway, credential), 10_000);
  assert.equal(upstream.seen.length, 2);
});

test('while the first is under way its repeat is 409, and the upstream is asked once', async (t) => {
  const scene = openScene(t);
  const held: ServerResponse[] = [];
  const upstream = await scene.upstream((_req, res) => void held.push(res));
  const gateway = await scene.gateway([{ price: '30 sat for 3 calls', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const headers = { Authorization: credential, 'Idempotency-Key': 'k1' };
  const first = ask(`${gateway.url}/quote`, { headers });
  await eventually(() => held.length === 1);
  const repeats = await Promise.all(
    Array.from({ length: 20 }, () => ask(`${gateway.url}/quote`, { headers })),
  );
  for (const { status, headers: answered, body } of repeats) {
    assert.deepEqual([status, answered['retry-after']], [409, '1']);
    assert.match(body.toString(), /"code":"retry-in-flight"/);
  }
  held[0]?.end('paid for');
  assert.equal((await first).status, 200);
  assert.equal(held.length, 1);
  assert.equal(await balanceOf(gateway, credential), 20_000);
});

test('a key that was used for another request is 422 and costs nothing: method, path, query and body count', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([
    { path: '/quote/*', price: '90 sat for 9 calls', upstream: upstream.origin },
  ]);
  const credential = await buy(gateway, '/quote/a');
  const headers = { Authorization: credential, 'Idempotency-Key': 'k1' };
  const first = await ask(`${gateway.url}/quote/a`, { method: 'POST', headers }, 'body');
  assert.equal(first.status, 200);
  assert.equal(upstream.seen[0]?.body, 'body');
  for (const [method, path, body] of [
    ['PUT', '/quote/a', 'body'],
    ['POST', '/quote/b', 'body'],
    ['POST', '/quote/a?x=1', 'body'],
    ['POST', '/quote/a', 'other'],
    ['POST', '/quote/a', ''],
  ] as const) {
    const answer = await ask(`${gateway.url}${path}`, { method, headers }, body);
    assert.equal(answer.status, 422, `${method} ${path} ${body}`);
    assert.match(answer.body.toString(), /"code":"idempotency-mismatch"/);
  }
  assert.equal(upstream.seen.length, 1);
  assert.equal(await balanceOf(gateway, credential), 80_000);
});

test('the key of one account means nothing to another', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  for (const credential of [await buy(gateway, '/quote'), await buy(gateway, '/quote')]) {
    const headers = { Authorization: credential, 'Idempotency-Key': 'the same' };
    assert.equal((await ask(`${gateway.url}/quote`, { method: 'POST', headers }, credential)).status, 200);
    assert.equal(await balanceOf(gateway, credential), 0);
  }
});

test('a call that was given back is charged again under its key', async (t) => {
  const scene = openScene(t);
  let answers = 0;
  const upstream = await scene.upstream((_req, res) => {
    answers += 1;
    res.writeHead(answers === 1 ? 503 : 200).end();
  });
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const headers = { Authorization: credential, 'Idempotency-Key': 'k1' };
  const failed = await ask(`${gateway.url}/quote`, { headers });
  assert.deepEqual([failed.status, failed.headers['l402-balance-msat']], [503, '10000']);
  const served = await ask(`${gateway.url}/quote`, { headers });
  assert.deepEqual([served.status, served.headers['l402-balance-msat']], [200, '0']);
});

test('a body too long to be hashed is streamed and charged each time; its key counts for nothing', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '30 sat for 3 calls', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const headers = { Authorization: credential, 'Idempotency-Key': 'k1' };
  const body = Buffer.alloc(1_048_577, 0x61);
  for (let n = 0; n < 2; n += 1)
    assert.equal((await ask(`${gateway.url}/quote`, { method: 'POST', headers }, body)).status, 200);
  assert.deepEqual(
    upstream.seen.map((seen) => seen.body.length),
    [1_048_577, 1_048_577],
  );
  assert.equal(await balanceOf(gateway, credential), 10_000);
});

test('a body that breaks off before it was hashed costs nothing and reaches nobody', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const post = head(credential, 'k1', 'POST /quote HTTP/1.1');
  const client = await rawClient(portOf(gateway), `${post}Content-Length: 10\r\n\r\nhalf`);
  // The account opens when the credential was presented, which is before the body is read.
  await eventually(async () => (await gateway.store.totals()).accounts === 1);
  client.socket.end();
  await once(client.socket, 'close');
  assert.equal(upstream.seen.length, 0);
  assert.equal(await balanceOf(gateway, credential), 10_000);
});

test('a stranger’s body is never read, whatever key it brings', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const client = await rawClient(
    portOf(gateway),
    'POST /quote HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k1\r\nContent-Length: 900000\r\n\r\n',
  );
  assert.match(await client.until('paymentHash'), /^HTTP\/1\.1 402 /);
  client.socket.destroy();
});
