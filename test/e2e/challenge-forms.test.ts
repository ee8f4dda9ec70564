import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { decodeInvoice } from '../../node/bolt11.ts';
import { ask, rawClient } from '../proxy/wire.ts';
import { testConfig } from '../support/config.ts';
import { buy, type TestGateway, type TestGatewayOptions, withCredential } from '../support/gateway.ts';
import { openScene, partsOf, portOf, type Upstream, type Ware } from './scene.ts';

async function openShop(
  t: TestContext,
  ware: Partial<Ware> = {},
  options: TestGatewayOptions = {},
): Promise<{ gateway: TestGateway; upstream: Upstream; url: string }> {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin, ...ware }], options);
  return { gateway, upstream, url: `${gateway.url}/quote` };
}

/** The order of the keys is part of the form: known clients stop at any other. */
const L402_LINE =
  /^L402 macaroon="([A-Za-z0-9+/]+={0,2})", invoice="(lnbcrt[a-z0-9]+)", version="0", token="([A-Za-z0-9+/]+={0,2})"$/;

test('the header has its keys in the order that every known client reads, once', async (t) => {
  const { url } = await openShop(t);
  const { status, rawHeaders, headers } = await ask(url);
  assert.equal(status, 402);
  const lines = rawHeaders.filter((_, at) => rawHeaders[at - 1]?.toLowerCase() === 'www-authenticate');
  assert.equal(lines.length, 1);
  const [, macaroon, invoice = '', token] = L402_LINE.exec(lines[0] ?? '') ?? [];
  assert.equal(macaroon, token);
  assert.equal(decodeInvoice(invoice).amountMsat, 10_000);
  assert.equal(headers['cache-control'], 'no-store');
  assert.match(String(headers['content-type']), /^application\/json/);
});

test('the macaroon carries the terms in their order, bound to the invoice', async (t) => {
  const { url, gateway } = await openShop(t);
  const body = JSON.parse((await ask(url)).body.toString());
  const { macaroon } = partsOf(`L402 ${body.macaroon}:`);
  const nowSec = Math.floor(gateway.clock.ms / 1000);
  assert.equal(macaroon.location, 'lsat');
  assert.equal(macaroon.identifier.length, 66);
  assert.equal(macaroon.identifier.subarray(2, 34).toString('hex'), body.paymentHash);
  assert.deepEqual(macaroon.caveats, [
    'services=quote:0',
    'quote_capabilities=all',
    `quote_valid_until=${nowSec + 600 + 30 * 86_400}`,
    `quote_account=${macaroon.identifier.subarray(34).toString('hex')}`,
    'quote_credit_msat=10000',
    'quote_price=10000msat/call',
  ]);
});

test('the body says everything that a client without the header needs', async (t) => {
  const { url, gateway } = await openShop(t);
  const { body } = await ask(url);
  const { error, howToPay, authorization, macaroon, invoice, ...rest } = JSON.parse(body.toString());
  const decoded = decodeInvoice(invoice);
  assert.deepEqual(error, {
    code: 'payment-required',
    reason: 'no-credential',
    message:
      'This resource is paid for by the request. Pay the invoice and repeat the request with the credential.',
  });
  assert.deepEqual(rest, {
    service: 'quote',
    price: '10 sat a call',
    amountMsat: 10_000,
    priceSats: 10,
    creditMsat: 10_000,
    paymentRequest: invoice,
    paymentHash: decoded.paymentHash,
    expiresAt: new Date(decoded.expiresAtSec * 1000).toISOString(),
    validUntil: new Date((decoded.expiresAtSec + 30 * 86_400) * 1000).toISOString(),
  });
  assert.equal(authorization, `Authorization: L402 ${macaroon}:<preimage>`);
  assert.ok(howToPay[0].includes(`npx sluice pay ${invoice}`), 'play money says how to pay it');
  // What the body tells to do works.
  const credential = authorization
    .slice('Authorization: '.length)
    .replace('<preimage>', await gateway.pay(invoice));
  assert.equal((await fetch(url, withCredential(credential))).status, 200);
});

test('the body is JSON, indented for those who read it with curl', async (t) => {
  for (const price of ['10 sat', '50 sat for 100 calls', '200 sat for 10m']) {
    const { url } = await openShop(t, { price });
    const text = (await ask(url)).body.toString();
    assert.equal(text, `${JSON.stringify(JSON.parse(text), null, 2)}\n`);
  }
});

