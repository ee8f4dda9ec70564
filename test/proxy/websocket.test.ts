import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import type { GatewayError } from '../../gateway/errors.ts';
import { headersToSet, requestHeaders } from '../../gateway/proxy/headers.ts';
import { createTunnel, type TunnelEnd } from '../../gateway/proxy/websocket.ts';
import {
  type Closable,
  closeHttp,
  listenAnywhere,
  rawClient,
  startRawUpstream,
  startUpstream,
} from './wire.ts';

const open: Closable[] = [];
after(async () => {
  for (const each of open.reverse()) await each.close();
});

interface Seen {
  readonly ended: Promise<TunnelEnd>;
  readonly refused: Promise<number>;
  readonly failed: Promise<GatewayError>;
  readonly clientGone: Promise<void>;
}

/** A gateway that tunnels every upgrade, and tells how the last one went. */
async function startGateway(
  upstream: string,
  options: { readonly timeoutMs?: number; readonly wrap?: (socket: Duplex) => Duplex } = {},
): Promise<{ readonly port: number; readonly seen: Seen }> {
  const tunnel = createTunnel();
  const ended = Promise.withResolvers<TunnelEnd>();
  const refused = Promise.withResolvers<number>();
  const failed = Promise.withResolvers<GatewayError>();
  const clientGone = Promise.withResolvers<void>();
  const server = http.createServer();
  server.on('upgrade', (req, socket, head) => {
    tunnel(req, options.wrap?.(socket) ?? socket, head, {
      origin: upstream,
      path: `/base${req.url}`,
      headers: requestHeaders(req.rawHeaders, {
        isCredential: (name) => name === 'authorization',
        peer: { address: '192.0.2.9', trusted: false, proto: 'http', authority: 'shop.example' },
        host: 'inner.example',
        set: headersToSet({ 'X-Key': 'secret' }),
        add: ['L402-Account', 'abc'],
      }),
      timeoutMs: options.timeoutMs ?? 5_000,
      onOpen: () => ['L402-Balance-Msat', '7'],
      onClose: ended.resolve,
      onRefused: (status) => {
        refused.resolve(status);
        return [];
      },
      onUpstreamError: failed.resolve,
      onClientGone: clientGone.resolve,
    });
  });
  const port = await listenAnywhere(server);
  open.push({ close: () => closeHttp(server) });
  const seen = {
    ended: ended.promise,
    refused: refused.promise,
    failed: failed.promise,
    clientGone: clientGone.promise,
  };
  return { port, seen };
}

async function startEcho(): Promise<{
  readonly origin: string;
  readonly wss: WebSocketServer;
  readonly requests: IncomingMessage[];
}> {
  const wss = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    handleProtocols: (offered) => (offered.has('second') ? 'second' : false),
  });
  await once(wss, 'listening');
  const requests: IncomingMessage[] = [];
  wss.on('connection', (ws, req) => {
    requests.push(req);
    ws.on('message', (data, binary) => ws.send(data, { binary }));
  });
  open.push({
    close: async () => {
      for (const ws of wss.clients) ws.terminate();
      await new Promise((resolve) => wss.close(resolve));
    },
  });
  return { origin: `http://127.0.0.1:${(wss.address() as AddressInfo).port}`, wss, requests };
}

test('messages, subprotocol, ping, pong and close codes pass unchanged in both directions', async () => {
  const echo = await startEcho();
  const gateway = await startGateway(echo.origin);
  const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/chat?x=1`, ['first', 'second']);
  await once(ws, 'open');
  assert.equal(ws.protocol, 'second');
  ws.send('text');
  assert.deepEqual((await once(ws, 'message')).map(String), ['text', 'false']);
  const big = Buffer.alloc(200_000, 9);
  ws.send(big);
  assert.deepEqual((await once(ws, 'message'))[0], big);

  const [server] = echo.wss.clients;
  assert.ok(server);
  ws.ping('p1');
  assert.equal(String((await once(server, 'ping'))[0]), 'p1');
  server.ping('p2');
  assert.equal(String((await once(server, 'pong'))[0]), 'p2');

  const closed = once(server, 'close');
  ws.close(4321, 'my reason');
  const [code, reason] = await closed;
  assert.equal(code, 4321);
  assert.equal(String(reason), 'my reason');
  const end = await gateway.seen.ended;
  assert.ok(end.bytesUp > 200_000 && end.bytesDown > 200_000);
});

test('the upstream’s close code reaches the client', async () => {
  const echo = await startEcho();
  const gateway = await startGateway(echo.origin);
  const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/chat`);
  await once(ws, 'open');
  const closed = once(ws, 'close');
  for (const server of echo.wss.clients) server.close(4402, 'pay');
  const [code, reason] = await closed;
  assert.equal(code, 4402);
  assert.equal(String(reason), 'pay');
  await gateway.seen.ended;
});

