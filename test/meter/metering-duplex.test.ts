import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { createMeteringDuplex } from '../../gateway/meter/metering-duplex.ts';
import { noticeText } from '../../gateway/meter/notices.ts';
import type { Meter, MeterTerms } from '../../gateway/meter/terms.ts';
import { createTunnel } from '../../gateway/proxy/websocket.ts';
import { ACCOUNT, createRig, price, type Rig } from './rig.ts';

const RATE = price('100 msat/second');
const PER_MESSAGE = price('10 msat/message');

const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

interface Shop {
  readonly rig: Rig;
  readonly port: number;
  readonly meter: Promise<Meter>;
  /** The tunnel is over. */
  readonly ended: Promise<void>;
  /** The upstream's side of the connection. */
  readonly upstream: Promise<WebSocket>;
  /** Stall timers that are set. */
  readonly stalls: Set<() => void>;
}

interface ShopOptions {
  readonly terms: Partial<MeterTerms> & Pick<MeterTerms, 'price'>;
  readonly creditMsat: number;
  /** Answers instead of a WebSocket server. */
  readonly answer?: (socket: Socket) => void;
  readonly stallMs?: number;
}

/** A gateway that meters one tunnel to a real WebSocket server, with a clock that stands still. */
async function openShop({ terms, creditMsat, answer, stallMs = 0 }: ShopOptions): Promise<Shop> {
  const rig = await createRig();
  await rig.credit(ACCOUNT, creditMsat);
  const origin = http.createServer();
  const wss = new WebSocketServer({ noServer: true, maxPayload: 1 << 28 });
  const upstream = Promise.withResolvers<WebSocket>();
  origin.on('upgrade', (req, socket, head) => {
    if (answer !== undefined) answer(socket as Socket);
    else wss.handleUpgrade(req, socket, head, (ws) => upstream.resolve(ws));
  });
  const gateway = http.createServer();
  const meter = Promise.withResolvers<Meter>();
  const ended = Promise.withResolvers<void>();
  const stalls = new Set<() => void>();
  const tunnel = createTunnel();
  gateway.on('upgrade', async (req, socket, head) => {
    const opened = await rig.open(terms);
    meter.resolve(opened);
    const client = createMeteringDuplex({
      socket,
      head,
      meter: opened,
      stallMs,
      setTimer: (act) => {
        stalls.add(act);
        return () => void stalls.delete(act);
      },
    });
    tunnel(req, client, Buffer.alloc(0), {
      origin: `http://127.0.0.1:${(origin.address() as AddressInfo).port}`,
      path: '/',
      headers: req.rawHeaders.filter(
        (_, at, all) => !/^(connection|upgrade)$/i.test(all[at - (at % 2)] ?? ''),
      ),
      timeoutMs: 10_000,
      onOpen: () => [],
      onClose: () => ended.resolve(),
      onRefused: () => {
        ended.resolve();
        return [];
      },
      onUpstreamError: () => ended.resolve(),
      onClientGone: () => ended.resolve(),
    });
  });
  for (const server of [origin, gateway]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
  }
  closing.push(() => {
    for (const ws of wss.clients) ws.terminate();
  });
  const { port } = gateway.address() as AddressInfo;
  return { rig, port, meter: meter.promise, ended: ended.promise, upstream: upstream.promise, stalls };
}

async function join(
  shop: Shop,
): Promise<{ client: WebSocket; upstream: WebSocket; messages: string[]; meter: Meter }> {
  const client = new WebSocket(`ws://127.0.0.1:${shop.port}/`);
  closing.push(() => client.terminate());
  const messages: string[] = [];
  client.on('message', (data) => messages.push(String(data)));
  client.on('error', () => {});
  await once(client, 'open');
  return { client, upstream: await shop.upstream, messages, meter: await shop.meter };
}

async function nextMessage(ws: WebSocket): Promise<string> {
  const [data] = await once(ws, 'message');
  return String(data);
}

