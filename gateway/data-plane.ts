import type { Socket } from 'node:net';
import type { Config, Listener } from '../config/config.ts';
import { isLoopbackHost } from '../node/loopback.ts';
import type { LightningNode } from '../node/node.ts';
import { assembleEndpoints } from './assemble-endpoints.ts';
import { assembleFlow } from './assemble-flow.ts';
import type { Foundation } from './foundation.ts';
import { createRequestHandlers, type RequestHandlers } from './handle-request.ts';
import type { Log } from './observe/log.ts';
import { upstreamOrigin } from './proxy/upstream-path.ts';
import { createRecorder } from './record-request.ts';
import { type BoundAddress, createHttpServer, type HttpServer } from './server.ts';

/** What serves clients. */
export interface DataPlane {
  /** Opens the listeners, in the order of `config.listen`. @throws Error when an address can't be had */
  listen(): Promise<readonly BoundAddress[]>;
  /**
   * In place of that: serves connections that the primary accepted.
   * @param ticketKeys - of TLS, the same in all workers, 48 bytes
   * @returns what takes the connections of each listener, in the same order
   */
  adopt(ticketKeys: Buffer): Promise<readonly ((socket: Socket) => void)[]>;
  /** Takes a new configuration for requests from now on; those under way keep theirs. */
  reload(config: Config): void;
  /** What the node made may be forgotten. */
  doubtInvoices(): void;
  /** Stops taking requests, and lets the ones under way finish within the drain time. */
  drain(): Promise<void>;
  close(): Promise<void>;
}

/** How long the charges of requests that were cut may take to end, ms. */
const SETTLE_TIMEOUT_MS = 5_000;

/** Ties the flow, the helper endpoints and the listeners together. @param masterKeys - 32 bytes each, newest first */
export function assembleDataPlane(foundation: Foundation, masterKeys: readonly Buffer[]): DataPlane {
  const { catalog, accounts, watch, log, metrics, nowMs } = foundation;
  const open: Open = { servers: [], isCutting: false };
  metrics.readFrom({
    connections: () => open.servers.reduce((sum, server) => sum + server.connections(), 0),
  });
  const shared = { ...foundation, masterKeys, catalog: catalog.get };
  const flow = assembleFlow({ ...shared, refusal: watch.refusal, isCutting: () => open.isCutting });
  accounts.onSettled((paymentHash) => flow.deps.invoicer.paid(paymentHash));
  const endpoints = assembleEndpoints({ ...shared, flow });
  const handlers = createRequestHandlers({
    catalog: catalog.get,
    flow: flow.deps,
    endpoints: endpoints.app,
    recorder: createRecorder({ metrics, log, nowMs }),
    nowMs,
  });
  return {
    async listen() {
      const servers = await openServers(open, foundation, handlers);
      const addresses: BoundAddress[] = [];
      for (const server of servers) addresses.push(await server.listen());
      return addresses;
    },
    async adopt(ticketKeys) {
      const servers = await openServers(open, foundation, handlers);
      return servers.map(({ adopt }) => adopt(ticketKeys));
    },
    reload: (next) => {
      catalog.swap(next);
      flow.reload(new Set(next.services.map(upstreamOrigin)));
    },
    doubtInvoices: () => flow.deps.invoicer.pool.doubt(),
    async drain() {
      const { drainTimeoutMs } = catalog.get().config;
      endpoints.close();
      await Promise.all(open.servers.map((server) => server.drain(drainTimeoutMs)));
      // Their connections are closed; their charges may still be on the way to the store.
      await handlers.idle(SETTLE_TIMEOUT_MS);
    },
    close: () => flow.close(),
  };
}

/** What has been opened so far. */
interface Open {
  readonly servers: HttpServer[];
  /** The time to drain is over. */
  isCutting: boolean;
}

async function openServers(
  open: Open,
  { catalog, metrics, log }: Foundation,
  handlers: RequestHandlers,
): Promise<readonly HttpServer[]> {
  const { config } = catalog.get();
  for (const listener of config.listen) {
    const server = await createHttpServer(listener, config.limits, {
      ...handlers,
      onRefused: ({ reason, remoteAddress }) => {
        metrics.request(undefined, 'refused');
        log.debug('a connection was refused', { reason, remoteAddress });
      },
      onCut: () => {
        open.isCutting = true;
      },
      onCertificate: (error) => sayCertificate(log, listener, error),
    });
    open.servers.push(server);
  }
  return open.servers;
}

/**
 * Money from a simulated network buys real answers here: never where strangers can reach it, unless the operator says so.
 * @throws Error
 */
export function refusePublicPlayMoney(config: Config, node: LightningNode): void {
  if (!node.capabilities.playMoney || config.allowPlayMoney) return;
  const reachable = config.listen.find(({ host }) => !isLoopbackHost(host));
  if (reachable === undefined) return;
  throw new Error(
    `The Lightning node is simulated, so anybody could pay with play money at ${reachable.host}:${reachable.port}. ` +
      'Listen on 127.0.0.1, attach a real node, or set allowPlayMoney: true.',
  );
}

function sayCertificate(log: Log, listener: Listener, error: Error | undefined): void {
  const where = `${listener.host}:${listener.port}`;
  if (error === undefined) log.info('the certificate was reloaded', { listener: where });
  else log.error('the new certificate can not be used; the old one stays', { listener: where, err: error });
}
