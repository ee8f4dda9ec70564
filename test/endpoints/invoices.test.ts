import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import request from 'supertest';
import { createEndpoints, type EndpointsDeps } from '../../gateway/endpoints/app.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { msat } from '../../node/msat.ts';
import type { InvoiceState } from '../../node/node.ts';

const PREIMAGE = '11'.repeat(32);
const HASH = createHash('sha256').update(Buffer.from(PREIMAGE, 'hex')).digest('hex');
const MACAROON = 'AgEEbHNhdAJCAAAC1EmjH7smfI81Lplop54+X8lcG76qUC/WRU695aS+3A==';
const SETTLED: InvoiceState = { kind: 'settled', preimage: PREIMAGE, paidMsat: msat(1000), settledAtSec: 1 };
const PATH = `/.l402/invoices/${HASH}`;

function setup(overrides: Partial<EndpointsDeps> = {}) {
  const node = { state: { kind: 'open' } as InvoiceState | undefined, lookups: 0 };
  const feed = new EventEmitter();
  let logged = '';
  const endpoints = createEndpoints({
    verifyMacaroon: (text) => (text === MACAROON ? { paymentHash: HASH } : undefined),
    lookupInvoice: async () => {
      node.lookups += 1;
      return node.state;
    },
    onSettled: (listener) => {
      feed.on('settled', listener);
      return () => feed.off('settled', listener);
    },
    corsOrigins: () => ['*'],
    log: createLog({ level: 'debug', format: 'json', destination: { write: (text) => (logged += text) } }),
    ...overrides,
  });
  return { ...endpoints, node, feed, logged: () => logged };
}

test('an open invoice is answered without a preimage and may not be cached', async () => {
  const { app } = setup();
  const answer = await request(app).get(PATH).set('L402-Macaroon', MACAROON);
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.body, { state: 'open', paymentHash: HASH });
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(answer.headers['access-control-allow-origin'], '*');
  assert.match(answer.headers['access-control-expose-headers'] ?? '', /WWW-Authenticate/);
  assert.equal(answer.headers['x-powered-by'], undefined);
});

test('a settled invoice is answered with the preimage and the ready Authorization value', async () => {
  const { app, node } = setup();
  node.state = SETTLED;
  for (const authorization of [`L402 ${MACAROON}`, `lsat ${MACAROON}:`, `L402 ${MACAROON}:${PREIMAGE}`]) {
    const answer = await request(app).get(PATH).set('Authorization', authorization);
    assert.deepEqual(answer.body, {
      state: 'settled',
      paymentHash: HASH,
      preimage: PREIMAGE,
      authorization: `L402 ${MACAROON}:${PREIMAGE}`,
    });
  }
});

test('expired and cancelled invoices say so', async () => {
  for (const kind of ['expired', 'cancelled'] as const) {
    const { app, node } = setup();
    node.state = { kind };
    const answer = await request(app).get(`${PATH}?wait=60`).set('L402-Macaroon', MACAROON);
    assert.deepEqual(answer.body, { state: kind, paymentHash: HASH });
  }
});

test('nobody without the macaroon of that very invoice learns anything, and the node is not asked', async () => {
  const { app, node } = setup();
  node.state = SETTLED;
  const attempts: Record<string, string>[] = [
    {},
    { 'L402-Macaroon': `${MACAROON}AA` },
    { 'L402-Macaroon': '' },
    { 'L402-Macaroon': 'A'.repeat(13_000) },
    { Authorization: `Bearer ${MACAROON}` },
    { Authorization: 'L402 ' },
    { Authorization: 'L402 AAAA:BBBB' },
  ];
  for (const headers of attempts) {
    const answer = await request(app).get(PATH).set(headers);
    assert.equal(answer.status, 403);
    assert.equal(answer.body.error.code, 'bad-macaroon');
    assert.equal(answer.headers['www-authenticate'], undefined);
    assert.doesNotMatch(answer.text, new RegExp(PREIMAGE));
  }
  const other = await request(app)
    .get(`/.l402/invoices/${'00'.repeat(32)}`)
    .set('L402-Macaroon', MACAROON);
  assert.equal(other.status, 403);
  assert.equal(node.lookups, 0);
});

test('a preimage that does not belong to the hash is not passed on', async () => {
  const { app, node } = setup();
  node.state = { ...SETTLED, preimage: '22'.repeat(32) };
  const answer = await request(app).get(PATH).set('L402-Macaroon', MACAROON);
  assert.equal(answer.status, 503);
  assert.doesNotMatch(answer.text, /2222/);
});