test('a whole sat is asked where a price has less, and priceSats rounds up', async (t) => {
  const { url } = await openShop(t, { price: '1500 msat' });
  const body = JSON.parse((await ask(url)).body.toString());
  assert.deepEqual([body.amountMsat, body.priceSats, body.creditMsat], [1_500, 2, 1_500]);
});

test('a browser gets a page with the same header; a program that takes anything gets JSON', async (t) => {
  const { url } = await openShop(t);
  const page = await ask(url, {
    headers: { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' },
  });
  assert.equal(page.status, 402);
  assert.match(String(page.headers['content-type']), /^text\/html/);
  assert.match(String(page.headers['www-authenticate']), L402_LINE);
  assert.match(String(page.headers['content-security-policy']), /default-src 'none'/);
  assert.equal(page.headers['cache-control'], 'no-store');
  const [, , invoice = ''] = L402_LINE.exec(String(page.headers['www-authenticate'])) ?? [];
  assert.ok(page.body.toString().includes(invoice));
  assert.match(page.body.toString(), /PLAY MONEY/);
  const program = await ask(url, { headers: { accept: '*/*' } });
  assert.match(String(program.headers['content-type']), /^application\/json/);
});

test('a gRPC call gets the trailers-only form that its clients read, and no status but 200', async (t) => {
  const { url } = await openShop(t);
  const answer = await ask(url, {
    method: 'POST',
    headers: { 'content-type': 'application/grpc+proto', te: 'trailers' },
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/grpc+proto');
  assert.deepEqual(
    [answer.headers['grpc-status'], answer.headers['grpc-message']],
    ['13', 'payment required'],
  );
  assert.match(String(answer.headers['www-authenticate']), L402_LINE);
  assert.equal(answer.body.length, 0);
});

test('HEAD is told the price without an invoice', async (t) => {
  const { url, gateway } = await openShop(t);
  const answer = await ask(url, { method: 'HEAD' });
  assert.deepEqual([answer.status, answer.headers['l402-price']], [402, '10000msat/call']);
  assert.equal(answer.headers['www-authenticate'], undefined);
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(gateway.simnet.openInvoices(), 0);
});

test('the legacy line comes second, and only when it is configured', async (t) => {
  const challenge = { ...testConfig([]).challenge, legacyLsat: true };
  const { url } = await openShop(t, {}, { config: { challenge } });
  const { rawHeaders } = await ask(url);
  const lines = rawHeaders.filter((_, at) => rawHeaders[at - 1]?.toLowerCase() === 'www-authenticate');
  assert.equal(lines.length, 2);
  const [, macaroon, invoice] = L402_LINE.exec(lines[0] ?? '') ?? [];
  assert.equal(lines[1], `LSAT macaroon="${macaroon}", invoice="${invoice}"`);
});

test('a preflight is answered free, names Authorization, and never allows credentials mode', async (t) => {
  const { url, gateway, upstream } = await openShop(t);
  const answer = await ask(url, {
    method: 'OPTIONS',
    headers: {
      origin: 'https://page.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization, x-mine',
    },
  });
  assert.equal(answer.status, 204);
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  assert.match(String(answer.headers['access-control-allow-headers']), /^Authorization, .*x-mine/);
  assert.match(String(answer.headers['access-control-allow-methods']), /POST/);
  assert.equal(answer.headers['access-control-allow-credentials'], undefined);
  assert.equal(upstream.seen.length, 0);
  assert.equal(gateway.simnet.openInvoices(), 0);
});

test('a preflight for a service that names its methods is answered for the method it asks about', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([
    { methods: ['POST'], price: '10 sat', upstream: upstream.origin },
    { name: 'rest', path: '/*', price: 'free', upstream: upstream.origin },
  ]);
  const preflight = (method: string) =>
    ask(`${gateway.url}/quote`, {
      method: 'OPTIONS',
      headers: { origin: 'https://page.example', 'access-control-request-method': method },
    });
  const paid = await preflight('POST');
  assert.deepEqual([paid.status, paid.headers['access-control-allow-origin']], [204, '*']);
  assert.equal(upstream.seen.length, 0);
  // GET is the free service's, and so is its preflight.
  assert.equal((await preflight('GET')).status, 200);
  assert.deepEqual(
    upstream.seen.map(({ method }) => method),
    ['OPTIONS'],
  );
});

test('OPTIONS that is no preflight says what is allowed and costs nothing', async (t) => {
  const { url, upstream } = await openShop(t);
  const answer = await ask(url, { method: 'OPTIONS' });
  assert.deepEqual(
    [answer.status, answer.headers.allow],
    [204, 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'],
  );
  assert.equal(upstream.seen.length, 0);
});

const EXPOSED = /WWW-Authenticate.*L402-Balance-Msat.*Retry-After/;

test('a page of another origin can read the challenge, the balance and the errors', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream((_req, res) => res.end('paid for'));
  const gone = await scene.upstream();
  await gone.close();
  const gateway = await scene.gateway([
    { price: '20 sat for 2 calls', upstream: upstream.origin },
    { name: 'gone', path: '/gone', price: 'free', upstream: gone.origin },
  ]);
  const headers = { origin: 'https://page.example' };
  const credential = await buy(gateway, '/quote');
  for (const [path, status, extra] of [
    ['/quote', 402, {}],
    ['/quote', 200, { Authorization: credential }],
    ['/gone', 502, {}],
    ['/nowhere', 404, {}],
  ] as const) {
    const answer = await ask(gateway.url + path, { headers: { ...headers, ...extra } });
    assert.equal(answer.status, status);
    assert.equal(answer.headers['access-control-allow-origin'], '*', `${path} ${status}`);
    assert.match(String(answer.headers['access-control-expose-headers']), EXPOSED);
    assert.equal(answer.headers['access-control-allow-credentials'], undefined);
  }
});

test('an upstream that speaks CORS itself keeps its words, and ours are exposed beside them', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream((_req, res) => {
    res.setHeader('Access-Control-Allow-Origin', 'https://page.example');
    res.setHeader('Access-Control-Expose-Headers', 'X-Theirs');
    res.end('paid for');
  });
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const headers = { origin: 'https://page.example', Authorization: await buy(gateway, '/quote') };
  const answer = await ask(`${gateway.url}/quote`, { headers });
  assert.equal(answer.headers['access-control-allow-origin'], 'https://page.example');
  assert.match(String(answer.headers['access-control-expose-headers']), /X-Theirs/);
  assert.match(String(answer.headers['access-control-expose-headers']), EXPOSED);
});

test('with configured origins only those may read anything', async (t) => {
  const { url } = await openShop(t, {}, { config: { corsOrigins: ['https://page.example'] } });
  const from = async (origin: string) => (await ask(url, { headers: { origin } })).headers;
  const allowed = await from('https://page.example');
  assert.deepEqual(
    [allowed['access-control-allow-origin'], allowed.vary],
    ['https://page.example', 'Origin'],
  );
  const other = await from('https://evil.example');
  assert.deepEqual([other['access-control-allow-origin'], other.vary], [undefined, 'Origin']);
});

test('no status but 402 carries an L402 challenge, whatever the upstream says: clients would pay for it', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream((req, res) => {
    const status = Number(req.url?.slice('/status/'.length));
    res
      .writeHead(status, {
        'WWW-Authenticate': [
          'L402 macaroon="AgEE", invoice="lnbc1"',
          'Basic realm="upstream"',
          'Payment id="1"',
        ],
        'L402-Balance-Msat': '99',
        'Payment-Receipt': 'x',
      })
      .end();
  });
  const gateway = await scene.gateway([
    { path: '/status/*', price: '90 sat for 9 calls', upstream: upstream.origin },
  ]);
  const credential = await buy(gateway, '/status/200');
  for (const status of [200, 401, 402, 429, 500]) {
    const answer = await ask(`${gateway.url}/status/${status}`, { headers: { Authorization: credential } });
    assert.equal(answer.status, status);
    assert.equal(answer.headers['www-authenticate'], 'Basic realm="upstream"');
    assert.equal(answer.headers['payment-receipt'], undefined);
    assert.notEqual(answer.headers['l402-balance-msat'], '99');
  }
});

test('an address that was throttled is told so without a challenge', async (t) => {
  const challenge = { ...testConfig([]).challenge, burst: 1 };
  const { url } = await openShop(t, {}, { config: { challenge } });
  await ask(url);
  const { status, headers } = await ask(url);
  assert.equal(status, 429);
  assert.equal(headers['www-authenticate'], undefined);
});

test('HTTP/1.0 and a pipelined client get whole challenges', async (t) => {
  const { gateway } = await openShop(t);
  const client = await rawClient(
    portOf(gateway),
    'GET /quote HTTP/1.1\r\nHost: a\r\n\r\nGET /quote HTTP/1.1\r\nHost: a\r\n\r\nGET /quote HTTP/1.0\r\n\r\n',
  );
  await client.ended();
  assert.equal(client.text().match(/^HTTP\/1\.1 402 /gm)?.length, 3);
  assert.equal(gateway.simnet.openInvoices(), 3);
});