test('the upstream sees our path and headers and not the credential; the client sees ours on the 101', async () => {
  const echo = await startEcho();
  const gateway = await startGateway(echo.origin);
  const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/chat?x=1`, {
    headers: { Authorization: 'L402 a:b', 'L402-Account': 'victim', 'X-Mine': 'kept', 'X-Key': 'guess' },
  });
  const [[answer]] = await Promise.all([once(ws, 'upgrade'), once(ws, 'open')]);
  assert.equal(answer.headers['l402-balance-msat'], '7');
  const [req] = echo.requests;
  assert.ok(req);
  assert.equal(req.url, '/base/chat?x=1');
  assert.equal(req.headers.host, 'inner.example');
  assert.equal(req.headers.authorization, undefined);
  assert.equal(req.headers['l402-account'], 'abc');
  assert.equal(req.headers['x-key'], 'secret');
  assert.equal(req.headers['x-mine'], 'kept');
  assert.equal(req.headers['x-forwarded-for'], '192.0.2.9');
  ws.terminate();
  await gateway.seen.ended;
});

test('an upstream that refuses the upgrade is passed back, without its own payment challenge', async () => {
  const upstream = await startUpstream(() => {});
  open.push(upstream);
  upstream.server.on('upgrade', (_req, socket) => {
    socket.end(
      'HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nWWW-Authenticate: L402 macaroon="x"\r\nContent-Length: 6\r\n\r\nno way',
    );
  });
  const gateway = await startGateway(upstream.origin);
  const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/chat`);
  ws.on('error', () => {});
  const [, res] = await once(ws, 'unexpected-response');
  assert.equal(res.statusCode, 403);
  assert.equal(res.headers['x-why'], 'no');
  assert.equal(res.headers['www-authenticate'], undefined);
  res.setEncoding('utf8');
  assert.equal((await once(res, 'data'))[0], 'no way');
  assert.equal(await gateway.seen.refused, 403);
  ws.terminate();
});

const HANDSHAKE = [
  'GET /chat HTTP/1.1',
  'Host: a',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n');

test('an upstream that is not there is a 502 in JSON', async () => {
  const upstream = await startUpstream(() => {});
  await upstream.close();
  const gateway = await startGateway(upstream.origin);
  const client = await rawClient(gateway.port, HANDSHAKE);
  const text = await client.until('upstream-refused');
  assert.match(text, /^HTTP\/1\.1 502 /);
  assert.equal(await client.ended(), 'end');
  assert.equal((await gateway.seen.failed).code, 'upstream-refused');
});

test('an upstream that does not answer the upgrade is a 504', async () => {
  const upstream = await startRawUpstream(() => {});
  open.push(upstream);
  const gateway = await startGateway(upstream.origin, { timeoutMs: 50 });
  const client = await rawClient(gateway.port, HANDSHAKE);
  assert.match(await client.until('upstream-timeout'), /^HTTP\/1\.1 504 /);
  await client.ended();
});

test('a client that leaves before the answer ends the upstream’s request', async () => {
  const closed = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const upstream = await startRawUpstream((socket) => {
    socket.once('data', () => asked.resolve()).on('close', () => closed.resolve());
  });
  open.push(upstream);
  const gateway = await startGateway(upstream.origin);
  const client = await rawClient(gateway.port, HANDSHAKE);
  await asked.promise;
  client.socket.destroy();
  await gateway.seen.clientGone;
  await closed.promise;
});

test('each side ends with the other when that one breaks', async () => {
  const echo = await startEcho();
  for (const broken of ['client', 'upstream']) {
    const gateway = await startGateway(echo.origin);
    const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/chat`);
    ws.on('error', () => {});
    await once(ws, 'open');
    const [server] = echo.wss.clients;
    assert.ok(server);
    server.on('error', () => {});
    const other = once(broken === 'client' ? server : ws, 'close');
    (broken === 'client' ? ws : server).terminate();
    assert.equal((await other)[0], 1006);
    await gateway.seen.ended;
  }
});

test('a Duplex may stand in for the client’s socket and sees every byte', async () => {
  const echo = await startEcho();
  let up = 0;
  let down = 0;
  const gateway = await startGateway(echo.origin, {
    wrap: (socket) => {
      const meter = new Duplex({
        read: () => socket.resume(),
        write: (chunk: Buffer, _encoding, done) => {
          down += chunk.length;
          socket.write(chunk, done);
        },
        final: (done) => {
          socket.end(done);
        },
        destroy: (error, done) => {
          socket.destroy();
          done(error);
        },
      });
      socket.on('data', (chunk: Buffer) => {
        up += chunk.length;
        if (!meter.push(chunk)) socket.pause();
      });
      socket.on('end', () => meter.push(null)).on('close', () => meter.destroy());
      return meter;
    },
  });
  const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/chat`);
  await once(ws, 'open');
  ws.send('through the meter');
  assert.equal(String((await once(ws, 'message'))[0]), 'through the meter');
  ws.close(1000);
  await once(ws, 'close');
  const end = await gateway.seen.ended;
  assert.equal(end.bytesUp, up);
  assert.ok(down > end.bytesDown, 'the head of the 101 passes the meter too');
});
