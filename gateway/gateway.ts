import type { Config, Listener } from '../config/config.ts';
import { isLoopbackHost } from '../node/loopback.ts';
import type { LightningNode } from '../node/node.ts';
import { type AdminListener, listenAdmin } from './admin/listen.ts';
import { assembleAccounts } from './assemble-accounts.ts';
import { assembleEndpoints } from './assemble-endpoints.ts';
import { assembleFlow } from './assemble-flow.ts';
import type { Bus } from './bus/bus.ts';
import { type Catalog, compileCatalog } from './catalog.ts';
import { createRequestHandlers, type RequestHandlers } from './handle-request.ts';
import { keyFingerprint } from './l402/root-key.ts';
import { openLedger } from './ledger/ledger.ts';
import type { Store } from './ledger/store.ts';
import type { Log } from './observe/log.ts';
import type { Metrics } from './observe/metrics.ts';
import { formatPrice } from './pricing/format-price.ts';
import { upstreamOrigin } from './proxy/upstream-path.ts';
import { createRecorder } from './record-request.ts';
import { type BoundAddress, createHttpServer, type HttpServer } from './server.ts';
import { invoiceTag, tagInvoices } from './settlements/invoice-tag.ts';
import { VERSION } from './version.ts';
import { watchNode } from './watch-node.ts';

/** The parts that a gateway is put together from. The caller opened node and store, and closes them after {@link Gateway.stop}. */
export interface GatewayParts {
  readonly config: Config;
  readonly node: LightningNode;
  readonly store: Store;
  /** Where the store is, for messages. */
  readonly storeName: string;
  /** 32 bytes each, newest first. */
  readonly masterKeys: readonly Buffer[];
  /** Where `ledger.json` is kept; absent for a store that does not outlive the process. */
  readonly ledgerDir?: string;
  readonly adminToken: string;
  readonly log: Log;
  readonly metrics: Metrics;
  /** To the other gateways on the same store, opened and closed by the caller; absent: this one is alone, or asks the store. */
  readonly bus?: Bus;
  /** Unix milliseconds; absent: the system's clock. */
  readonly nowMs?: () => number;
}

/** A running gateway. */
export interface Gateway {
  /** In the order of `config.listen`. */
  readonly addresses: readonly BoundAddress[];
  readonly adminAddress: BoundAddress;
  /** Takes a new configuration for requests from now on; those under way keep theirs. Listeners, node and store stay. */
  reload(config: Config): void;
  /** Stops taking requests, lets the ones under way finish within the drain time, and stops. */
  stop(): Promise<void>;
}

/** How long the charges of requests that were cut may take to end, ms. */
const SETTLE_TIMEOUT_MS = 5_000;

/**
 * Puts a gateway together and starts it.
 * @throws Error when play money would be taken in public, or a listener can't be opened
 * @throws StoreMismatchError when store, keys and data folder do not belong together
 */
