import { once } from 'node:events';
import {
  constants,
  createSecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { TLS_CERT, TLS_KEY } from './tls.ts';

/*
 * A gRPC server that answers whatever a test wants, over real sockets and TLS. Forms are those of grpc-go 1.79 (LND 0.21.2): head,
 * messages and trailers apart; an error without a message all in one block of headers ("Trailers-Only").
 */

/** One call as it arrived. */
export interface GrpcCallSeen {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Without its frame. */
  readonly message: Buffer;
  readonly stream: ServerHttp2Stream;
  /** The code it was reset with, 0 when it ended well. */
  readonly ended: Promise<number>;
}

export type GrpcReply = (call: GrpcCallSeen) => void;

/** The server, and what it has seen. */
export interface FakeGrpc {
  readonly url: string;
  readonly port: number;
  /** Whole requests, in the order in which they ended. */
  readonly calls: readonly GrpcCallSeen[];
  /** Waits for the nth call, from 1. */
  nth(count: number): Promise<GrpcCallSeen>;
  /** HTTP/2 connections so far. */
  opened(): number;
  /** HTTP/2 connections to which the client has said goodbye. */
  left(): number;
  /** Connections that are open now. */
  sockets(): number;
  /** Ends every connection as a server that shuts down does. */
  goAway(): void;
  /** Breaks every connection. */
  destroyConnections(): void;
  close(): Promise<void>;
}

const PREFIX_BYTES = 5;
export const HEAD = { ':status': 200, 'content-type': 'application/grpc' };
/** RST_STREAM of a client that wants no answer any more. */
export const CANCEL: number = constants.NGHTTP2_CANCEL;

/** A message in its frame. */
export function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The head, these bytes as data, and these trailers. */
export function sent(data: Uint8Array, trailers: OutgoingHttpHeaders = { 'grpc-status': '0' }): GrpcReply {
  return ({ stream }) => {
    stream.respond(HEAD, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers(trailers));
    stream.end(data);
  };
}

/** One message. */
export function answered(message: Uint8Array): GrpcReply {
  return sent(framed(message), { 'grpc-status': '0', 'grpc-message': '' });
}

/** An error. The text is sent as it stands: grpc-go percent-encodes what is not printable ASCII. */
export function refused(code: number | string, message?: string): GrpcReply {
  const status = {
    'grpc-status': String(code),
    ...(message === undefined ? {} : { 'grpc-message': message }),
  };
  return ({ stream }) => stream.respond({ ...HEAD, ...status }, { endStream: true });
}

/** An answer of something that is not gRPC. */
export function plain(status: number, type: string, body: string): GrpcReply {
  return ({ stream }) => {
    stream.respond({ ':status': status, 'content-type': type });
    stream.end(body);
  };
}

/** Nothing. */
export const silent: GrpcReply = () => {};

/** Starts one that answers each call with `reply`. */
export async function openGrpc(
  reply: GrpcReply,
  options: SecureServerOptions = {},
  port = 0,
): Promise<FakeGrpc> {
  const calls: GrpcCallSeen[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const sessions = new Set<ServerHttp2Session>();
  const sockets = new Set<Socket>();
  let opened = 0;
  let left = 0;
  const server = createSecureServer({ cert: TLS_CERT, key: TLS_KEY, ...options });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('session', (session) => {
    opened += 1;
    sessions.add(session);
    session
      .on('error', () => {})
      .on('goaway', () => {
        left += 1;
      })
      .on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => {
    void seeCall(stream, headers).then(
      (call) => {
        calls.push(call);
        reply(call);
        for (const { count, resolve } of waiting) if (calls.length >= count) resolve();
      },
      // The client broke off before it had sent all of it.
      () => {},
    );
  });
  const listening = await listen(server, port);
  return {
    url: `https://127.0.0.1:${listening}`,
    port: listening,
    calls,
    async nth(count) {
      // No timer: the test may have stopped the clock.
      await new Promise<void>((resolve) => {
        waiting.push({ count, resolve });
        if (calls.length >= count) resolve();
      });
      return calls[count - 1] as GrpcCallSeen;
    },
    opened: () => opened,
    left: () => left,
    sockets: () => sockets.size,
    goAway() {
      for (const session of sessions) session.close();
    },
    destroyConnections() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function seeCall(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<GrpcCallSeen> {
  stream.on('error', () => {});
  const ended = new Promise<number>((resolve) => {
    stream.on('close', () => resolve(stream.rstCode ?? 0));
  });
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'end');
  const message = Buffer.concat(chunks).subarray(PREFIX_BYTES);
  return { path: headers[':path'] ?? '', headers, message, stream, ended };
}

async function listen(server: Http2Server, port: number): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
