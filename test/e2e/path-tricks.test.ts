import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { rawClient, startUpstream, type TestUpstream } from '../proxy/wire.ts';
import { buy, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { portOf, toService } from './scene.ts';

/* The path that is priced is the path that is forwarded: no spelling of a paid path is served as another one. */

let upstream: TestUpstream;
let gateway: TestGateway;
let asked: string[] = [];

before(async () => {
  upstream = await startUpstream((req, res) => {
    asked.push(req.url ?? '');
    res.end('served');
  });
  gateway = await startTestGateway([
    toService({ price: '10 sat', upstream: upstream.origin }),
    toService({ name: 'deep', path: '/shop/*', price: '10 sat', upstream: upstream.origin }),
    toService({ name: 'user', path: '/users/:id/data', price: '10 sat', upstream: upstream.origin }),
    toService({ name: 'host', host: 'paid.example', path: '/*', price: '10 sat', upstream: upstream.origin }),
    toService({ name: 'free', path: '/free/*', price: 'free', upstream: upstream.origin }),
    toService({
      name: 'posts',
      path: '/posts',
      methods: ['POST'],
      price: '10 sat',
      upstream: upstream.origin,
    }),
    toService({ name: 'rest', path: '/*', price: 'free', upstream: upstream.origin }),
  ]);
});
after(async () => {
  await gateway.stop();
  await upstream.close();
});

/** Sends a request line as it is. @returns the status, and what the upstream was asked */
async function send(
  line: string,
  host = 'shop.example',
  head = '',
): Promise<{ status: number; asked: string[] }> {
  asked = [];
  const client = await rawClient(
    portOf(gateway),
    `${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${head}\r\n`,
  );
  await client.ended();
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(client.text())?.[1]), asked };
}

for (const target of [
  '/quote',
  '/quote/',
  '//quote',
  '///quote//',
  '/./quote',
  '/free/../quote',
  '/free/./../quote/.',
  '/free/%2e%2e/quote',
  '/free/%2E./quote',
  '/free/.%2e/%71uote',
  '/%71%75%6F%74%65',
  '/../../quote',
  '/quote?',
  '/quote?x=/free/',
  '/free/x/../../shop/y',
  '/shop',
  '/shop/',
  '/shop//a',
  '/shop/a/../b',
  '/users/7/data',
  '/users/..%20/data',
  '/users/%2e/7/data',
  `/users/${'x'.repeat(300)}/data`,
  'http://shop.example/quote',
  'HTTP://SHOP.EXAMPLE/free/../quote',
  'http://paid.example/anything',
]) {
  test(`GET ${target.slice(0, 60)} is challenged`, async () => {
    assert.deepEqual(await send(`GET ${target}`), { status: 402, asked: [] });
  });
}

for (const target of [
  '/free/..%2fquote',
  '/free/%2e%2e%2fquote',
  '/free/..%5cquote',
  '/free\\..\\quote',
  '/free/..;/quote',
  '/free/..;a=b/quote',
  '/free/%c0%ae%c0%ae/quote',
  '/free/%zz',
  '/free/%00',
  '/free/x#/../quote',
  'quote',
  '*',
  'ftp://shop.example/quote',
  'http:///quote',
  'http://shop.example:99999/quote',
]) {
  test(`GET ${target} is refused`, async () => {
    assert.deepEqual(await send(`GET ${target}`), { status: 400, asked: [] });
  });
}

test('the host of an absolute target counts, not the Host header; case, port and a final dot change nothing', async () => {
  for (const host of ['paid.example', 'PAID.example', 'paid.example:8402', 'paid.example.'])
    assert.equal((await send('GET /any', host)).status, 402, host);
  assert.equal((await send('GET http://paid.example/any', 'free.example')).status, 402);
  assert.equal((await send('GET http://free.example/any', 'paid.example')).status, 200);
});

test('what looks alike to people and is another path to servers is another path here', async () => {
  for (const target of [
    '/Quote',
    '/quote%20',
    '/quote.',
    '/quote;x',
    '/quote%3b',
    '/quotes',
    '/free%2equote',
  ])
    assert.equal((await send(`GET ${target}`)).status, 200, target);
});

test('headers that name another method or path do not change what is priced or forwarded', async () => {
  const tricks = [
    'X-HTTP-Method-Override: POST',
    'X-Original-URL: /quote',
    'X-Rewrite-URL: /quote',
    'X_Original_URL: /quote',
  ];
  const { status } = await send('GET /free/x', 'a', `${tricks.join('\r\n')}\r\n`);
  assert.equal(status, 200);
  assert.deepEqual(asked, ['/free/x']);
  assert.equal((await send('POST /posts', 'a', 'Content-Length: 0\r\n')).status, 402);
  assert.equal((await send('GET /posts', 'a', 'X-HTTP-Method-Override: POST\r\n')).status, 200);
});

test('what was paid for is forwarded in its canonical form, the query as it came', async () => {
  const credential = await buy(gateway, '/shop/x');
  const { status } = await send(
    'GET /free/..//shop/%61?q=%2e%2E/&r=//',
    'a',
    `Authorization: ${credential}\r\n`,
  );
  assert.equal(status, 200);
  assert.deepEqual(asked, ['/shop/a?q=%2e%2E/&r=//']);
});
