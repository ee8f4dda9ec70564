import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import net from 'node:net';
import { after, test } from 'node:test';
import { MAX_DISCARDED_BYTES } from '../../gateway/proxy/discard-body.ts';
import { createHttpServer } from '../../gateway/server.ts';
import { ask, type Closable, rawClient, startUpstream, TEST_LIMITS } from '../proxy/wire.ts';
import { serve, serveUpstream } from './serve.ts';

const open: Closable[] = [];
after(async () => {
  for (const each of open.reverse()) await each.close();
});

async function kept<T extends Closable>(starting: Promise<T>): Promise<T> {
  const started = await starting;
  open.push(started);
  return started;
}

const GET = 'GET /x HTTP/1.1\r\nHost: a\r\n';

test('a client that waits for 100 Continue gets none from the server, and its connection ends with the refusal', async () => {
  const served = await kept(
    serve({
      onRequest: (_req, res, sendContinue) => {
        assert.ok(sendContinue !== undefined);
        res.writeHead(402).end('pay');
      },
    }),
  );
  const client = await rawClient(
    served.port,
    'POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n',
  );
  await client.ended();
  assert.match(client.text(), /^HTTP\/1\.1 402 /);
  assert.match(client.text(), /connection: close/i);
  assert.ok(!client.text().includes('100 Continue'));
});

test('a paid upload gets its 100 when the upstream takes it, and the upstream sees no Expect', async () => {
  const upstream = await kept(
    startUpstream(async (req, res) => {
      let body = '';
      for await (const chunk of req) body += chunk;
      res.end(`${req.headers.expect} ${body}`);
    }),
  );
  const served = await kept(serveUpstream(upstream.origin));
  const client = await rawClient(
    served.port,
    'POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n',
  );
  await client.until('HTTP/1.1 100 Continue\r\n\r\n');
  client.send('the bytes');
  await client.until('undefined the bytes');
  client.socket.destroy();
});

test('any other expectation is a 417', async () => {
  const served = await kept(serve());
  const client = await rawClient(served.port, `${GET}Expect: payment\r\n\r\n`);
  await client.ended();
  assert.match(client.text(), /^HTTP\/1\.1 417 [\s\S]*"expectation-refused"/);
});

test('h2c and other upgrades pass as plain requests, WebSocket ones do not', async () => {
  const served = await kept(serve({ onUpgrade: (_req, socket) => socket.end('HTTP/1.1 402 Pay\r\n\r\n') }));
  for (const upgrade of ['h2c', 'h2c, websocket', 'TLS/1.0', 'foo']) {
    const client = await rawClient(
      served.port,
      `${GET}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${upgrade}\r\nHTTP2-Settings: AA\r\n\r\n`,
    );
    assert.match(await client.until('ok'), /^HTTP\/1\.1 200 /);
    client.socket.destroy();
  }
  assert.equal(served.seen.length, 4);
  assert.equal(served.upgrades.length, 0);
  const client = await rawClient(served.port, `${GET}Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n`);
  await client.until('HTTP/1.1 402');
  assert.deepEqual(served.upgrades, ['GET /x']);
  client.socket.destroy();
});

test('an upgrade with a body is refused, and the body is no request', async () => {
  const served = await kept(serve());
  const inner = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
  const client = await rawClient(
    served.port,
    `${GET}Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
  );
  await client.ended();
  assert.match(client.text(), /^HTTP\/1\.1 400 /);
  assert.deepEqual([served.seen, served.upgrades], [[], []]);
});

test('an upgrade behind a request that is not answered yet ends the connection', async () => {
  const served = await kept(serve({ onRequest: () => {} }));
  const client = await rawClient(
    served.port,
    `${GET}\r\n${GET}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  );
  await client.ended();
  assert.equal(client.text(), '');
  assert.deepEqual([served.seen, served.upgrades], [['GET /x'], []]);
});

