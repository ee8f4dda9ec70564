import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import type { MeteringConfig } from '../../config/config.ts';
import { createLog } from '../../gateway/observe/log.ts';
import { msat } from '../../node/msat.ts';
import { rawClient } from '../proxy/wire.ts';
import { eventually } from '../support/eventually.ts';
import { buy, type TestGateway } from '../support/gateway.ts';
import { openScene, portOf } from './scene.ts';
import {
  isBalanced,
  openStore,
  paidSince,
  QUICK,
  revoke,
  STORES,
  type StoreKind,
  type StreamLine,
  settled,
  topUp,
} from './streams-scene.ts';

const PRICE = '10 sat/second';

interface Shop {
  readonly gateway: TestGateway;
  readonly credential: string;
  readonly server: WebSocketServer;
  /** Sockets at the upstream. */
  readonly upstream: readonly WebSocket[];
  untilEnded(count?: number): Promise<StreamLine>;
}

async function openShop(
  t: TestContext,
  price: string,
  metering: Partial<MeteringConfig> = {},
  kind: StoreKind = 'memory',
): Promise<Shop> {
  const scene = openScene(t);
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const upstream: WebSocket[] = [];
  server.on('connection', (socket) => {
    upstream.push(socket);
    socket.on('error', () => {});
  });
  scene.keep({
    close: async () => {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  const log: string[] = [];
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const gateway = await scene.gateway([{ price, upstream: origin, metering: { ...QUICK, ...metering } }], {
    store: await openStore(scene, kind),
    log: createLog({ level: 'info', format: 'json', destination: { write: (line) => log.push(line) } }),
  });
  return {
    gateway,
    credential: await buy(gateway, '/quote'),
    server,
    upstream,
    async untilEnded(count = 1) {
      const lines = await eventually(
        () => log.filter((line) => line.includes('"a stream ended"')),
        ({ length }) => length >= count,
      );
      return JSON.parse(lines[count - 1] ?? '');
    },
  };
}

interface Client {
  readonly socket: WebSocket;
  readonly messages: { readonly text: string; readonly atMs: number }[];
  /** Code and reason of the close frame; 1006 without one. */
  readonly closed: Promise<readonly [code: number, reason: string]>;
}

/** Opens a WebSocket through the gateway. @throws the answer, when it is refused */
async function connect({ gateway }: Shop, credential?: string): Promise<Client> {
  const headers = credential === undefined ? {} : { Authorization: credential };
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/quote`, { headers });
  const messages: { text: string; atMs: number }[] = [];
  socket.on('message', (data) => messages.push({ text: String(data), atMs: performance.now() }));
  const closed = once(socket, 'close').then(([code, reason]) => [code, String(reason)] as const);
  closed.catch(() => {});
  const opened = Promise.withResolvers<void>();
  socket.once('open', () => opened.resolve());
  socket.once('unexpected-response', (_request, answer) => {
    opened.reject(answer);
    socket.terminate();
  });
  socket.on('error', (error) => opened.reject(error));
  await opened.promise;
  return { socket, messages, closed };
}

async function refusalOf(shop: Shop, credential?: string): Promise<number | undefined> {
  try {
    (await connect(shop, credential)).socket.terminate();
    return undefined;
  } catch (answer) {
    return (answer as IncomingMessage).statusCode;
  }
}

/** The upstream's side of the latest connection. */
function theirs({ upstream }: Shop, at = 0): Promise<WebSocket> {
  return eventually(
    () => upstream[at],
    (socket) => socket !== undefined,
  ) as Promise<WebSocket>;
}

function tick(socket: WebSocket, everyMs = 20): void {
  let count = 0;
  const timer = setInterval(() => {
    count += 1;
    socket.send(String(count));
  }, everyMs);
  socket.once('close', () => clearInterval(timer));
}

// They wait for most of their time: together.
describe('metered WebSockets', { concurrency: 3 }, () => {
  for (const kind of STORES) {
    test(`a WebSocket is billed for the time that it is open, to the moment of its end (${kind})`, async (t) => {
      const shop = await openShop(t, PRICE, { sliceMs: 60_000, depositMsat: msat(1_000_000) }, kind);
      const fromMs = performance.now();
      const client = await connect(shop, shop.credential);
      const openMs = performance.now();
      tick(await theirs(shop));
      await eventually(
        () => client.messages.length,
        (length) => length >= 15,
      );
      client.socket.close(1000, 'bye');
      const closeMs = performance.now();
      assert.deepEqual(await client.closed, [1000, 'bye']);
      const line = await shop.untilEnded();
      const { spentMsat } = await settled(shop.gateway.store, shop.credential);
      assert.equal(spentMsat, line.billedMsat);
      assert.ok(spentMsat / 10 <= performance.now() - fromMs);
      assert.ok(spentMsat / 10 >= closeMs - openMs - 300, `${spentMsat} for ${closeMs - openMs}`);
      assert.equal(line.cutBy, undefined);
    });

    test(`used up, a WebSocket falls silent, and is closed with 4402 after the hold (${kind})`, async (t) => {
      const shop = await openShop(t, PRICE, { depositMsat: msat(4_000), holdMs: 500 }, kind);
      const fromMs = performance.now();
      const client = await connect(shop, shop.credential);
      const upstream = await theirs(shop);
      const gone = once(upstream, 'close');
      let heard = 0;
      upstream.on('message', () => {
        heard = performance.now();
      });
      tick(upstream);
      const talking = setInterval(() => client.socket.send('up'), 20);
      t.after(() => clearInterval(talking));
      const [code] = await client.closed;
      const endMs = performance.now();
      assert.equal(code, 4402);
      await gone;
      const line = await shop.untilEnded();
      assert.equal(line.cutBy, 'unpaid');
      for (const lastMs of [client.messages.at(-1)?.atMs ?? 0, heard]) {
        assert.ok(lastMs - fromMs <= 400 + (line.heldMs - 500) + 600, 'no frame beyond what was paid');
        assert.ok(endMs - lastMs >= 250, 'silent in both directions while it is held');
      }
      assert.deepEqual(
        client.messages.filter(({ text }) => !/^\d+$/.test(text)),
        [],
        'nothing is put in between',
      );
      const { spentMsat, balanceMsat } = await settled(shop.gateway.store, shop.credential);
      assert.deepEqual([spentMsat, balanceMsat], [4_000, 0]);
    });
  }

  test('a top-up while it is held: no frame is lost in either direction', async (t) => {
    const shop = await openShop(t, PRICE, { depositMsat: msat(4_000) });
    const client = await connect(shop, shop.credential);
    const upstream = await theirs(shop);
    const heard: string[] = [];
    upstream.on('message', (data) => heard.push(String(data)));
    tick(upstream);
    let sent = 0;
    const talking = setInterval(() => {
      sent += 1;
      client.socket.send(String(sent));
    }, 20);
    t.after(() => clearInterval(talking));
    await eventually(
      () => performance.now() - (client.messages.at(-1)?.atMs ?? Number.POSITIVE_INFINITY),
      (silentMs) => silentMs > 300,
    );
    await topUp(shop.gateway, shop.credential, 50_000);
    const goal = sent + 10;
    await eventually(
      () => Math.min(heard.length, client.messages.length),
      (length) => length >= goal,
    );
    assert.deepEqual(
      heard,
      heard.map((_, at) => String(at + 1)),
    );
    assert.deepEqual(
      client.messages.map(({ text }) => text),
      client.messages.map((_, at) => String(at + 1)),
    );
    client.socket.terminate();
    const line = await shop.untilEnded();
    assert.ok(line.heldMs >= 200);
    assert.equal((await settled(shop.gateway.store, shop.credential)).spentMsat, line.billedMsat);
  });

  test('a WebSocket without a credential, with one that is spent, or with one too many, reaches no upstream', async (t) => {
    const shop = await openShop(t, PRICE, { depositMsat: msat(6_000), holdMs: 0, maxStreams: 1 });
    assert.equal(await refusalOf(shop), 402);
    const client = await connect(shop, shop.credential);
    await theirs(shop);
    assert.equal(await refusalOf(shop, shop.credential), 429);
    assert.equal((await client.closed)[0], 4402);
    await settled(shop.gateway.store, shop.credential);
    assert.equal(await refusalOf(shop, shop.credential), 402);
    assert.equal(shop.upstream.length, 1);
  });

  test('a flood of tiny frames passes as it is, costs its time, and ends when the money does', async (t) => {
    const shop = await openShop(t, PRICE, { depositMsat: msat(6_000), holdMs: 0 });
    const client = await connect(shop, shop.credential);
    const upstream = await theirs(shop);
    let heard = 0;
    upstream.on('message', (data) => {
      heard += 1;
      upstream.send(data);
    });
    let sent = 0;
    const flooding = setInterval(() => {
      for (let n = 0; n < 500; n += 1) client.socket.send('x');
      sent += 500;
    }, 10);
    t.after(() => clearInterval(flooding));
    assert.equal((await client.closed)[0], 4402);
    clearInterval(flooding);
    assert.ok(client.messages.length > 1_000, String(client.messages.length));
    assert.ok(client.messages.length <= heard && heard <= sent);
    assert.equal((await settled(shop.gateway.store, shop.credential)).spentMsat, 6_000);
  });

  test('charged by the message, each whole message counts once, and none beyond the money passes', async (t) => {
    const shop = await openShop(t, '100 msat/event', { depositMsat: msat(2_000), holdMs: 200 });
    const client = await connect(shop, shop.credential);
    const upstream = await theirs(shop);
    for (let n = 1; n <= 50; n += 1) {
      upstream.send(String(n));
      if (n < 20)
        await eventually(
          () => client.messages.length,
          (length) => length >= n,
        );
    }
    assert.equal((await client.closed)[0], 4402);
    assert.ok(client.messages.length <= 20, String(client.messages.length));
    const account = await settled(shop.gateway.store, shop.credential);
    isBalanced(account);
    assert.equal(account.spentMsat, client.messages.length * 100);
  });

  test('charged by the byte, a WebSocket stops where the money does', async (t) => {
    const shop = await openShop(t, '1000 msat/KB', { depositMsat: msat(20_000), holdMs: 200 });
    const client = await connect(shop, shop.credential);
    const upstream = await theirs(shop);
    const timer = setInterval(() => upstream.send('y'.repeat(1_000)), 5);
    t.after(() => clearInterval(timer));
    assert.equal((await client.closed)[0], 4402);
    const got = client.messages.reduce((sum, { text }) => sum + text.length + 4, 0);
    const { spentMsat } = await settled(shop.gateway.store, shop.credential);
    assert.ok(got <= spentMsat && spentMsat <= 20_000, `${got} for ${spentMsat}`);
    assert.ok(got > 10_000);
  });

  test('a revoked account loses its WebSockets within a second', async (t) => {
    const shop = await openShop(t, PRICE);
    const client = await connect(shop, shop.credential);
    await theirs(shop);
    const fromMs = performance.now();
    await revoke(shop.gateway, shop.credential);
    assert.equal((await client.closed)[0], 4402);
    assert.ok(performance.now() - fromMs < 3_000);
    assert.equal((await shop.untilEnded()).cutBy, 'revoked');
    await settled(shop.gateway.store, shop.credential);
  });

  test('either side that goes without a word ends the charge', async (t) => {
    for (const side of ['client', 'upstream'] as const) {
      const shop = await openShop(t, PRICE, { sliceMs: 60_000, depositMsat: msat(1_000_000) });
      const fromMs = performance.now();
      const client = await connect(shop, shop.credential);
      const upstream = await theirs(shop);
      (side === 'client' ? client.socket : upstream).terminate();
      if (side === 'upstream') assert.equal((await client.closed)[0], 1006);
      const { spentMsat } = await settled(shop.gateway.store, shop.credential);
      assert.ok(spentMsat / 10 <= paidSince(fromMs), `${side}: ${spentMsat}`);
    }
  });

  test('an upstream that refuses the upgrade with a status that is not charged costs nothing', async (t) => {
    const shop = await openShop(t, PRICE);
    shop.server.options.verifyClient = (_info: unknown, done: (ok: boolean, status: number) => void) =>
      done(false, 503);
    assert.equal(await refusalOf(shop, shop.credential), 503);
    assert.equal((await settled(shop.gateway.store, shop.credential)).spentMsat, 0);
  });

  test('a client that is silent after the upgrade pays all the same, until it is closed', async (t) => {
    const shop = await openShop(t, PRICE, { depositMsat: msat(3_000), holdMs: 0 });
    const key = Buffer.alloc(16).toString('base64');
    const client = await rawClient(
      portOf(shop.gateway),
      `GET /quote HTTP/1.1\r\nHost: x\r\nAuthorization: ${shop.credential}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    );
    await client.until('101 Switching');
    await client.ended();
    assert.ok(client.text().includes('\x88'), 'a close frame');
    assert.equal((await settled(shop.gateway.store, shop.credential)).spentMsat, 3_000);
  });
});
