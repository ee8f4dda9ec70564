import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createProxyMiddleware } from 'http-proxy-middleware';
import { GatewayError, toErrorAnswer } from '../errors.ts';
import { overrideHeaders, responseHeaders } from './headers.ts';
import { endConnection, endWithAnswer } from './raw-answer.ts';

/** What went through a tunnel. */
export interface TunnelEnd {
  /** From client to upstream, after the upgrade. */
  readonly bytesUp: number;
  readonly bytesDown: number;
}

/** One upgrade to be tunnelled. */
export interface TunnelExchange {
  /** `upstreamOrigin` */
  readonly origin: string;
  /** `upstreamPath` */
  readonly path: string;
  /** `requestHeaders`; Connection and Upgrade are added here. */
  readonly headers: readonly string[];
  /** Until the upstream answers the upgrade, ms. */
  readonly timeoutMs: number;
  /** The upstream accepted. Returns headers to add to the 101, flat. */
  readonly onOpen: () => readonly string[];
  /** Both sides are closed; called once, and only after `onOpen`. */
  readonly onClose: (end: TunnelEnd) => void;
  /** The upstream answered with something else than 101; its answer is passed back. Returns headers to add to it, flat. */
  readonly onRefused: (status: number, headers: readonly string[]) => readonly string[];
  /** The upstream could not be reached or broke before its answer; the client is answered 502 or 504. */
  readonly onUpstreamError: (error: GatewayError) => void;
  /** The client went away before the upstream's answer. */
  readonly onClientGone: () => void;
}

/** Tunnels one upgrade. `socket` may be any Duplex that stands in for the client's connection. */
export type Tunnel = (req: IncomingMessage, socket: Duplex, head: Buffer, exchange: TunnelExchange) => void;

/** After one side closed, the other has this long to take the last bytes, ms. */
const MAX_LINGER_MS = 10_000;

const UPGRADE = ['Connection', 'Upgrade', 'Upgrade', 'websocket'];

interface Running {
  readonly exchange: TunnelExchange;
  readonly socket: Duplex;
  request: ClientRequest | undefined;
  timer: NodeJS.Timeout | undefined;
  /** The upstream answered, or failed, or nobody waits any more. */
  answered: boolean;
}

/**
 * Makes the WebSocket tunnel. It is entered for one upgrade at a time, after its payment was checked: the middleware never
 * listens to a server itself (`ws: true` would let upgrades past every check).
 */
export function createTunnel(): Tunnel {
  const running = new WeakMap<object, Running>();
  const middleware = createProxyMiddleware<IncomingMessage>({
    router: (req) => running.get(req)?.exchange.origin ?? '',
    changeOrigin: false,
    xfwd: false,
    // The default plugins would log, and answer errors in their own words.
    ejectPlugins: true,
    plugins: [
      (proxy) => {
        proxy.on('proxyReqWs', (request, req) => {
          const tunnel = running.get(req);
          if (tunnel === undefined) request.destroy();
          else watchAnswer(tunnel, request);
        });
        proxy.on('error', (error, req) => {
          const tunnel = req === undefined ? undefined : running.get(req);
          if (tunnel !== undefined) fail(tunnel, error);
        });
      },
    ],
  });
  return (req, socket, head, exchange) => {
    // The middleware reads headers and URL from the request: it gets a view on it that says what may be forwarded.
    const view: IncomingMessage = Object.create(req, {
      url: { value: exchange.path, writable: true },
      headers: { value: toHeaders([...exchange.headers, ...UPGRADE]) },
    });
    const tunnel: Running = { exchange, socket, request: undefined, timer: undefined, answered: false };
    running.set(view, tunnel);
    socket.on('error', () => {});
    socket.once('close', () => clientClosed(tunnel));
    // Typed as a Socket, but only what every Duplex has is used (and setTimeout and the like where they exist).
    middleware.upgrade(view, asSocket(socket), head);
  };
}

/** httpxy calls these three on what it takes for a socket; a stand-in without them gets them as no-ops. */
function asSocket(socket: Duplex): Socket {
  const chain = () => socket;
  for (const name of ['setTimeout', 'setNoDelay', 'setKeepAlive']) {
    if (!(name in socket)) Object.defineProperty(socket, name, { value: chain });
  }
  return socket as Socket;
}

