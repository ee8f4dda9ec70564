import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { type TestContext, test } from 'node:test';
import { ask, rawClient, startRawUpstream } from '../proxy/wire.ts';
import { buy, type TestGateway } from '../support/gateway.ts';
import {
  accountOf,
  balanceOf,
  eventually,
  openScene,
  portOf,
  type Scene,
  type Upstream,
  type Ware,
} from './scene.ts';

/* Money comes back when the upstream (not the client) failed before its first byte, or answered what is not charged for. */

interface Sold {
  readonly scene: Scene;
  readonly gateway: TestGateway;
  readonly credential: string;
}

async function sell(
  t: TestContext,
  origin: string,
  change: Partial<Ware> = {},
  scene = openScene(t),
): Promise<Sold> {
  const gateway = await scene.gateway([{ price: '10 sat', upstream: origin, ...change }]);
  return { scene, gateway, credential: await buy(gateway, '/quote') };
}

async function sellFrom(
  t: TestContext,
  listener: RequestListener,
  change: Partial<Ware> = {},
): Promise<Sold & { upstream: Upstream }> {
  const scene = openScene(t);
  const upstream = await scene.upstream(listener);
  return { upstream, ...(await sell(t, upstream.origin, change, scene)) };
}

async function call({ gateway, credential }: Sold) {
  return ask(`${gateway.url}/quote`, { headers: { Authorization: credential } });
}

/** What is left on the account, msat. */
function left({ gateway, credential }: Sold): Promise<number> {
  return balanceOf(gateway, credential);
}

test('an upstream that refuses the connection: 502, and the money is back', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  await upstream.close();
  const sold = await sell(t, upstream.origin, {}, scene);
  const answer = await call(sold);
  assert.equal(answer.status, 502);
  assert.match(answer.body.toString(), /"code":"upstream-refused"/);
  assert.equal(answer.headers['l402-balance-msat'], '10000');
  assert.equal(await left(sold), 10_000);
});

test('an upstream that does not answer: 504, and the money is back', async (t) => {
  const sold = await sellFrom(t, () => {}, { headersTimeoutMs: 100 });
  const answer = await call(sold);
  assert.equal(answer.status, 504);
  assert.equal(await left(sold), 10_000);
});

for (const [how, bytes] of [
  ['dies without a word', ''],
  ['dies within its head', 'HTTP/1.1 200 OK\r\nContent-'],
  ['speaks no HTTP', 'SSH-2.0-OpenSSH_9.9\r\n'],
] as const) {
  test(`an upstream that ${how}: 502, and the money is back`, async (t) => {
    const scene = openScene(t);
    const upstream = scene.keep(
      await startRawUpstream((socket) => void socket.once('data', () => socket.end(bytes))),
    );
    const sold = await sell(t, upstream.origin, {}, scene);
    const answer = await call(sold);
    assert.equal(answer.status, 502);
    assert.equal(answer.headers['l402-balance-msat'], '10000');
    assert.equal(await left(sold), 10_000);
  });
}

for (const [status, charged] of [
  [200, true],
  [204, true],
  [302, true],
  [304, true],
  [404, true],
  [429, false],
  [500, false],
  [503, false],
] as const) {
  test(`an answer of ${status} ${charged ? 'is charged' : 'is not charged: the money is back when the answer is read'}`, async (t) => {
    const sold = await sellFrom(t, (_req, res) => void res.writeHead(status).end());
    const answer = await call(sold);
    assert.equal(answer.status, status);
    const rest = charged ? 0 : 10_000;
    assert.equal(answer.headers['l402-balance-msat'], String(rest));
    assert.equal(await left(sold), rest);
  });
}

test('a client that asks again at once after an uncharged answer finds its money there', async (t) => {
  const sold = await sellFrom(t, (_req, res) => void res.writeHead(500).end('x'.repeat(100_000)));
  for (let n = 0; n < 50; n += 1) assert.equal((await call(sold)).status, 500);
  assert.equal(sold.upstream.seen.length, 50);
});

test('chargeOn decides: what it names is charged, everything else is not', async (t) => {
  let status = 200;
  const sold = await sellFrom(t, (_req, res) => void res.writeHead(status).end(), {
    price: '30 sat for 3 calls',
    chargeOn: [[201, 201]],
  });
  await call(sold);
  assert.equal(await left(sold), 30_000);
  status = 201;
  await call(sold);
  assert.equal(await left(sold), 20_000);
});

for (const protocol of ['1.0', '1.1']) {
  test(`an upstream that dies mid-body is charged, and an HTTP/${protocol} client sees a reset`, async (t) => {
    const sold = await sellFrom(t, (_req, res) => {
      res.writeHead(200).write('first half');
      setImmediate(() => res.destroy());
    });
    const client = await rawClient(
      portOf(sold.gateway),
      `GET /quote HTTP/${protocol}\r\nHost: a\r\nAuthorization: ${sold.credential}\r\n\r\n`,
    );
    assert.equal(await client.ended(), 'ECONNRESET');
    assert.equal(await left(sold), 0);
  });
}

test('a client that leaves before the head is charged, and the upstream’s work ends', async (t) => {
  let ended = false;
  const sold = await sellFrom(t, (_req, res) => void res.on('close', () => (ended = true)));
  const client = await rawClient(
    portOf(sold.gateway),
    `GET /quote HTTP/1.1\r\nHost: a\r\nAuthorization: ${sold.credential}\r\n\r\n`,
  );
  await eventually(() => sold.upstream.seen.length === 1);
  client.socket.destroy();
  await eventually(() => ended);
  assert.equal(await left(sold), 0);
});

test('a client that leaves mid-body is charged, and the upstream’s work ends', async (t) => {
  let ended = false;
  const sold = await sellFrom(t, (_req, res) => {
    res.on('close', () => (ended = true));
    res.writeHead(200).write('first half');
  });
  const client = await rawClient(
    portOf(sold.gateway),
    `GET /quote HTTP/1.1\r\nHost: a\r\nAuthorization: ${sold.credential}\r\n\r\n`,
  );
  await client.until('first half');
  client.socket.destroy();
  await eventually(() => ended);
  assert.equal(await left(sold), 0);
});

test('a body that is announced too long is refused before payment; one that grows too long gets its money not back', async (t) => {
  const sold = await sellFrom(t, () => {}, { maxBodyBytes: 10 });
  const announced = await ask(`${sold.gateway.url}/quote`, { method: 'POST' }, 'x'.repeat(11));
  assert.equal(announced.status, 413);
  const headers = { Authorization: sold.credential, 'Transfer-Encoding': 'chunked' };
  const grown = await ask(`${sold.gateway.url}/quote`, { method: 'POST', headers }, 'x'.repeat(11));
  assert.equal(grown.status, 413);
  assert.equal((await accountOf(sold.gateway, sold.credential)).spentMsat, 10_000);
});

test('a bug of the gateway’s own after the charge gives the money back', async (t) => {
  // An upstream URL that no config check would let through stands for the bug.
  const sold = await sell(t, 'not a URL');
  const answer = await call(sold);
  assert.equal(answer.status, 500);
  assert.equal(await left(sold), 10_000);
});

test('a refund under a pass changes nothing', async (t) => {
  const sold = await sellFrom(t, (_req, res) => void res.writeHead(500).end(), { price: '10 sat for 10m' });
  assert.equal((await call(sold)).status, 500);
  assert.equal((await sold.gateway.store.totals()).creditedMsat, 0);
});