export async function startGateway(parts: GatewayParts): Promise<Gateway> {
  const { config, node, store, log, metrics, nowMs = Date.now } = parts;
  refusePublicPlayMoney(config, node);
  const catalog = currentCatalog(config, log, metrics);
  const ledger = await openLedger({
    store,
    storeName: parts.storeName,
    keyFingerprints: parts.masterKeys.map(keyFingerprint),
    ...(parts.ledgerDir === undefined ? {} : { dataDir: parts.ledgerDir }),
    ...(parts.bus === undefined ? {} : { bus: parts.bus }),
    nowMs,
    onError: (task, error) =>
      log.error(`the ledger's ${task} failed and will be tried again`, { err: error }),
    onClock: (aheadSec) => sayClock(log, aheadSec),
  });
  const accounts = assembleAccounts({ ...parts, nowMs });
  // So that its invoices can be told from others on the same node.
  const tagged = tagInvoices(node, invoiceTag(ledger.generation));
  const shared = { ...parts, node: tagged, nowMs, ledger, accounts, catalog: catalog.get };
  const watch = watchNode({
    ...parts,
    nowMs,
    config: () => catalog.get().config,
    clockAheadSec: () => ledger.clockAheadSec(),
    onNodeDown: () => flow.deps.invoicer.pool.doubt(),
  });
  const { health } = watch;
  const open: Open = { servers: [], addresses: [], admin: undefined, isCutting: false };
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
  await watch.start();
  const feed = accounts.startFeed(shared);
  const reconciler = accounts.startReconciler(shared);

  const stop = async (): Promise<void> => {
    health.drain();
    endpoints.close();
    await Promise.all(open.servers.map((server) => server.drain(catalog.get().config.drainTimeoutMs)));
    // Their connections are closed; their charges may still be on the way to the store.
    await handlers.idle(SETTLE_TIMEOUT_MS);
    await open.admin?.close();
    watch.stop();
    await reconciler.close();
    await feed.close();
    accounts.close();
    await flow.close();
    await ledger.close();
  };
  try {
    await openListeners(open, parts, handlers);
    open.admin = await listenAdmin(config.admin, {
      config: () => catalog.get().config,
      // The ledger, not the bare store: what it revokes it knows at once.
      store: ledger,
      node,
      health,
      metrics,
      log,
      nowMs,
      formatPrice,
      token: parts.adminToken,
      version: VERSION,
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    addresses: open.addresses,
    adminAddress: open.admin.address,
    reload: (next) => {
      catalog.swap(next);
      flow.reload(new Set(next.services.map(upstreamOrigin)));
    },
    stop,
  };
}

/** What has been opened so far. */
interface Open {
  readonly servers: HttpServer[];
  readonly addresses: BoundAddress[];
  admin: AdminListener | undefined;
  /** The time to drain is over. */
  isCutting: boolean;
}

/** The configuration in force: swapped as one, read once a request. */
function currentCatalog(
  config: Config,
  log: Log,
  metrics: Pick<Metrics, 'readFrom'>,
): { get: () => Catalog; swap: (config: Config) => void } {
  let undeclaredProxy = false;
  metrics.readFrom({ undeclaredProxy: () => undeclaredProxy });
  const compile = (next: Config): Catalog => {
    undeclaredProxy = false;
    return compileCatalog(next, (address) => {
      undeclaredProxy = true;
      log.warn(
        'an X-Forwarded-For header came from an undeclared proxy and is ignored: name the proxy in trustedProxies, or all its clients share one throttle',
        { address },
      );
    });
  };
  let current = compile(config);
  return {
    get: () => current,
    swap: (next) => {
      current = compile(next);
    },
  };
}

async function openListeners(
  open: Open,
  { config, metrics, log }: GatewayParts,
  handlers: RequestHandlers,
): Promise<void> {
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
    open.addresses.push(await server.listen());
  }
}

/** Money from a simulated network buys real answers here: never where strangers can reach it, unless the operator says so. */
function refusePublicPlayMoney(config: Config, node: LightningNode): void {
  if (!node.capabilities.playMoney || config.allowPlayMoney) return;
  const reachable = config.listen.find(({ host }) => !isLoopbackHost(host));
  if (reachable === undefined) return;
  throw new Error(
    `The Lightning node is simulated, so anybody could pay with play money at ${reachable.host}:${reachable.port}. ` +
      'Listen on 127.0.0.1, attach a real node, or set allowPlayMoney: true.',
  );
}

function sayClock(log: Log, aheadSec: number | undefined): void {
  if (aheadSec === undefined) log.info("the store's clock is right again: selling goes on");
  else
    log.error(
      "the store's clock is ahead of this machine's, so that what would be sold now could not be redeemed: NOTHING IS SOLD until they " +
        'agree. Set this machine\'s clock right; see "When a clock was wrong" in docs/admin.md',
      { aheadSec },
    );
}

function sayCertificate(log: Log, listener: Listener, error: Error | undefined): void {
  const where = `${listener.host}:${listener.port}`;
  if (error === undefined) log.info('the certificate was reloaded', { listener: where });
  else log.error('the new certificate can not be used; the old one stays', { listener: where, err: error });
}
