import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { startUpstream } from '../proxy/wire.ts';
import { buy, type TestGateway } from '../support/gateway.ts';
import { balanceOf, eventually, openScene, type Scene, termsOf } from './scene.ts';

interface Echo {
  readonly origin: string;
  readonly requests: IncomingMessage[];
}

async function startEcho(scene: Scene): Promise<Echo> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const requests: IncomingMessage[] = [];
  server.on('connection', (socket, req) => {
    requests.push(req);
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on('error', () => {});
  });
  scene.keep({
    close: async () => {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

interface Opened {
  readonly socket: WebSocket;
  /** Head of the 101. */
  readonly head: IncomingMessage;
}

/** Opens a WebSocket through the gateway. @throws with the status that it was refused with */
async function connect(gateway: TestGateway, credential: string | undefined): Promise<Opened> {
  const headers = credential === undefined ? {} : { Authorization: credential };
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/quote`, { headers });
  const opened = Promise.withResolvers<Opened>();
  // `open` comes in the same turn as `upgrade`: nothing may be awaited between them.
  socket.once('upgrade', (head) => socket.once('open', () => opened.resolve({ socket, head })));
  socket.once('unexpected-response', (_req, res: IncomingMessage) => {
    opened.reject(res);
    socket.terminate();
  });
  socket.on('error', (error) => opened.reject(error));
  return opened.promise;
}

async function refusedWith(gateway: TestGateway, credential: string | undefined): Promise<IncomingMessage> {
  try {
    (await connect(gateway, credential)).socket.terminate();
  } catch (refused) {
    return refused as IncomingMessage;
  }
  throw new Error('it was let through');
}

async function echoes({ socket }: Opened, text: string): Promise<void> {
  socket.send(text);
  assert.equal(String((await once(socket, 'message'))[0]), text);
}

async function close({ socket }: Opened): Promise<void> {
  const closed = once(socket, 'close');
  socket.close(1000);
  await closed;
}

async function openShop(t: TestContext, price: string) {
  const scene = openScene(t);
  const echo = await startEcho(scene);
  const gateway = await scene.gateway([{ price, upstream: echo.origin }]);
  return { scene, echo, gateway, credential: await buy(gateway, '/quote') };
}

test('a connection is one call: paid at its handshake, however much is said on it', async (t) => {
  const { gateway, echo, credential } = await openShop(t, '10 sat');
  assert.equal((await refusedWith(gateway, undefined)).statusCode, 402);
  const opened = await connect(gateway, credential);
  assert.equal(opened.head.headers['l402-balance-msat'], '0');
  for (const word of ['one', 'two', 'three']) await echoes(opened, word);
  await close(opened);
  const refused = await refusedWith(gateway, credential);
  assert.equal(refused.statusCode, 402);
  assert.match(String(refused.headers['www-authenticate']), /^L402 macaroon="/);
  assert.equal(echo.requests.length, 1);
  assert.equal(echo.requests[0]?.headers.authorization, undefined);
  assert.equal(echo.requests[0]?.headers['l402-account'], termsOf(credential).accountId);
});

test('a bundle opens as many connections as calls were bought', async (t) => {
  const { gateway, credential } = await openShop(t, '20 sat for 2 calls');
  const first = await connect(gateway, credential);
  const second = await connect(gateway, credential);
  assert.equal(second.head.headers['l402-balance-msat'], '0');
  assert.equal((await refusedWith(gateway, credential)).statusCode, 402);
  await echoes(first, 'still here');
  await Promise.all([close(first), close(second)]);
});

test('a pass opens any number, and all of them end when it is over', async (t) => {
  const { gateway, credential } = await openShop(t, '10 sat for 10m');
  const opened = [await connect(gateway, credential), await connect(gateway, credential)];
  for (const each of opened) await echoes(each, 'hello');
  const closed = opened.map(({ socket }) => once(socket, 'close'));
  gateway.clock.ms = termsOf(credential).validUntilSec * 1000;
  for (const [code] of await Promise.all(closed)) assert.equal(code, 1006);
  assert.equal((await refusedWith(gateway, credential)).statusCode, 402);
});

test('revoking an account ends its connections', async (t) => {
  const { gateway, credential } = await openShop(t, '10 sat');
  const { socket } = await connect(gateway, credential);
  const closed = once(socket, 'close');
  await fetch(`${gateway.adminUrl}/api/accounts/${termsOf(credential).accountId}/revoke`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${gateway.adminToken}` },
  });
  assert.equal((await closed)[0], 1006);
});

for (const [status, left] of [
  [403, 0],
  [429, 10_000],
  [503, 10_000],
] as const) {
  test(`an upstream that refuses with ${status} leaves ${left} msat, and its answer passes`, async (t) => {
    const scene = openScene(t);
    const upstream = scene.keep(await startUpstream(() => {}));
    upstream.server.on('upgrade', (_req, socket) =>
      socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 2\r\n\r\nno`),
    );
    const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
    const credential = await buy(gateway, '/quote');
    assert.equal((await refusedWith(gateway, credential)).statusCode, status);
    await eventually(async () => (await balanceOf(gateway, credential)) === left);
  });
}

test('an upstream that is not there, or does not answer, gives the money back', async (t) => {
  const scene = openScene(t);
  const gone = await scene.upstream();
  await gone.close();
  const silent = await scene.upstream();
  for (const [origin, status] of [
    [gone.origin, 502],
    [silent.origin, 504],
  ] as const) {
    const gateway = await scene.gateway([
      { price: '10 sat', upstream: origin, connectTimeoutMs: 50, headersTimeoutMs: 50 },
    ]);
    const credential = await buy(gateway, '/quote');
    assert.equal((await refusedWith(gateway, credential)).statusCode, status);
    await eventually(async () => (await balanceOf(gateway, credential)) === 10_000);
  }
});

test('a client that leaves before the upstream accepted is charged: the failure is not the upstream’s', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const asked = Promise.withResolvers<void>();
  upstream.server.on('upgrade', () => asked.resolve());
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin }]);
  const credential = await buy(gateway, '/quote');
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/quote`, {
    headers: { Authorization: credential },
  });
  socket.on('error', () => {});
  await asked.promise;
  const gone = Promise.withResolvers<void>();
  socket.once('close', () => gone.resolve());
  socket.terminate();
  await gone.promise;
  assert.equal(await balanceOf(gateway, credential), 0);
});

test('a WebSocket of a free service passes without a credential', async (t) => {
  const scene = openScene(t);
  const echo = await startEcho(scene);
  const gateway = await scene.gateway([{ price: 'free', upstream: echo.origin }]);
  const opened = await connect(gateway, undefined);
  await echoes(opened, 'free');
  assert.equal(opened.head.headers['l402-balance-msat'], undefined);
  await close(opened);
});