test('a wait ends at once when the feed reports the settlement', async () => {
  const looked = new EventEmitter();
  let state: InvoiceState = { kind: 'open' };
  const { app, feed } = setup({
    lookupInvoice: async () => {
      looked.emit('look');
      return state;
    },
  });
  const first = once(looked, 'look');
  const answer = request(app)
    .get(`${PATH}?wait=60`)
    .set('L402-Macaroon', MACAROON)
    .then((response) => response);
  await first;
  state = SETTLED;
  feed.emit('settled', HASH);
  assert.equal((await answer).body.state, 'settled');
});

test('a client that leaves gives its place back', async () => {
  const looked = new EventEmitter();
  const { app, close } = setup({
    maxWaiters: 1,
    lookupInvoice: async () => {
      looked.emit('look');
      return { kind: 'open' };
    },
  });
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const headers = { 'L402-Macaroon': MACAROON };
  const first = once(looked, 'look');
  const client = get({ port, path: `${PATH}?wait=60`, headers });
  client.on('error', () => {});
  const [connection] = await once(server, 'connection');
  await first;
  const gone = once(connection, 'close');
  client.destroy();
  await gone;
  const answer = await fetch(`http://127.0.0.1:${port}${PATH}`, { headers });
  assert.equal(answer.status, 200);
  await answer.text();
  close();
  server.close();
  server.closeAllConnections();
});

test('too many waiters are refused with 503 and Retry-After', async () => {
  const { app } = setup({ maxWaiters: 0 });
  const answer = await request(app).get(`${PATH}?wait=60`).set('L402-Macaroon', MACAROON);
  assert.equal(answer.status, 503);
  assert.equal(answer.body.error.code, 'busy');
  assert.equal(answer.headers['retry-after'], '2');
});

test('a node that is down is 503, and its reason goes to the log only', async () => {
  const { app, logged } = setup({
    lookupInvoice: async () => {
      throw new Error('connect ECONNREFUSED 10.0.0.7:8080');
    },
  });
  const answer = await request(app).get(PATH).set('L402-Macaroon', MACAROON);
  assert.equal(answer.status, 503);
  assert.equal(answer.body.error.code, 'node-unavailable');
  assert.doesNotMatch(answer.text, /10\.0\.0\.7/);
  assert.match(logged(), /10\.0\.0\.7/);
});

test('an invoice that the node does not know is 404', async () => {
  const { app, node } = setup();
  node.state = undefined;
  const answer = await request(app).get(PATH).set('L402-Macaroon', MACAROON);
  assert.equal(answer.status, 404);
});

test('malformed requests are refused as JSON', async () => {
  const { app } = setup();
  const cases: readonly (readonly [string, number])[] = [
    [`${PATH}?wait=abc`, 400],
    [`${PATH}?wait=-1`, 400],
    [`${PATH}?wait=1.5`, 400],
    [`${PATH}?wait=1&wait=2`, 400],
    ['/.l402/invoices/zz', 404],
    ['/.l402/invoices/%E0%A4%A', 400],
    ['/.l402/', 404],
    ['/.l402/nothing', 404],
    ['/elsewhere', 404],
    [`/.L402/invoices/${HASH}`, 404],
  ];
  for (const [path, status] of cases) {
    const answer = await request(app).get(path).set('L402-Macaroon', MACAROON);
    assert.equal(answer.status, status, path);
    assert.equal(typeof answer.body.error.message, 'string', path);
  }
});

test('a wait over the limit is shortened, not refused', async () => {
  const { app, node } = setup();
  node.state = SETTLED;
  const answer = await request(app).get(`${PATH}?wait=86400`).set('L402-Macaroon', MACAROON);
  assert.equal(answer.status, 200);
});

test('other methods get 405, and a preflight is answered without a macaroon', async () => {
  const { app } = setup();
  const post = await request(app).post(PATH).set('L402-Macaroon', MACAROON);
  assert.deepEqual([post.status, post.headers['allow']], [405, 'GET']);
  const preflight = await request(app).options(PATH).set('Origin', 'https://shop.example');
  assert.equal(preflight.status, 204);
  assert.match(preflight.headers['access-control-allow-headers'] ?? '', /Authorization.*L402-Macaroon/);
  assert.equal(preflight.headers['access-control-allow-credentials'], undefined);
});

test('with configured origins, only those may read the answer', async () => {
  const { app } = setup({ corsOrigins: () => ['https://shop.example'] });
  const ask = (origin: string) => request(app).get(PATH).set('L402-Macaroon', MACAROON).set('Origin', origin);
  assert.equal(
    (await ask('https://shop.example')).headers['access-control-allow-origin'],
    'https://shop.example',
  );
  const other = await ask('https://evil.example');
  assert.equal(other.headers['access-control-allow-origin'], undefined);
  assert.match(other.headers['vary'] ?? '', /Origin/);
});