/** A flat list as Node's client takes it: names in lower case, duplicates in lists. */
function toHeaders(flat: readonly string[]): IncomingHttpHeaders {
  const headers: Record<string, string | string[]> = Object.create(null);
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = (flat[i] ?? '').toLowerCase();
    const value = flat[i + 1] ?? '';
    const before = headers[name];
    headers[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return headers;
}

/** Our listeners come before the middleware's own, so that what it writes to the client is what we leave in the answer. */
function watchAnswer(tunnel: Running, request: ClientRequest): void {
  const { exchange, socket } = tunnel;
  tunnel.request = request;
  if (socket.destroyed) {
    request.destroy();
    return;
  }
  // Nobody reads from the client until the upstream answers, and who does not read does not hear it leave.
  socket.once('end', () => clientClosed(tunnel));
  socket.read(0);
  tunnel.timer = setTimeout(() => request.destroy(new UpgradeTimeout()), exchange.timeoutMs);
  request.once('upgrade', (answer: IncomingMessage, upstream: Socket) => {
    settle(tunnel);
    rewriteHeaders(answer, exchange.onOpen(), UPGRADE);
    // After the middleware has joined the two: counted earlier, what came with the upstream's answer would be read and lost.
    process.nextTick(join, tunnel, upstream);
  });
  request.once('response', (answer) => {
    settle(tunnel);
    const framing = answer.headers['transfer-encoding'];
    const extra = exchange.onRefused(answer.statusCode ?? 502, responseHeaders(answer.rawHeaders));
    rewriteHeaders(answer, extra, framing === undefined ? [] : ['transfer-encoding', framing]);
    // Node's server has let go of this socket, and with it of its timeouts: a client that does not read would stay for ever.
    asSocket(socket).setTimeout(exchange.timeoutMs, () => socket.destroy());
    socket.once('finish', () => endConnection(socket));
  });
}

function settle(tunnel: Running): void {
  tunnel.answered = true;
  clearTimeout(tunnel.timer);
}

/** The same rules as for every response, then what the tunnel needs. */
function rewriteHeaders(answer: IncomingMessage, extra: readonly string[], needed: readonly string[]): void {
  answer.headers = toHeaders(overrideHeaders(responseHeaders(answer.rawHeaders), [...extra, ...needed]));
}

/** Counts both directions, and lets neither side outlive the other: `pipe` passes an end on, but not a break. */
function join(tunnel: Running, upstream: Socket): void {
  const { socket, exchange } = tunnel;
  let bytesUp = 0;
  let bytesDown = 0;
  let open = 2;
  socket.on('data', (chunk: Buffer) => {
    bytesUp += chunk.length;
  });
  upstream.on('data', (chunk: Buffer) => {
    bytesDown += chunk.length;
  });
  const closed = (other: Duplex, whole: boolean) => {
    if (!whole) other.destroy();
    else if (!other.destroyed) setTimeout(() => other.destroy(), MAX_LINGER_MS).unref();
    open -= 1;
    if (open === 0) exchange.onClose({ bytesUp, bytesDown });
  };
  upstream.on('error', () => {});
  socket.once('close', () => closed(upstream, socket.readableEnded));
  upstream.once('close', () => closed(socket, upstream.readableEnded));
}

function clientClosed(tunnel: Running): void {
  if (tunnel.answered) return;
  settle(tunnel);
  tunnel.request?.destroy();
  tunnel.socket.destroy();
  tunnel.exchange.onClientGone();
}

class UpgradeTimeout extends Error {}

/** The middleware ends the socket after this. */
function fail(tunnel: Running, cause: Error): void {
  if (tunnel.answered) return;
  // A client that resets its connection comes here as an error too: it must not pass for a fault of the upstream.
  if (tunnel.socket.destroyed) {
    clientClosed(tunnel);
    return;
  }
  settle(tunnel);
  const error =
    cause instanceof UpgradeTimeout
      ? new GatewayError('upstream-timeout', 'The upstream did not answer the upgrade in time.', { cause })
      : new GatewayError('upstream-refused', 'The upstream could not be reached; try again later.', {
          cause,
        });
  endWithAnswer(tunnel.socket, toErrorAnswer(error));
  tunnel.exchange.onUpstreamError(error);
}
