import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Express } from 'express';
import type { ServiceConfig } from '../config/config.ts';
import type { Catalog } from './catalog.ts';
import { ENDPOINTS_PREFIX } from './endpoints/app.ts';
import { GatewayError } from './errors.ts';
import { sendError } from './flow/answer-failure.ts';
import { type ConnectionMemory, connectionMemory, type ExchangeClient } from './flow/connection-memory.ts';
import type { Exchange, UpgradeSocket } from './flow/exchange.ts';
import { type FlowDeps, type FlowOutcome, serve } from './flow/index.ts';
import { answerStoreError } from './flow/store-answers.ts';
import { StoreError } from './ledger/store.ts';
import { clientAddress, throttleKey } from './proxy/client-address.ts';
import { endConnection } from './proxy/raw-answer.ts';
import { canonicalTarget, type Target } from './proxy/target.ts';
import type { Recorder } from './record-request.ts';

/** What handling a request needs, beside the flow itself. */
export interface HandlerDeps {
  readonly catalog: () => Catalog;
  readonly flow: FlowDeps;
  readonly endpoints: Express;
  readonly recorder: Recorder;
  readonly nowMs: () => number;
}

/** What the listeners call. */
export interface RequestHandlers {
  onRequest(req: IncomingMessage, res: ServerResponse, sendContinue: (() => void) | undefined): void;
  onUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Resolves when no request is under way, its charge ended included; at the latest after so long. */
  idle(timeoutMs: number): Promise<void>;
}

/** Requests under way. */
interface UnderWay {
  count: number;
  /** Somebody waits until there are none. */
  none: PromiseWithResolvers<void> | undefined;
}

/** One request as it came in, before a service is known. */
interface Arrival {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly upgrade: UpgradeSocket | undefined;
  readonly sendContinue: (() => void) | undefined;
}

/** Makes the handlers: canonical path, helper endpoints, service, flow; and one place where every failure becomes an answer. */
export function createRequestHandlers(deps: HandlerDeps): RequestHandlers {
  const underWay: UnderWay = { count: 0, none: undefined };
  return {
    onRequest: (req, res, sendContinue) =>
      void handle(deps, underWay, { req, res, sendContinue, upgrade: undefined }),
    onUpgrade: (req, socket, head) => {
      const res = responseOn(req, socket);
      void handle(deps, underWay, { req, res, sendContinue: undefined, upgrade: { socket, head } });
    },
    async idle(timeoutMs) {
      if (underWay.count === 0) return;
      underWay.none ??= Promise.withResolvers();
      const { promise, resolve } = underWay.none;
      const timer = setTimeout(resolve, timeoutMs);
      await promise;
      clearTimeout(timer);
    },
  };
}

async function handle(deps: HandlerDeps, underWay: UnderWay, arrival: Arrival): Promise<void> {
  underWay.count += 1;
  const receivedAtMs = deps.nowMs();
  const { req, res } = arrival;
  let exchange: Exchange | undefined;
  try {
    const target = canonicalTarget(req.method ?? 'GET', req.url ?? '/', req.headers.host);
    if (isEndpoint(target.path)) return endpoint(deps, arrival, target);
    if (target.form === 'asterisk')
      return void res.writeHead(204, ['Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS']).end();
    exchange = matchExchange(deps.catalog(), arrival, target, receivedAtMs);
    const outcome: FlowOutcome = await serve(deps.flow, exchange);
    deps.recorder.finished(exchange, outcome);
  } catch (error) {
    const known = asGatewayError(error);
    deps.recorder.failed(exchange, { method: req.method ?? '', path: req.url ?? '', receivedAtMs }, known);
    sendError(res, known, deps.catalog().config.corsOrigins);
  } finally {
    underWay.count -= 1;
    if (underWay.count === 0) underWay.none?.resolve();
  }
}

function isEndpoint(path: string): boolean {
  return (
    path.startsWith(ENDPOINTS_PREFIX) &&
    (path.length === ENDPOINTS_PREFIX.length || path[ENDPOINTS_PREFIX.length] === '/')
  );
}

/** Express gets the canonical path, so that no spelling of a helper endpoint reaches an upstream, nor the other way round. */
function endpoint(deps: HandlerDeps, arrival: Arrival, target: Target): void {
  if (arrival.upgrade !== undefined)
    throw new GatewayError('not-found', 'There is no WebSocket at this path.');
  arrival.req.url = `${target.path}${target.query}`;
  arrival.sendContinue?.();
  deps.endpoints(arrival.req, arrival.res);
}

/** @throws GatewayError `no-service` */
function matchExchange(catalog: Catalog, arrival: Arrival, target: Target, receivedAtMs: number): Exchange {
  const { config } = catalog;
  const service = matchService(catalog, arrival.req, target);
  if (service === undefined) {
    throw new GatewayError(
      'no-service',
      'Nothing is served at this path. The operator sees why with: sluice routes METHOD URL',
    );
  }
  const { req, res, upgrade, sendContinue } = arrival;
  const connection = connectionMemory(req.socket);
  const client = describeClient(catalog, req, connection);
  return { req, res, upgrade, sendContinue, receivedAtMs, config, service, target, client, connection };
}

/**
 * A browser asks with OPTIONS before it sends a paid request: when that request would be paid for, so that this gateway answers
 * the preflight itself, it belongs to the same service, whatever methods that one names.
 */
function matchService({ router }: Catalog, req: IncomingMessage, target: Target): ServiceConfig | undefined {
  const service = router.match(req.method ?? 'GET', target.host, target.path);
  const asked = req.headers['access-control-request-method'];
  if (req.method !== 'OPTIONS' || asked === undefined) return service;
  if (service !== undefined && service.price.kind !== 'free') return service;
  const meant = router.match(asked, target.host, target.path);
  return meant !== undefined && meant.price.kind !== 'free' ? meant : (service ?? meant);
}

/** Without X-Forwarded-For it is the connection's own peer who asks, each time. */
function describeClient(
  { trusted }: Catalog,
  req: IncomingMessage,
  connection: ConnectionMemory,
): ExchangeClient {
  const forwardedFor = joined(req.headers['x-forwarded-for']);
  if (forwardedFor === undefined && connection.peer?.trusted === trusted) return connection.peer.client;
  const { socket } = req;
  const address = clientAddress(socket.remoteAddress, forwardedFor, trusted);
  const client: ExchangeClient = {
    address,
    throttleKey: throttleKey(address),
    trustedPeer: trusted.has(socket.remoteAddress ?? ''),
    scheme: 'encrypted' in socket ? 'https' : 'http',
  };
  if (forwardedFor === undefined) connection.peer = { trusted, client };
  return client;
}

function joined(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(', ') : header;
}

function asGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const known = error instanceof StoreError ? answerStoreError(error) : undefined;
  if (known !== undefined) return known;
  return new GatewayError('internal', 'The gateway failed; the operator finds the reason in its log.', {
    cause: error,
  });
}

/**
 * A response that writes to the raw socket of an upgrade, so that a WebSocket which is not let through gets the same answers
 * as any other request. The tunnel takes the socket away from it.
 */
function responseOn(req: IncomingMessage, socket: Duplex): ServerResponse {
  const res = new ServerResponse(req);
  res.shouldKeepAlive = false;
  res.assignSocket(req.socket);
  socket.on('error', () => socket.destroy());
  res.once('finish', () => {
    res.detachSocket(req.socket);
    endConnection(socket);
  });
  return res;
}