test('TRACE and CONNECT are refused', async () => {
  const served = await kept(serve());
  for (const line of ['TRACE /x', 'CONNECT evil.example:443']) {
    const client = await rawClient(served.port, `${line} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.ended();
    assert.match(client.text(), /^HTTP\/1\.1 405 [\s\S]*"method-refused"/);
  }
  assert.deepEqual(served.seen, []);
});

test('a head that is too large, too long or has too many lines is refused with its own code', async () => {
  const served = await kept(
    serve({ limits: { maxHeaderBytes: 4_096, maxHeaderCount: 20, maxUrlBytes: 1_000 } }),
  );
  for (const [head, status, code] of [
    [`${GET}X-A: ${'a'.repeat(5_000)}\r\n\r\n`, 431, 'headers-too-large'],
    [`${GET}${'X-A: 1\r\n'.repeat(20)}\r\n`, 431, 'headers-too-large'],
    [`GET /${'a'.repeat(1_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414, 'uri-too-long'],
    [`GET /${'a'.repeat(9_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431, 'headers-too-large'],
  ] as const) {
    const client = await rawClient(served.port, head);
    await client.ended();
    assert.match(client.text(), new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*"${code}"`));
  }
  assert.deepEqual(served.seen, []);
  assert.ok(served.refused.some((each) => each.status === 431 && each.reason === 'HPE_HEADER_OVERFLOW'));
});

test('a head that does not arrive in time is a 408, also when not one byte of it came', async () => {
  const served = await kept(serve({ limits: { headersTimeoutMs: 200 } }));
  for (const first of ['GET /x HTTP/1.1\r\nHost: a\r\nX-Slow', '']) {
    const client = await rawClient(served.port, first);
    await client.ended();
    assert.match(client.text(), /^HTTP\/1\.1 408 /);
  }
});

test('an upload that stops is a 408; a response that waits for its upstream is left alone', async () => {
  const waiting = Promise.withResolvers<ServerResponse>();
  const served = await kept(
    serve({
      limits: { clientIdleTimeoutMs: 150 },
      onRequest: (req, res) => {
        if (req.method === 'POST') req.resume();
        else waiting.resolve(res);
      },
    }),
  );
  const patient = await rawClient(served.port, `${GET}\r\n`);
  const res = await waiting.promise;
  const stopped = await rawClient(
    served.port,
    'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf',
  );
  await stopped.ended();
  assert.match(stopped.text(), /^HTTP\/1\.1 408 /);
  res.end('at last');
  await patient.until('at last');
  patient.socket.destroy();
});

test('a client that does not take its response is cut', async () => {
  const closed = Promise.withResolvers<void>();
  const served = await kept(
    serve({
      limits: { clientIdleTimeoutMs: 150 },
      onRequest: (_req, res) => {
        res.on('close', () => closed.resolve());
        res.end(Buffer.alloc(50_000_000));
      },
    }),
  );
  const client = await rawClient(served.port, `${GET}\r\n`);
  client.socket.pause();
  await closed.promise;
  client.socket.destroy();
});

test('an unpaid upload is not read to its end after its answer', async () => {
  const served = await kept(serve({ onRequest: (_req, res) => res.writeHead(402).end('pay') }));
  const client = await rawClient(
    served.port,
    `POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: ${MAX_DISCARDED_BYTES * 100}\r\n\r\n`,
  );
  await client.until('pay');
  const block = 'x'.repeat(65_536);
  let sent = 0;
  const ended = client.ended();
  while (!client.socket.destroyed && sent < MAX_DISCARDED_BYTES * 100) {
    sent += block.length;
    if (!client.socket.write(block))
      await Promise.race([once(client.socket, 'drain').catch(() => {}), ended]);
  }
  await ended;
  assert.ok(sent < MAX_DISCARDED_BYTES * 50);
});

test('a short body that nobody read leaves the connection in use', async () => {
  const served = await kept(serve());
  const client = await rawClient(served.port, 'POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');
  await client.until('ok');
  client.send(`12345GET /2 HTTP/1.1\r\nHost: a\r\n\r\n`);
  while (served.seen.length < 2) await once(client.socket, 'data');
  assert.deepEqual(served.seen, ['POST /1', 'GET /2']);
  client.socket.destroy();
});

test('garbage after a request does not become a part of its response', async () => {
  const responses: ServerResponse[] = [];
  const served = await kept(
    serve({
      onRequest: (_req, res) => {
        responses.push(res);
        res.writeHead(200, { 'Content-Length': 10 }).write('half');
      },
    }),
  );
  const client = await rawClient(served.port, `${GET}\r\n`);
  await client.until('half');
  client.send('\x00garbage\r\n\r\n');
  await client.ended();
  assert.ok(client.text().endsWith('half'));
});

test('more pipelined requests than anybody needs are answered 503', async () => {
  const first = Promise.withResolvers<ServerResponse>();
  const served = await kept(
    serve({ onRequest: (req, res) => (req.url === '/0' ? first.resolve(res) : res.end('ok')) }),
  );
  const client = await rawClient(
    served.port,
    Array.from({ length: 40 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''),
  );
  (await first.promise).end('first');
  await client.ended();
  assert.equal(served.seen.length, 32);
  assert.match(client.text(), /HTTP\/1\.1 503 [\s\S]*"busy"/);
});

test('connections over the bound are dropped and the others go on', async () => {
  const served = await kept(serve({ limits: { maxConnections: 2 } }));
  const a = await rawClient(served.port);
  const b = await rawClient(served.port);
  const c = await rawClient(served.port);
  await c.ended();
  a.send(`${GET}\r\n`);
  await a.until('ok');
  a.socket.destroy();
  b.socket.destroy();
});

test('HTTP/1.0 without a Host is served', async () => {
  const served = await kept(serve());
  const client = await rawClient(served.port, 'GET /x HTTP/1.0\r\n\r\n');
  await client.ended();
  assert.match(client.text(), /^HTTP\/1\.1 200 [\s\S]*ok$/);
});

test('a drain lets requests finish with Connection: close, drops idle connections, and then accepts nobody', async () => {
  const held = Promise.withResolvers<ServerResponse>();
  const served = await serve({
    onRequest: (req, res) => (req.url === '/slow' ? held.resolve(res) : res.end('ok')),
  });
  const idle = await rawClient(served.port, `${GET}\r\n`);
  await idle.until('ok');
  const busy = await rawClient(served.port, 'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
  const res = await held.promise;
  const drained = served.server.drain(60_000);
  await idle.ended();
  res.end('finished');
  await busy.ended();
  assert.match(busy.text(), /connection: close[\s\S]*finished$/i);
  await drained;
  const late = net.connect({ port: served.port, host: '127.0.0.1' });
  const [error] = await once(late, 'error');
  assert.equal(error.code, 'ECONNREFUSED');
});

test('a drain cuts what does not finish, also an upgraded connection', async () => {
  const asked = Promise.withResolvers<IncomingMessage>();
  const upgraded = Promise.withResolvers<void>();
  const served = await serve({
    onRequest: (req) => asked.resolve(req),
    onUpgrade: (_req, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
      upgraded.resolve();
    },
  });
  const client = await rawClient(served.port, `${GET}\r\n`);
  const tunnel = await rawClient(served.port, `${GET}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  await Promise.all([asked.promise, upgraded.promise]);
  await served.server.drain(30);
  await Promise.all([client.ended(), tunnel.ended()]);
});

test('a server listens on IPv6 and says where', async (t) => {
  const server = await createHttpServer({ host: '::1', port: 0 }, TEST_LIMITS, {
    onRequest: (_req, res) => {
      res.end('six');
    },
    onUpgrade: (_req, socket) => socket.destroy(),
  });
  let bound: Awaited<ReturnType<typeof server.listen>>;
  try {
    bound = await server.listen();
  } catch {
    t.skip('this machine has no IPv6');
    return;
  }
  assert.match(bound.url, /^http:\/\/\[::1\]:\d+$/);
  assert.equal((await ask(`${bound.url}/x`)).body.toString(), 'six');
  await server.drain(0);
});

test('a port in use is an error of listen', async () => {
  const served = await kept(serve());
  const second = await createHttpServer({ host: '127.0.0.1', port: served.port }, TEST_LIMITS, {
    onRequest: () => {},
    onUpgrade: () => {},
  });
  await assert.rejects(second.listen(), { code: 'EADDRINUSE' });
});
