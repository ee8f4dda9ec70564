import type { Config } from '../config/config.ts';
import type { Flags } from '../config/flags.ts';
import { findConfigSource, type LoadedConfig, loadConfig } from '../config/load.ts';
import { watchConfig } from '../config/reload.ts';
import { hasNativeSecp256k1 } from '../node/bolt11.ts';
import { type OpenedNode, openNode } from '../node/index.ts';
import { GATEWAY_WALLET } from '../node/simnet/simnet.ts';
import { adminTokenOf } from './admin/token.ts';
import { type Banner, writeBanner } from './banner.ts';
import type { PoolTiming } from './cluster/worker-pool.ts';
import { type DemoUpstream, startDemoUpstream } from './demo/upstream.ts';
import { type Gateway, type GatewayParts, startGateway } from './gateway.ts';
import { loadMasterKeys } from './ledger/master-key.ts';
import { nodeConnection } from './node-connection.ts';
import { observeNode, observeStore } from './observe/instrument.ts';
import { createLog, type Log } from './observe/log.ts';
import { createMetrics, type Metrics } from './observe/metrics.ts';
import { openSharing, partsOf, type Sharing } from './open-sharing.ts';
import { type OpenedStore, openStore, whenEmpty } from './open-store.ts';
import { type ClusterGateway, startCluster } from './start-cluster.ts';
import { VERSION } from './version.ts';

/** What running a gateway needs of its process. */
export interface RunOptions {
  readonly flags: Flags;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Where the banner goes. */
  readonly stdout: { write(text: string): unknown };
  /** The running gateway can serve no more, and no restart of its workers mends it. */
  readonly onFailed?: (error: Error) => void;
  /** Other times for the workers than those of docs/workers.md. */
  readonly timing?: Partial<PoolTiming>;
}

/** A running gateway with everything it opened. */
export interface RunningGateway {
  readonly gateway: Gateway;
  readonly log: Log;
  /** Replaces the workers one after the other, without refusing a connection. */
  renew(): Promise<void>;
  /** Drains, and closes everything. */
  stop(): Promise<void>;
  /** Ends the workers at once; this process is the caller's to end. */
  kill(): void;
}

/**
 * Loads the configuration, opens node and store, and starts the gateway; without any configuration, the demo.
 * @throws ConfigError, NodeError, StoreError, StoreMismatchError, or Error when something can't be opened
 */
export async function runGateway(options: RunOptions): Promise<RunningGateway> {
  const isDemo = findConfigSource(options).kind === 'demo';
  const closers: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const demo = isDemo ? await startDemoUpstream() : undefined;
    if (demo !== undefined) closers.push(() => demo.close());
    const loaded = load(options, demo);
    return await open(options, loaded, demo, closers, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

function load(options: RunOptions, demo: DemoUpstream | undefined): LoadedConfig {
  return loadConfig({ ...options, ...(demo === undefined ? {} : { demoUpstream: demo.url }) });
}

async function open(
  options: RunOptions,
  loaded: LoadedConfig,
  demo: DemoUpstream | undefined,
  closers: (() => Promise<void>)[],
  stop: () => Promise<void>,
): Promise<RunningGateway> {
  const { config } = loaded;
  const log = createLog(config.log);
  closers.push(async () => log.flush());
  const metrics = createMetrics({ version: VERSION });
  for (const warning of loaded.warnings) log.warn(warning);
  if (!hasNativeSecp256k1()) {
    log.warn('native secp256k1 is missing on this machine: checking an invoice takes ten times as long');
  }
  const node = await openNode(config.node, nodeConnection(config, log, metrics));
  closers.push(() => node.close());
  for (const warning of node.warnings ?? []) log.warn(warning);
  const store = await openStore(config.store, Date.now, await whenEmpty(config));
  closers.push(() => store.store.close());
  for (const warning of store.warnings ?? []) log.warn(warning);
  const sharing = await openSharing(config.store, store, { log, metrics, nowMs: Date.now });
  closers.push(() => sharing.close());
  const gateway = await start(options, config, node, { ...store, sharing }, log, metrics);
  closers.push(() => gateway.stop());
  const watcher = watchConfig(
    () => load(options, demo),
    (next) => {
      gateway.reload(next.config);
      metrics.configReload('ok');
      for (const warning of next.warnings) log.warn(warning);
      log.info('the configuration was reloaded');
    },
    (error) => {
      metrics.configReload('failed');
      log.error('the new configuration can not be used; the old one stays', { err: error });
    },
    { current: loaded },
  );
  closers.push(async () => watcher.close());
  const banner: Banner = { options, loaded, gateway, surfaceUrl: node.surfaceUrl };
  options.stdout.write(writeBanner(banner));
  return {
    gateway,
    log,
    renew: async () => {
      if ('renew' in gateway) await gateway.renew();
      else log.warn('there are no workers to replace: one process does everything (workers: 1)');
    },
    stop,
    kill: () => {
      if ('kill' in gateway) gateway.kill();
    },
  };
}

async function start(
  { onFailed = () => {}, timing = {} }: RunOptions,
  config: Config,
  { node, simnet, surfaceUrl }: OpenedNode,
  { store, name, durable, sharing }: OpenedStore & { readonly sharing: Sharing },
  log: Log,
  metrics: Metrics,
): Promise<Gateway | ClusterGateway> {
  const parts: GatewayParts = {
    config,
    node: observeNode(node, metrics),
    store: observeStore(store, metrics),
    storeName: name,
    masterKeys: await loadMasterKeys({ configured: config.masterKeys, dataDir: config.dataDir }),
    ...(durable ? { ledgerDir: config.dataDir } : {}),
    ...partsOf(sharing),
    adminToken: await adminTokenOf(config),
    log,
    metrics,
  };
  if (config.workers === 1) return startGateway(parts);
  if (simnet === undefined || surfaceUrl === undefined) return startCluster({ ...parts, onFailed, timing });
  const { macaroon } = simnet.wallet(GATEWAY_WALLET);
  return startCluster({ ...parts, simnet: { url: surfaceUrl, macaroon }, onFailed, timing });
}
