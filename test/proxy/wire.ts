import { once } from 'node:events';
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import type { LimitsConfig } from '../../config/config.ts';
import { GatewayError, toErrorAnswer } from '../../gateway/errors.ts';
import { type ForwardExchange, type ForwardOutcome, forward } from '../../gateway/proxy/forward.ts';
import { headersToSet, requestHeaders } from '../../gateway/proxy/headers.ts';
import { canonicalTarget } from '../../gateway/proxy/target.ts';
import { createUpstreams, type Upstreams } from '../../gateway/proxy/upstream.ts';
import { upstreamAuthority, upstreamOrigin, upstreamPath } from '../../gateway/proxy/upstream-path.ts';

/** Something that a test must close. */
export interface Closable {
  close(): Promise<void>;
}

/** An upstream on a real port. */
export interface TestUpstream extends Closable {
  readonly origin: string;
  readonly port: number;
  readonly server: http.Server;
}

export async function listenAnywhere(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Starts an HTTP upstream. */
export async function startUpstream(listener: RequestListener): Promise<TestUpstream> {
  const server = http.createServer(listener);
  const port = await listenAnywhere(server);
  return { origin: `http://127.0.0.1:${port}`, port, server, close: () => closeHttp(server) };
}

export async function closeHttp(server: http.Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

/** Starts an upstream that speaks bytes: the only one that can break HTTP. */
export async function startRawUpstream(onConnection: (socket: Socket) => void): Promise<TestUpstream> {
  const sockets = new Set<Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  const port = await listenAnywhere(server);
  return {
    origin: `http://127.0.0.1:${port}`,
    port,
    server: server as http.Server,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** What a test may say about each exchange. */
export type ExchangeChanges = Partial<
  Pick<ForwardExchange, 'timeouts' | 'maxBodyBytes' | 'body' | 'onHead' | 'tap'>
>;

/** A bare proxy: forward and nothing else. */
export interface TestProxy extends Closable {
  readonly port: number;
  readonly origin: string;
  readonly upstreams: Upstreams;
  /** The outcome of the next exchange that ends. */
  nextOutcome(): Promise<ForwardOutcome>;
}

export const TEST_TIMEOUTS = { connectMs: 2_000, headersMs: 5_000, idleMs: 5_000 };

/** The exchange that a request makes, as the flow would build it. */
export function exchangeOf(
  req: IncomingMessage,
  res: ServerResponse,
  upstream: string,
  changes: ExchangeChanges = {},
): ForwardExchange {
  const target = canonicalTarget(req.method ?? 'GET', req.url ?? '/', req.headers.host);
  const route = { upstream };
  return {
    req,
    res,
    origin: upstreamOrigin(route),
    path: upstreamPath(target, route),
    method: req.method ?? 'GET',
    headers: requestHeaders(req.rawHeaders, {
      isCredential: (name) => name === 'authorization',
      peer: {
        address: req.socket.remoteAddress ?? '',
        trusted: false,
        proto: 'http',
        authority: target.authority,
      },
      host: upstreamAuthority(route),
      set: headersToSet({}),
      add: [],
    }),
    timeouts: TEST_TIMEOUTS,
    maxBodyBytes: 10_000_000,
    onHead: () => [],
    ...changes,
  };
}

/** Starts a proxy in front of an upstream. */
export async function startProxy(
  upstream: string,
  changes: (req: IncomingMessage, res: ServerResponse) => ExchangeChanges = () => ({}),
): Promise<TestProxy> {
  const upstreams = createUpstreams({ sweepIntervalMs: 20 });
  const outcomes: ForwardOutcome[] = [];
  const waiting: ((outcome: ForwardOutcome) => void)[] = [];
  const server = http.createServer({ optimizeEmptyRequests: true }, async (req, res) => {
    const outcome = await forward(upstreams, exchangeOf(req, res, upstream, changes(req, res)));
    answerFailure(outcome, res);
    const next = waiting.shift();
    if (next === undefined) outcomes.push(outcome);
    else next(outcome);
  });
  const port = await listenAnywhere(server);
  return {
    port,
    origin: `http://127.0.0.1:${port}`,
    upstreams,
    nextOutcome: () => {
      const ready = outcomes.shift();
      return ready === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(ready);
    },
    close: async () => {
      await closeHttp(server);
      await upstreams.destroy();
    },
  };
}

function answerFailure(outcome: ForwardOutcome, res: ServerResponse): void {
  if (outcome.kind === 'upstream-failed') {
    const { status, headers, body } = toErrorAnswer(upstreamError(outcome));
    res.writeHead(status, [...headers]).end(body);
  } else if (outcome.kind === 'body-too-large' && outcome.when !== 'reset') {
    res.writeHead(413).end('too large');
  } else if (outcome.kind === 'discarded') {
    res.writeHead(503).end('discarded');
  }
}

/** A raw client connection that gathers what it reads. */
export interface RawClient {
  readonly socket: Socket;
  readonly text: () => string;
  send(bytes: string): void;
  /** Waits until the text read so far holds `part`. */
  until(part: string): Promise<string>;
  /** Waits for the connection to end. @returns the code of its error, or `end` */
  ended(): Promise<string>;
}

/** Opens a raw client connection; closes with the peer or with `socket.destroy()`. */
export async function rawClient(port: number, first = ''): Promise<RawClient> {
  const socket = net.connect({ port, host: '127.0.0.1' });
  let text = '';
  let end = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    end ||= error.code ?? 'error';
  });
  socket.on('close', () => {
    end ||= 'end';
  });
  await once(socket, 'connect');
  if (first !== '') socket.write(first, 'latin1');
  return {
    socket,
    text: () => text,
    send: (bytes) => {
      socket.write(bytes, 'latin1');
    },
    until: async (part) => {
      while (!text.includes(part)) {
        if (end !== '')
          throw new Error(`closed (${end}) before ${JSON.stringify(part)}: ${JSON.stringify(text)}`);
        await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      }
      return text;
    },
    ended: async () => {
      while (!socket.closed) await once(socket, 'close').catch(() => {});
      return end;
    },
  };
}

/** One response, read whole. */
export interface WholeResponse {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly trailers: NodeJS.Dict<string>;
  readonly body: Buffer;
}

/** Sends a request with node:http and reads the whole response. Rejects when the response breaks off. */
export async function ask(
  url: string,
  options: http.RequestOptions = {},
  body?: string | Buffer,
): Promise<WholeResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const req = http.request(url, { agent: false, ...options }, resolve);
  req.on('error', reject);
  req.end(body);
  const res = await promise;
  const chunks: Buffer[] = [];
  for await (const chunk of res) chunks.push(chunk);
  return {
    status: res.statusCode ?? 0,
    headers: res.headers,
    rawHeaders: res.rawHeaders,
    trailers: res.trailers,
    body: Buffer.concat(chunks),
  };
}

/** Limits wide enough for every test that does not try one. */
export const TEST_LIMITS: LimitsConfig = {
  maxHeaderBytes: 16_384,
  maxHeaderCount: 100,
  maxUrlBytes: 8_192,
  maxConnections: 1_000,
  headersTimeoutMs: 10_000,
  keepAliveTimeoutMs: 5_000,
  clientIdleTimeoutMs: 10_000,
  credentialCacheBytes: 0,
};

/** What this test's proxy answers for an upstream that failed before its first byte; the gateway's own words are the flow's. */
function upstreamError(failure: Extract<ForwardOutcome, { kind: 'upstream-failed' }>): GatewayError {
  const options = { cause: failure.error };
  switch (failure.phase) {
    case 'timeout':
      return new GatewayError(
        'upstream-timeout',
        'The upstream did not answer in time; try again later.',
        options,
      );
    case 'connect':
      return new GatewayError(
        'upstream-refused',
        'The upstream could not be reached; try again later.',
        options,
      );
    case 'reset':
      return new GatewayError(
        'upstream-refused',
        'The upstream closed the connection without an answer; try again later.',
        options,
      );
    case 'protocol':
      return new GatewayError(
        'upstream-protocol',
        'The upstream answered with something that is not valid HTTP.',
        options,
      );
  }
}
