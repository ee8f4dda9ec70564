import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import { type AddressInfo, isIPv6, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { LimitsConfig, Listener } from '../config/config.ts';
import { readCertificate, watchCertificate } from './certificate.ts';
import { GatewayError, toErrorAnswer } from './errors.ts';
import { discardBody } from './proxy/discard-body.ts';
import { endWithAnswer } from './proxy/raw-answer.ts';
import { hasBody } from './proxy/request-body.ts';
import { parserRefusal, refuseHead, refuseUpgrade, tooSlow } from './request-refusal.ts';

/*
 * Listeners: plain HTTP/1.1 and HTTPS. HTTP/2 is left out: in Node's compatibility layer a response has no connection of its
 * own to reset, no close to listen to once, and no interim responses, so that all of forward would need a second form. A proxy
 * that speaks HTTP/2 or 3 to browsers can stand in front (trustedProxies).
 */

/** What the parser or the limits refused, before anybody looked at the request. */
export interface RefusedConnection {
  readonly status: number;
  /** Node's code (`HPE_INVALID_HEADER_TOKEN`, `ERR_HTTP_REQUEST_TIMEOUT` …) or a GatewayErrorCode. */
  readonly reason: string;
  readonly remoteAddress: string | undefined;
}

/** What a server calls. */
export interface ServerHandlers {
  /**
   * A request whose head passed the limits.
   * @param sendContinue - present when the client waits for `100 Continue`; nothing sends it but this
   */
  onRequest(req: IncomingMessage, res: ServerResponse, sendContinue: (() => void) | undefined): void;
  /** A WebSocket upgrade without a body. Nothing is answered yet. */
  onUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** For the log and metrics; the client was answered. */
  onRefused?(refused: RefusedConnection): void;
  /** The time to drain is over: what is still under way is cut right after this. */
  onCut?(): void;
  /** The certificate files changed: taken, or refused with the reason (then the old one stays). */
  onCertificate?(error: Error | undefined): void;
}

/** Where a server listens in the end. */
export interface BoundAddress {
  readonly address: string;
  readonly port: number;
  /** `http://127.0.0.1:8402` */
  readonly url: string;
}

/** A listener that is not accepting yet. */
export interface HttpServer {
  listen(): Promise<BoundAddress>;
  /**
   * In place of that: serves connections that another process accepted.
   * @param ticketKeys - 48 bytes, the same in all processes, so that a TLS session which began at one goes on at another
   * @returns what takes one
   */
  adopt(ticketKeys: Buffer): (socket: Socket) => void;
  /** Client connections open, those in their TLS handshake and upgraded ones too. */
  connections(): number;
  /**
   * Stops accepting and lets the requests under way finish, each with `Connection: close`; what is not done in time is cut.
   * WebSockets count as under way.
   */
  drain(timeoutMs: number): Promise<void>;
}

/** Requests that may wait on one connection (HTTP/1.1 pipelining); one more is answered 503. */
const MAX_PIPELINED = 32;
/** Connections that the system may hold for us while the event loop is busy (Node's default is 511: a crowd would be turned away). */
export const BACKLOG = 4_096;
/** While draining, connections that fell idle are closed this often, ms. */
const DRAIN_SWEEP_MS = 50;

const DRAINING = new GatewayError('draining', 'The gateway is shutting down.', { retryAfterSec: 1 });

/** One client connection: what is under way on it, oldest first. */
interface Connection {
  readonly responses: ServerResponse[];
  /** Bytes read when it began: those of the TLS handshake, or none. */
  readonly firstByte: number;
  /** A request on it was refused: what stands behind that one is not to be trusted, and Node has parsed it already. */
  refused: boolean;
}

/**
 * Builds a server.
 * @throws Error when the certificate can't be used.
 */
export async function createHttpServer(
  listener: Listener,
  limits: LimitsConfig,
  handlers: ServerHandlers,
): Promise<HttpServer> {
  const { tls } = listener;
  const certificate = tls === undefined ? undefined : await readCertificate(tls);
  const server =
    certificate === undefined
      ? http.createServer(serverOptions(limits))
      : https.createServer({
          ...serverOptions(limits),
          ...certificate,
          ALPNProtocols: ['http/1.1'],
          handshakeTimeout: limits.headersTimeoutMs,
        });
  const state: ServerState = {
    server,
    limits,
    handlers,
    sockets: new Set(),
    connections: new Map(),
    draining: false,
  };
  configure(state);

  let stopWatching = () => {};
  if (tls !== undefined && server instanceof https.Server) {
    stopWatching = watchCertificate(tls, {
      onReloaded: (renewed) => {
        server.setSecureContext({ ...renewed });
        handlers.onCertificate?.(undefined);
      },
      onRefused: (error) => handlers.onCertificate?.(error),
    });
  }
  return {
    listen: () => listen(state, listener),
    adopt: (ticketKeys) => {
      if (server instanceof https.Server) server.setTicketKeys(ticketKeys);
      // Node watches over the connections of a server (slow heads, idle ones) from this event on.
      server.emit('listening');
      return (socket) => adopt(state, socket);
    },
    connections: () => state.sockets.size,
    drain: async (timeoutMs) => {
      stopWatching();
      await drain(state, timeoutMs);
    },
  };
}

interface ServerState {
  readonly server: http.Server | https.Server;
  readonly limits: LimitsConfig;
  readonly handlers: ServerHandlers;
  /** Every TCP connection, also one that is still in its TLS handshake or was upgraded. */
  readonly sockets: Set<Socket>;
  /** By the socket that requests see. */
  readonly connections: Map<Duplex, Connection>;
  draining: boolean;
}

function serverOptions(limits: LimitsConfig): http.ServerOptions {
  return {
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    // A long upload is not a slow one: what bounds it is the idle time (onIdle) and its size (forward).
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.max(50, Math.min(5_000, Math.ceil(limits.headersTimeoutMs / 4))),
    optimizeEmptyRequests: true,
    // Ours answers in JSON.
    requireHostHeader: false,
    insecureHTTPParser: false,
    noDelay: true,
    // Anything else that asks for an upgrade (h2c above all) is a plain request, and is charged as one.
    shouldUpgradeCallback: isWebSocketUpgrade,
  };
}

function isWebSocketUpgrade(req: IncomingMessage): boolean {
  return (
    req.method === 'GET' && req.httpVersionMinor === 1 && req.headers.upgrade?.toLowerCase() === 'websocket'
  );
}

function configure(state: ServerState): void {
  const { server, limits, connections, handlers } = state;
  server.maxConnections = limits.maxConnections;
  server.maxHeadersCount = 0;
  server.setTimeout(limits.clientIdleTimeoutMs, (socket: Socket) => onIdle(state, socket));
  server.on('connection', (socket: Socket) => {
    state.sockets.add(socket);
    socket.once('close', () => state.sockets.delete(socket));
  });
  server.on(server instanceof https.Server ? 'secureConnection' : 'connection', (socket: Duplex) => {
    connections.set(socket, { responses: [], firstByte: bytesRead(socket), refused: false });
    socket.once('close', () => connections.delete(socket));
  });
  server.on('request', (req, res) => onRequest(state, req, res, undefined));
  server.on('checkContinue', (req, res) => onRequest(state, req, res, () => sendContinue(res)));
  server.on('checkExpectation', (req, res) => {
    if (!admitConnection(state, req, res)) return;
    refuse(state, res, new GatewayError('expectation-refused', 'Only "Expect: 100-continue" is understood.'));
  });
  server.on('upgrade', (req, socket, head) => {
    // Node takes its own listeners off; an error that nobody hears would end the process.
    socket.on('error', () => {});
    // Behind a request that is not answered yet, the tunnel's bytes and that answer would run into each other.
    if (isBusy(state, socket)) {
      socket.destroy();
      return;
    }
    const refusal = refuseHead(req, limits) ?? refuseUpgrade(req) ?? (state.draining ? DRAINING : undefined);
    if (refusal === undefined) {
      handlers.onUpgrade(req, socket, head);
      return;
    }
    endWithAnswer(socket, toErrorAnswer(refusal));
    noteRefusal(state, refusal.status, refusal.code, socket);
  });
  server.on('connect', (_req, socket) => {
    endWithAnswer(
      socket,
      toErrorAnswer(new GatewayError('method-refused', 'This is no forward proxy: CONNECT is refused.')),
    );
  });
  server.on('clientError', (error: Error & { code?: string }, socket) => onClientError(state, error, socket));
}

/** Once the head of the answer is out, it is too late, and nobody waits any more. */
function sendContinue(res: ServerResponse): void {
  if (!res.headersSent) res.writeContinue();
}

function onRequest(
  state: ServerState,
  req: IncomingMessage,
  res: ServerResponse,
  continueIt: (() => void) | undefined,
): void {
  if (!admitConnection(state, req, res)) return;
  const refusal = refuseHead(req, state.limits);
  if (refusal !== undefined) {
    refuse(state, res, refusal);
    return;
  }
  if (state.draining) res.shouldKeepAlive = false;
  state.handlers.onRequest(req, res, continueIt);
}

/** Notes a response as under way; refuses it when too many are. */
function admitConnection(state: ServerState, req: IncomingMessage, res: ServerResponse): boolean {
  // After its answer, Node reads a body to its end, however long that takes, unless somebody was there before it.
  if (hasBody(req)) res.prependOnceListener('finish', () => discardBody(req));
  const connection = state.connections.get(req.socket);
  if (connection === undefined) return true;
  const { responses } = connection;
  if (connection.refused) return false;
  while (responses[0]?.writableFinished) responses.shift();
  responses.push(res);
  if (responses.length <= MAX_PIPELINED) return true;
  refuse(
    state,
    res,
    new GatewayError('busy', 'Too many requests wait on this connection.', { retryAfterSec: 1 }),
  );
  return false;
}

function refuse(state: ServerState, res: ServerResponse, error: GatewayError): void {
  const connection = state.connections.get(res.req.socket);
  if (connection !== undefined) connection.refused = true;
  const { status, headers, body } = toErrorAnswer(error);
  res.writeHead(status, [...headers, 'Connection', 'close']).end(body);
  noteRefusal(state, status, error.code, res.req.socket);
}

function onClientError(state: ServerState, error: Error & { code?: string }, socket: Duplex): void {
  const reason = error.code ?? error.name;
  // In the middle of a response, an answer would be taken for a part of its body.
  if (isBusy(state, socket) || reason === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const refusal = parserRefusal(reason);
  endWithAnswer(socket, refusal);
  noteRefusal(state, refusal.status, reason, socket);
}

/** An answer on this connection is owed or under way. */
function isBusy(state: ServerState, socket: Duplex): boolean {
  return state.connections.get(socket)?.responses.some((res) => !res.writableFinished) ?? false;
}

function noteRefusal(state: ServerState, status: number, reason: string, socket: Duplex): void {
  const remoteAddress = 'remoteAddress' in socket ? String(socket.remoteAddress) : undefined;
  state.handlers.onRefused?.({ status, reason, remoteAddress });
}

/**
 * Nothing moved on a client's connection for long. That is the client's fault when it owes bytes of its upload or does not take
 * its response; it is not when it waits for the upstream (SSE, a long poll), which forward's own timeouts watch.
 */
function onIdle(state: ServerState, socket: Socket): void {
  const responses = state.connections.get(socket)?.responses ?? [];
  const current = responses.find((res) => !res.writableFinished);
  if (current === undefined || socket.writableLength > 0) {
    socket.destroy();
    return;
  }
  const { req } = current;
  // Nobody reads while a payment is checked or the upstream is behind: then the client owes nothing.
  if (!req.complete && req.readableFlowing === true && !req.isPaused()) {
    if (current.headersSent) socket.destroy();
    else endWithAnswer(socket, tooSlow('The request body stopped.'));
    return;
  }
  socket.setTimeout(state.limits.clientIdleTimeoutMs);
}

function listen(state: ServerState, listener: Listener): Promise<BoundAddress> {
  const { server } = state;
  const { promise, resolve, reject } = Promise.withResolvers<BoundAddress>();
  server.once('error', reject);
  server.listen({ host: listener.host, port: listener.port, backlog: BACKLOG }, () => {
    server.off('error', reject);
    // What fails now is one accept (no file descriptors left, above all): no reason to end the process.
    server.on('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code ?? error.name;
      state.handlers.onRefused?.({ status: 503, reason, remoteAddress: undefined });
    });
    const bound = server.address();
    if (bound === null || typeof bound === 'string') reject(new Error('the server listens on no TCP port'));
    else resolve(boundAddress(bound, listener));
  });
  return promise;
}

function adopt({ server, limits, sockets }: ServerState, socket: Socket): void {
  // Node counts only what it accepted itself.
  if (sockets.size >= limits.maxConnections) {
    socket.destroy();
    return;
  }
  // As with those that the server accepts itself: one side of a tunnel may end before the other.
  socket.allowHalfOpen = true;
  server.emit('connection', socket);
}

/** Where a listener is, now that it listens. */
export function boundAddress(bound: AddressInfo, listener: Listener): BoundAddress {
  const host = isIPv6(bound.address) ? `[${bound.address}]` : bound.address;
  const scheme = listener.tls === undefined ? 'http' : 'https';
  return { address: bound.address, port: bound.port, url: `${scheme}://${host}:${bound.port}` };
}

async function drain(state: ServerState, timeoutMs: number): Promise<void> {
  const { server, handlers, connections, sockets } = state;
  state.draining = true;
  const closed = server.listening
    ? new Promise<void>((resolve) => server.close(() => resolve()))
    : untilClosed(sockets);
  for (const { responses } of connections.values()) {
    for (const res of responses) if (!res.headersSent) res.shouldKeepAlive = false;
  }
  // A response whose head was out already leaves its connection open and idle; Node closes those only when asked.
  const sweep = setInterval(() => closeIdle(state), DRAIN_SWEEP_MS);
  const cut = setTimeout(() => {
    handlers.onCut?.();
    for (const socket of sockets) socket.destroy();
  }, timeoutMs);
  // Not yet the unused ones: a request may be on its way on one that was opened a moment ago.
  server.closeIdleConnections();
  await closed;
  clearInterval(sweep);
  clearTimeout(cut);
}

/** For connections that were adopted: the server does not know of them. */
async function untilClosed(sockets: ReadonlySet<Socket>): Promise<void> {
  await Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
}

/** Node takes a connection on which nothing came yet (a browser's spare one) for one whose request is on its way. */
function closeIdle({ server, connections }: ServerState): void {
  server.closeIdleConnections();
  for (const [socket, { firstByte }] of connections) if (bytesRead(socket) === firstByte) socket.destroy();
}

function bytesRead(socket: Duplex): number {
  return 'bytesRead' in socket ? Number(socket.bytesRead) : 0;
}
