import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { createNodeGrpc, type NodeGrpc, type NodeGrpcOptions } from '../../../node/grpc.ts';
import { answered, type FakeGrpc, framed, type GrpcReply, openGrpc } from '../lnd/fake-grpc.ts';
import { TLS_CERT, TLS_KEY } from '../lnd/tls.ts';

/** No test waits for it. */
export const TIMEOUT_MS = 60_000;
export const SECRET = '0201036c6e64'.repeat(12);
export const MESSAGE = Buffer.from([10, 1, 120]);
export const CALL = { path: '/lnrpc.Lightning/AddInvoice', message: MESSAGE };
export const ECHO: GrpcReply = (call) => answered(call.message)(call);

interface Bench {
  readonly grpc: NodeGrpc;
  readonly fake: FakeGrpc;
}

export function openClient(t: TestContext, url: string, options: Partial<NodeGrpcOptions> = {}): NodeGrpc {
  const grpc = createNodeGrpc({
    url,
    metadata: { macaroon: SECRET },
    timeoutMs: TIMEOUT_MS,
    concurrency: 8,
    tlsCertPem: TLS_CERT,
    ...options,
  });
  t.after(() => grpc.close());
  return grpc;
}

export async function openBench(
  t: TestContext,
  reply: GrpcReply,
  options: Partial<NodeGrpcOptions> = {},
  tls: Parameters<typeof openGrpc>[1] = {},
): Promise<Bench> {
  const fake = await openGrpc(reply, tls);
  t.after(() => fake.close());
  return { fake, grpc: openClient(t, fake.url, options) };
}

/** Answers each call with the next of these. */
export function inTurn(...replies: GrpcReply[]): GrpcReply {
  return (call) => replies.shift()?.(call);
}

/** Calls that begin now are cut when the test says so. No connection is opened meanwhile: it would have no clock. */
export function stopClock(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  return {
    pass(): void {
      t.mock.timers.tick(TIMEOUT_MS);
      t.mock.timers.reset();
    },
  };
}

/** A frame of HTTP/2 (RFC 9113, section 4.1). */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const SETTINGS = frame(4, 0, 0, Buffer.alloc(0));

/** A TLS server that agrees to HTTP/2 and does what it wants as soon as the client has sent a call. */
export async function openRaw(
  t: TestContext,
  behave: (socket: TLSSocket) => void,
  { preface = SETTINGS, ...options }: TlsOptions & { preface?: Buffer; allowHalfOpen?: boolean } = {},
) {
  const sockets = new Set<TLSSocket>();
  const first = Promise.withResolvers<TLSSocket>();
  const protocols = options.ALPNCallback === undefined ? { ALPNProtocols: ['h2'] } : {};
  const server = createTlsServer({ cert: TLS_CERT, key: TLS_KEY, ...protocols, ...options });
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
    socket.write(preface);
    let heard = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      if (heard.includes(framed(MESSAGE))) return;
      heard = Buffer.concat([heard, chunk]);
      if (!heard.includes(framed(MESSAGE))) return;
      first.resolve(socket);
      behave(socket);
    });
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  return { url: await listening(t, server), open: () => sockets.size, first: first.promise };
}

/** A server behind a gate that is closed at first. */
export async function openGated(t: TestContext) {
  const fake = await openGrpc(ECHO);
  const sockets = new Set<Socket>();
  const arrived = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    keep(client);
    arrived.resolve();
    void opened.promise.then(() => {
      const target = connectTcp(fake.port, '127.0.0.1');
      keep(target);
      client.pipe(target).pipe(client);
      client.on('close', () => target.destroy());
      target.on('close', () => client.destroy());
    });
  });
  const url = await listening(t, server);
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await fake.close();
  });
  return { fake, gate: { url, arrived: arrived.promise, open: opened.resolve, sockets: () => sockets.size } };
}

export async function listening(t: TestContext, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => void server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return `https://127.0.0.1:${address.port}`;
}
