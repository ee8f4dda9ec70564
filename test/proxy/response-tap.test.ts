import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, test } from 'node:test';
import type { ResponseHead, ResponseTap, TapControls } from '../../gateway/proxy/forward.ts';
import { NO_PLACE } from '../../gateway/proxy/roster.ts';
import {
  ask,
  type Closable,
  rawClient,
  startProxy,
  startRawUpstream,
  startUpstream,
  type TestProxy,
} from './wire.ts';

const open: Closable[] = [];
after(async () => {
  for (const each of open.reverse()) await each.close();
});

/** A meter with a budget of bytes: pauses at the chunk that goes over it. */
class ToyTap implements ResponseTap {
  readonly chunks: number[] = [];
  readonly paused = Promise.withResolvers<void>();
  readonly closed = Promise.withResolvers<void>();
  head: ResponseHead | undefined;
  controls: TapControls | undefined;
  budget: number;
  closes = 0;
  readonly atLimit: 'pause' | 'cut' | 'finish';

  constructor(budget: number, atLimit: 'pause' | 'cut' | 'finish' = 'pause') {
    this.budget = budget;
    this.atLimit = atLimit;
  }

  open(head: ResponseHead, controls: TapControls): void {
    this.head = head;
    this.controls = controls;
  }

  chunk(bytes: Buffer): void {
    this.chunks.push(bytes.length);
    this.budget -= bytes.length;
    if (this.budget >= 0) return;
    this.controls?.[this.atLimit]();
    this.paused.resolve();
  }

  close(): void {
    this.closes += 1;
    this.closed.resolve();
  }

  topUp(bytes: number): void {
    this.budget += bytes;
    this.controls?.resume();
  }

  get seen(): number {
    return this.chunks.reduce((sum, each) => sum + each, 0);
  }
}

async function tapped(tap: ToyTap, listener: http.RequestListener): Promise<TestProxy> {
  const upstream = await startUpstream(listener);
  const proxy = await startProxy(upstream.origin, () => ({ tap, onHead: () => ['X-Added', '1'] }));
  open.push(upstream, proxy);
  return proxy;
}

test('a tap sees the head as the client will and every byte once', async () => {
  const tap = new ToyTap(1e9);
  const proxy = await tapped(tap, (_req, res) =>
    res.writeHead(201, { 'X-Own': '1' }).end(Buffer.alloc(500_000)),
  );
  const res = await ask(`${proxy.origin}/x`);
  assert.equal(res.body.length, 500_000);
  assert.equal(tap.seen, 500_000);
  assert.equal(tap.head?.status, 201);
  assert.ok(tap.head?.headers.includes('X-Added') && tap.head.headers.includes('X-Own'));
  assert.equal(tap.closes, 1);
});

test('a paused tap holds the chunk it paused at; resumed, everything comes in order', async () => {
  const total = 1_000_000;
  const body = Buffer.from(
    Array.from({ length: total / 4 }, (_, i) => [i & 255, (i >> 8) & 255, (i >> 16) & 255, 0]).flat(),
  );
  const tap = new ToyTap(100_000);
  const proxy = await tapped(tap, (_req, res) => res.end(body));
  const req = http.get(`${proxy.origin}/x`, { agent: false });
  const [res] = await once(req, 'response');
  const chunks: Buffer[] = [];
  let read = 0;
  res.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    read += chunk.length;
  });
  const ended = once(res, 'end');
  await tap.paused.promise;
  const overdrawn = tap.chunks.at(-1) ?? 0;
  // All that was paid for arrives, and not one byte more.
  const paidFor = tap.seen - overdrawn;
  while (read < paidFor) await once(res, 'data');
  assert.equal(read, paidFor);
  tap.topUp(1e9);
  await ended;
  assert.deepEqual(Buffer.concat(chunks), body);
  assert.equal(tap.seen, total);
});

test('a pause outlives the upstream: what it sent before it closed waits, and ends cleanly after', async () => {
  const tap = new ToyTap(4);
  const closed = Promise.withResolvers<void>();
  const upstream = await startRawUpstream((socket) => {
    socket.on('close', () => closed.resolve());
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfive!'));
  });
  const proxy = await startProxy(upstream.origin, () => ({ tap }));
  open.push(upstream, proxy);
  const client = await rawClient(proxy.port, 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
  await tap.paused.promise;
  await client.until('\r\n\r\n');
  assert.ok(!client.text().includes('five!'));
  tap.topUp(100);
  await client.until('five!');
  await client.until('0\r\n\r\n');
  assert.equal((await proxy.nextOutcome()).kind, 'responded');
  client.socket.destroy();
});

test('a cut resets the client and ends the upstream’s work; the chunk it happened at is not written', async () => {
  const tap = new ToyTap(5, 'cut');
  const gone = Promise.withResolvers<void>();
  const proxy = await tapped(tap, (_req, res) => {
    res.on('close', () => gone.resolve());
    res.write('12345');
    tap.closed.promise.catch(() => {});
    setImmediate(() => res.write('secret'));
  });
  const client = await rawClient(proxy.port, 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal(await client.ended(), 'ECONNRESET');
  assert.ok(!client.text().includes('secret'));
  await gone.promise;
  assert.deepEqual(await proxy.nextOutcome(), { kind: 'broken', status: 200, bytesSent: 5, by: 'tap' });
  assert.equal(tap.closes, 1);
});

test('a tap can add bytes of its own and end a stream cleanly before the upstream does', async () => {
  const tap = new ToyTap(8, 'pause');
  const gone = Promise.withResolvers<void>();
  const proxy = await tapped(tap, (_req, res) => {
    res.on('close', () => gone.resolve());
    res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n');
  });
  const answer = ask(`${proxy.origin}/x`);
  await tap.paused.promise;
  tap.controls?.inject(Buffer.from('event: payment-need-topup\n\n'));
  tap.controls?.inject(Buffer.from('event: session-timeout\n\n'));
  tap.controls?.finish();
  assert.equal((await answer).body.toString(), 'event: payment-need-topup\n\nevent: session-timeout\n\n');
  await gone.promise;
  assert.equal((await proxy.nextOutcome()).kind, 'responded');
});

test('a client that leaves closes a paused tap', async () => {
  const tap = new ToyTap(1);
  const proxy = await tapped(tap, (_req, res) => res.write('more than one'));
  const client = await rawClient(proxy.port, 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
  await tap.paused.promise;
  client.socket.destroy();
  await tap.closed.promise;
  assert.equal((await proxy.nextOutcome()).kind, 'client-gone');
  tap.topUp(100);
});

test('an upstream is not timed out while the tap holds its response', async () => {
  const tap = new ToyTap(1);
  const upstream = await startUpstream((_req, res) => res.end('more than one'));
  const proxy = await startProxy(upstream.origin, () => ({
    tap,
    timeouts: { connectMs: 1_000, headersMs: 40, idleMs: 40 },
  }));
  open.push(upstream, proxy);
  const answer = ask(`${proxy.origin}/x`);
  await tap.paused.promise;
  const { sweep } = proxy.upstreams;
  const from = sweep.tick;
  // Ten sweeps are five idle times.
  await new Promise<void>((resolve) => {
    const watcher = {
      place: NO_PLACE,
      sweep: (tick: number) => {
        if (tick < from + 10) return;
        sweep.delete(watcher);
        resolve();
      },
    };
    sweep.add(watcher);
  });
  tap.topUp(100);
  assert.equal((await answer).body.toString(), 'more than one');
});
