import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import net, { type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import tls from 'node:tls';
import type { LimitsConfig, Listener } from '../../config/config.ts';
import { createHttpServer, type HttpServer } from '../../gateway/server.ts';
import { listenAnywhere, rawClient, TEST_LIMITS } from '../proxy/wire.ts';
import { CERTIFICATE_ONE } from './certificates.ts';

/* A worker's servers accept nothing by themselves: what Node does for those that do must hold for them too. */

const TICKET_KEYS = Buffer.alloc(48, 7);
const HELD = 'GET /held HTTP/1.1\r\nHost: a\r\n\r\n';

interface Adopting {
  readonly port: number;
  readonly server: HttpServer;
  readonly held: ServerResponse[];
}

/** A server that is given its connections, one of several in turn. */
async function adopting(
  t: TestContext,
  limits: Partial<LimitsConfig> = {},
  certificate?: Listener['tls'],
  servers = 1,
): Promise<Adopting> {
  const held: ServerResponse[] = [];
  const takers: ((socket: Socket) => void)[] = [];
  const made: HttpServer[] = [];
  for (let n = 0; n < servers; n += 1) {
    const server = await createHttpServer(
      { host: '127.0.0.1', port: 0, ...(certificate && { tls: certificate }) },
      { ...TEST_LIMITS, ...limits },
      {
        onRequest: (req, res) => void (req.url === '/held' ? held.push(res) : res.end('ok')),
        onUpgrade: (_req, socket) => void socket.destroy(),
      },
    );
    takers.push(server.adopt(TICKET_KEYS));
    made.push(server);
  }
  let turn = 0;
  const listener = net.createServer((socket) => {
    takers[turn % takers.length]?.(socket);
    turn += 1;
  });
  const port = await listenAnywhere(listener);
  t.after(async () => {
    listener.close();
    await Promise.all(made.map((server) => server.drain(0)));
  });
  const [server] = made;
  assert.ok(server);
  return { port, server, held };
}

test('a head that does not come to its end is cut', async (t) => {
  const { port } = await adopting(t, { headersTimeoutMs: 100 });
  const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n');
  await client.ended();
  assert.match(client.text(), /^HTTP\/1\.1 408 /);
});

test('a connection that falls idle is closed', async (t) => {
  const { port } = await adopting(t, { keepAliveTimeoutMs: 100 });
  const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until('ok');
  assert.equal(await client.ended(), 'end');
});

test('connections beyond the bound are closed, and room that is free is used', async (t) => {
  const { port, held } = await adopting(t, { maxConnections: 1 });
  const first = await rawClient(port, HELD);
  while (held.length === 0) await new Promise(setImmediate);
  const second = await rawClient(port, HELD);
  await second.ended();
  assert.equal(second.text(), '');
  first.socket.destroy();
  await once(held[0] ?? first.socket, 'close');
  const third = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await third.until('ok');
});

test('a drain closes what is idle, waits for what is under way, and cuts it in the end', async (t) => {
  const { port, server, held } = await adopting(t);
  const idle = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await idle.until('ok');
  const busy = await rawClient(port, HELD);
  while (held.length === 0) await new Promise(setImmediate);
  const drained = server.drain(10_000);
  await idle.ended();
  held[0]?.end('finished');
  assert.match(await busy.until('finished'), /connection: close/i);
  await busy.ended();
  await drained;
});

test('a drain that takes too long cuts', async (t) => {
  const { port, server, held } = await adopting(t);
  const busy = await rawClient(port, HELD);
  while (held.length === 0) await new Promise(setImmediate);
  await server.drain(20);
  await busy.ended();
  assert.equal(busy.text(), '');
});

test('a TLS session that began at one goes on at another', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-adopt-'));
  t.after(() => rm(folder, { recursive: true }));
  const files = { certFile: join(folder, 'one.crt'), keyFile: join(folder, 'one.key') };
  await writeFile(files.certFile, CERTIFICATE_ONE.cert);
  await writeFile(files.keyFile, CERTIFICATE_ONE.key);
  const { port } = await adopting(t, {}, files, 2);
  const visit = async (session?: Buffer) => {
    const socket = tls.connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ...(session && { session }),
    });
    let ticket: Buffer | undefined;
    let reused: boolean | undefined;
    socket.on('secureConnect', () => (reused = socket.isSessionReused()));
    socket.on('session', (value) => (ticket = value));
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of socket) text += chunk;
    assert.match(text, /ok$/);
    return { reused, ticket };
  };
  const first = await visit();
  const second = await visit(first.ticket);
  assert.deepEqual([first.reused, second.reused], [false, true]);
});