test('an open WebSocket is charged for its seconds, and both directions pass untouched', async () => {
  const shop = await openShop({ terms: { price: RATE }, creditMsat: 10_000 });
  const { client, upstream, meter } = await join(shop);
  client.send('up');
  assert.equal(await nextMessage(upstream), 'up');
  upstream.send('down'.repeat(50_000));
  assert.equal((await nextMessage(client)).length, 200_000);
  client.ping();
  await once(client, 'pong');
  await shop.rig.run(2_400);
  client.close(4000, 'done');
  const [code, reason] = await once(upstream, 'close');
  assert.deepEqual([code, String(reason)], [4000, 'done']);
  await shop.ended;
  assert.equal((await meter.end()).billedMsat, 240);
});

test('out of credit nothing passes either way; the client is told, and after the hold closed with 4402', async () => {
  const shop = await openShop({
    terms: { price: RATE, holdMs: 3_000, inBand: noticeText },
    creditMsat: 100,
  });
  const { client, upstream, messages, meter } = await join(shop);
  const received: string[] = [];
  upstream.on('message', (data) => received.push(String(data)));
  const closed = once(client, 'close');
  const told = nextMessage(client);
  await shop.rig.run(1_500);
  assert.match(await told, /"type":"payment-need-topup".*"neededMsat":100/);
  upstream.send('unpaid');
  client.send('unpaid');
  await shop.rig.run(4_000);
  const [code, reason] = await closed;
  assert.deepEqual([code, String(reason)], [4402, 'session-timeout']);
  await shop.ended;
  assert.deepEqual([messages.length, received.length], [1, 0]);
  assert.deepEqual((await meter.end()).cutBy, 'unpaid');
  assert.equal((await shop.rig.account()).spent, 100);
});

test('what waited during a hold is delivered when credit comes, in order and whole', async () => {
  const shop = await openShop({ terms: { price: RATE }, creditMsat: 100 });
  const { client, upstream, messages } = await join(shop);
  await shop.rig.run(1_500);
  const sent = Array.from({ length: 300 }, (_, at) => `${at}:${'x'.repeat(at * 7)}`);
  for (const text of sent) upstream.send(text);
  const echoed: string[] = [];
  upstream.on('message', (data) => echoed.push(String(data)));
  for (const text of sent) client.send(text);
  await shop.rig.credit(ACCOUNT, 1_000);
  shop.rig.meters.credited(ACCOUNT);
  await shop.rig.run(0);
  while (messages.length < sent.length) await once(client, 'message');
  while (echoed.length < sent.length) await once(upstream, 'message');
  // WebSocket says nothing of its own unless it is asked to.
  assert.deepEqual(messages, sent);
  assert.deepEqual(echoed, sent);
});

test('messages are counted in the directions that are sold, pings are not, and a flood is cut where the credit ends', async () => {
  const shop = await openShop({ terms: { price: PER_MESSAGE, count: 'both', holdMs: 0 }, creditMsat: 1_000 });
  const { client, upstream, messages, meter } = await join(shop);
  upstream.on('message', (data) => upstream.send(data, { binary: false }));
  for (let at = 0; at < 10; at += 1) {
    client.send(String(at));
    client.ping();
    // The reservation grows with what passes, on a clock that has to be moved.
    while (messages.length <= at) await shop.rig.run(10);
  }
  upstream.removeAllListeners('message');
  let passed = 0;
  upstream.on('message', () => {
    passed += 1;
  });
  const closed = once(client, 'close');
  for (let at = 0; at < 5_000; at += 1) client.send('');
  while (client.readyState === WebSocket.OPEN) await shop.rig.run(100);
  assert.equal((await closed)[0], 4402);
  await shop.ended;
  const report = await meter.end();
  assert.equal(report.billedMsat, report.deliveredUnits * 10);
  assert.equal(report.deliveredUnits, 20 + passed);
  assert.ok(report.billedMsat <= 1_000);
});

