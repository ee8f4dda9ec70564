import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isLoopbackHost } from '../loopback.ts';
import { NodeError } from '../node.ts';
import type { Json } from './lnd-json.ts';
import { type RestRequest, type RestStream, ROUTES, type Route } from './lnd-routes.ts';
import { type Simnet, SimnetRefusal, type SimnetWallet, STATUS } from './types.ts';

/** Where to serve. */
export interface LndRestOptions {
  /** `127.0.0.1`, `::1` or `localhost`: play money does not leave the machine, unless {@link LndRestOptions.allowElsewhere}. */
  readonly host: string;
  /** Somebody decided that others may reach it: containers on a network of their own. Wallets still need their macaroons. */
  readonly allowElsewhere?: true;
  /** 0 takes any free port. */
  readonly port: number;
  /** The clock that `getinfo` shows. */
  readonly nowMs?: () => number;
}

/** A served network. */
export interface LndRestServer {
  /** `http://host:port` */
  readonly url: string;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 64 * 1024;
/** A subscriber that has so much unread is cut off, bytes. */
const MAX_UNREAD_BYTES = 8 * 1024 * 1024;
const MAX_CONNECTIONS = 2_000;

/** HTTP status of a gRPC status code, as grpc-gateway maps it. */
const HTTP_STATUS: Readonly<Record<number, number>> = { 2: 500, 3: 400, 5: 404, 6: 409, 8: 429, 12: 501 };

/** grpc-gateway's answer to a method that the path has not. */
const UNIMPLEMENTED = 12;

/**
 * Serves the simulated network over LND's REST surface, plain HTTP, on loopback unless told otherwise, so that gateways and any LND-speaking
 * client can share it. The `Grpc-Metadata-macaroon` header picks the wallet.
 * @throws NodeError `rejected` for a host that is not loopback, `unreachable` when the port is taken.
 */
export async function serveLndRest(simnet: Simnet, options: LndRestOptions): Promise<LndRestServer> {
  if (options.allowElsewhere !== true && !isLoopbackHost(options.host)) {
    throw new NodeError(
      'rejected',
      `The simulated network is play money and served on loopback only, not on ${options.host}; use 127.0.0.1.`,
    );
  }
  const nowMs = options.nowMs ?? Date.now;
  const server = createServer({ maxHeaderSize: 16 * 1024, headersTimeout: 10_000, requestTimeout: 30_000 });
  server.maxConnections = MAX_CONNECTIONS;
  // Longer than clients keep a connection: else they write into one that is being closed.
  server.keepAliveTimeout = 65_000;
  server.on('request', (request, response) => {
    if (simnet.settings.offline || simnet.closing.aborted) request.socket.destroy();
    else void answer(simnet, nowMs, request, response);
  });
  await listen(server, options);
  const { port } = server.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return { url: `http://${host}:${port}`, close: () => stop(server) };
}

async function answer(
  simnet: Simnet,
  nowMs: () => number,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.on('error', () => {});
  const url = URL.parse(request.url ?? '/', 'http://localhost');
  const route = url === null ? undefined : findRoute(request.method ?? 'GET', url.pathname);
  const streaming = typeof route === 'object' && 'stream' in route;
  try {
    if (url === null || route === undefined) throw new SimnetRefusal(STATUS.notFound, 'Not Found');
    if (route === 'other-method') throw new SimnetRefusal(UNIMPLEMENTED, 'Method Not Allowed');
    if ('open' in route) {
      sendOnce(response, 200, route.open());
      return;
    }
    const wallet = authorize(simnet, request);
    const body = await readBody(request);
    const call: RestRequest = {
      simnet,
      wallet,
      parameter: decodeURIComponent(route.path.exec(url.pathname)?.[1] ?? ''),
      query: url.searchParams,
      body,
      nowSec: Math.floor(nowMs() / 1000),
    };
    if ('unary' in route) sendOnce(response, 200, route.unary(call));
    else await runStream(route, call, response);
  } catch (error) {
    // What is left of a body that was refused is not waited for.
    if (!request.complete && !response.headersSent) response.setHeader('Connection', 'close');
    refuse(response, error, streaming ? 'stream' : 'unary');
  }
}

function findRoute(method: string, path: string): Route | 'other-method' | undefined {
  const here = ROUTES.filter((route) => route.path.test(path));
  return here.find((route) => route.method === method) ?? (here.length > 0 ? 'other-method' : undefined);
}

function authorize(simnet: Simnet, request: IncomingMessage): SimnetWallet {
  const macaroon = request.headers['grpc-metadata-macaroon'];
  if (typeof macaroon !== 'string') throw new SimnetRefusal(STATUS.unknown, 'expected 1 macaroon, got 0');
  const wallet = simnet.walletByMacaroon(macaroon);
  if (wallet !== undefined) return wallet;
  throw new SimnetRefusal(
    STATUS.unknown,
    'verification failed: signature mismatch after caveat verification',
  );
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const tooLarge = new SimnetRefusal(STATUS.exhausted, 'request body is too large');
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > MAX_BODY_BYTES) throw tooLarge;
    chunks.push(bytes);
  }
  if (size === 0) return {};
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new SimnetRefusal(STATUS.invalidArgument, 'proto: syntax error');
  }
}

async function runStream(
  route: Extract<Route, { stream: unknown }>,
  call: RestRequest,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  const abort = () => gone.abort();
  // Set offline, or closed: cut, as if the node had died.
  const cut = () => {
    if (call.simnet.settings.offline || call.simnet.closing.aborted) response.destroy();
  };
  response.once('close', abort);
  const unlisten = call.wallet.listen((event) => event.kind === 'network' && cut());
  const stream: RestStream = {
    gone: gone.signal,
    send(message) {
      if (gone.signal.aborted) return false;
      // The head goes with the first message and not before, as with grpc-gateway.
      if (!response.headersSent) response.writeHead(200, { 'Content-Type': 'application/json' });
      response.write(`${JSON.stringify({ result: message })}\n`);
      if (response.writableLength > MAX_UNREAD_BYTES) response.destroy();
      return !response.destroyed;
    },
  };
  try {
    await route.stream(call, stream);
  } finally {
    unlisten();
    response.off('close', abort);
  }
  if (!response.headersSent && !response.destroyed) {
    response.writeHead(200, { 'Content-Type': 'application/json' });
  }
  response.end();
}

function refuse(response: ServerResponse, error: unknown, kind: 'unary' | 'stream'): void {
  // Anything else is a fault of ours or of the disk: its text may name files.
  const refusal =
    error instanceof SimnetRefusal ? error : new SimnetRefusal(STATUS.unknown, 'the simulated node failed');
  const status = { code: refusal.status, message: refusal.message, details: [] };
  if (response.destroyed) return;
  // grpc-gateway reads the request before there is a stream.
  const inStream = kind === 'stream' && refusal.status !== STATUS.invalidArgument;
  if (response.headersSent) response.end(`${JSON.stringify({ error: status })}\n`);
  else sendOnce(response, HTTP_STATUS[refusal.status] ?? 500, inStream ? { error: status } : status);
}

function sendOnce(response: ServerResponse, status: number, message: Json): void {
  const body = JSON.stringify(message);
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
}

function listen(server: Server, { host, port }: LndRestOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const isTaken = 'code' in cause && cause.code === 'EADDRINUSE';
      const why = isTaken
        ? 'that port is in use. Choose another one: --simnet-port of the gateway (or node.port), --port of `sluice simnet`.'
        : `${cause.message}.`;
      const message = `Can't serve the simulated network on ${host}:${port}: ${why}`;
      reject(new NodeError('unreachable', message, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