test('frames that came together with the upgrade request are counted too', async () => {
  const shop = await openShop({ terms: { price: PER_MESSAGE, count: 'request' }, creditMsat: 1_000 });
  const socket = connect(shop.port, '127.0.0.1');
  closing.push(() => socket.destroy());
  const masked = Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x61]);
  socket.write(
    Buffer.concat([
      Buffer.from(
        'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      ),
      masked,
      masked,
    ]),
  );
  const upstream = await shop.upstream;
  assert.equal(await nextMessage(upstream), 'a');
  socket.destroy();
  await shop.ended;
  assert.equal((await (await shop.meter).end()).billedMsat, 20);
});

test('an answer that is no upgrade passes free', async () => {
  const shop = await openShop({
    terms: { price: RATE, chargeFrom: 'request' },
    creditMsat: 1_000,
    answer: (socket) => socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope'),
  });
  const client = new WebSocket(`ws://127.0.0.1:${shop.port}/`);
  client.on('error', () => {});
  const [, response] = await once(client, 'unexpected-response');
  assert.equal(response.statusCode, 404);
  assert.equal(await new Response(response).text(), 'nope');
  await shop.rig.run(500);
  assert.equal((await (await shop.meter).end()).billedMsat, 0);
});

test('in the middle of a frame there is no place for a close: the connection is reset', async () => {
  const shop = await openShop({
    terms: { price: RATE, holdMs: 0, inBand: noticeText },
    creditMsat: 100,
    answer: (socket) => {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
          'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
      );
      socket.write(Buffer.from([0x81, 100, 0x61]));
    },
  });
  const socket = connect(shop.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  let seen = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    seen = Buffer.concat([seen, chunk]);
  });
  while (!seen.includes(Buffer.from([0x81, 100, 0x61]))) await once(socket, 'data');
  const closed = once(socket, 'close');
  await shop.rig.run(3_000);
  await closed;
  assert.deepEqual(seen.subarray(seen.indexOf('\r\n\r\n') + 4), Buffer.from([0x81, 100, 0x61]));
  assert.equal((await (await shop.meter).end()).cutBy, 'unpaid');
});

test('a client that takes nothing is cut, and does not pay for bytes that it did not take', async () => {
  const shop = await openShop({
    terms: { price: price('1 msat/KB') },
    creditMsat: 10_000_000,
    stallMs: 30_000,
  });
  const { client, upstream, meter } = await join(shop);
  client.pause();
  const block = Buffer.alloc(1_000_000);
  for (let at = 0; at < 40; at += 1) upstream.send(block);
  while (shop.stalls.size === 0) await shop.rig.run(100);
  for (const stall of shop.stalls) stall();
  await shop.ended;
  const report = await meter.end();
  assert.equal(report.cutBy, 'client-stalled');
  assert.ok(report.deliveredUnits < 30_000_000, String(report.deliveredUnits));
});

test('a revoked account is closed with 4402, and events that can not be counted with 1002', async () => {
  const revoked = await openShop({ terms: { price: RATE }, creditMsat: 10_000 });
  const first = await join(revoked);
  revoked.rig.revoked.add(ACCOUNT);
  const closed = once(first.client, 'close');
  await revoked.rig.run(400);
  assert.equal((await closed)[0], 4402);
  await revoked.ended;

  const broken = await openShop({ terms: { price: PER_MESSAGE, count: 'both' }, creditMsat: 10_000 });
  const { client } = await join(broken);
  const ended = once(client, 'close');
  // A continuation without a beginning.
  Reflect.get(client, '_socket').write(Buffer.from([0x80, 0x80, 0, 0, 0, 0]));
  assert.equal((await ended)[0], 1002);
  await broken.ended;
  assert.equal((await (await broken.meter).end()).cutBy, 'uncountable');
});
