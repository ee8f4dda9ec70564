import type { Config } from '../config/config.ts';
import type { LightningNode } from '../node/node.ts';
import { type Accounts, assembleAccounts } from './assemble-accounts.ts';
import type { Bus } from './bus/bus.ts';
import { type Catalog, compileCatalog } from './catalog.ts';
import type { SharedClients } from './flow/shared-clients.ts';
import { createThrottle, type Throttle, type ThrottleName } from './flow/throttle.ts';
import { keyFingerprint } from './l402/root-key.ts';
import { type Ledger, type LedgerOptions, openLedger } from './ledger/ledger.ts';
import type { Store, StoreError } from './ledger/store.ts';
import type { Log } from './observe/log.ts';
import type { Metrics } from './observe/metrics.ts';
import type { SessionTable } from './session/table.ts';
import { type NodeWatch, watchNode } from './watch-node.ts';

/** What every process of a gateway is put together from. The caller opened node and store, and closes them in the end. */
export interface FoundationParts {
  readonly config: Config;
  readonly node: LightningNode;
  readonly store: Store;
  /** Where the store is, for messages. */
  readonly storeName: string;
  /** 32 bytes each, newest first. */
  readonly masterKeys: readonly Buffer[];
  /** Where `ledger.json` is kept; absent for a store that does not outlive the process. */
  readonly ledgerDir?: string;
  /** Who forgets what is over in the store; absent: this process. */
  readonly purging?: LedgerOptions['purging'];
  readonly log: Log;
  /** Where is said what becomes of node and store; absent: `log`. Of several processes one is enough. */
  readonly healthLog?: Log;
  readonly metrics: Metrics;
  /** To the other processes on the same store, opened and closed by the caller; absent: this one is alone, or asks the store. */
  readonly bus?: Bus;
  /** Sessions of all processes on the same store; absent: this one's, in its memory. */
  readonly sessions?: SessionTable;
  /** Throttles that are kept with other processes; absent: this one has them to itself. */
  readonly throttle?: (name: ThrottleName) => Throttle;
  /** Counts clients of all gateways on the same store, where `challenge.shared` says so. */
  readonly sharedClients?: SharedClients;
  /** Unix milliseconds; absent: the system's clock. */
  readonly nowMs?: () => number;
}

/** The configuration in force, the ledger, the node, and the eyes on both: what clients are served with, and what operators ask. */
export interface Foundation {
  readonly catalog: CurrentCatalog;
  readonly ledger: Ledger;
  readonly accounts: Accounts;
  readonly sharedClients: SharedClients | undefined;
  readonly node: LightningNode;
  readonly watch: NodeWatch;
  readonly throttle: (name: ThrottleName) => Throttle;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  close(): Promise<void>;
}

/**
 * Opens the ledger and begins to watch node and store.
 * @param onNodeDown - the node stopped answering, or can't do its work: what it made may be forgotten when it is back
 * @throws StoreMismatchError when store, keys and data folder do not belong together
 * @throws StoreError
 */
export async function openFoundation(parts: FoundationParts, onNodeDown: () => void): Promise<Foundation> {
  const { config, store, log, metrics, nowMs = Date.now } = parts;
  const healthLog = parts.healthLog ?? log;
  const catalog = currentCatalog(config, log, metrics);
  const ledger = await openLedger({
    store,
    storeName: parts.storeName,
    keyFingerprints: parts.masterKeys.map(keyFingerprint),
    ...(parts.ledgerDir === undefined ? {} : { dataDir: parts.ledgerDir }),
    ...(parts.purging === undefined ? {} : { purging: parts.purging }),
    ...(parts.bus === undefined ? {} : { bus: parts.bus }),
    nowMs,
    onError: occasionally(nowMs, (task, error) =>
      log.error(`the ledger's ${task} failed and will be tried again`, { err: error }),
    ),
    onClock: (aheadSec) => sayClock(healthLog, aheadSec),
    ...(config.store.type === 'memory' ? {} : { passGraceMs: config.store.passGraceMs }),
    onMismatch: (error) => sayMismatch(healthLog, error),
  });
  const accounts = assembleAccounts({ ...parts, nowMs });
  const watch = watchNode({
    ...parts,
    log: healthLog,
    nowMs,
    config: () => catalog.get().config,
    clockAheadSec: () => ledger.clockAheadSec(),
    mismatch: () => ledger.mismatch(),
    onNodeDown,
  });
  await watch.start();
  return {
    catalog,
    ledger,
    accounts,
    sharedClients: parts.sharedClients,
    node: parts.node,
    watch,
    throttle: parts.throttle ?? (() => createThrottle(nowMs)),
    log,
    metrics,
    nowMs,
    close: async () => {
      watch.stop();
      accounts.close();
      await ledger.close();
    },
  };
}

/** The configuration in force: swapped as one, read once a request. */
export interface CurrentCatalog {
  get(): Catalog;
  swap(config: Config): void;
}

function currentCatalog(config: Config, log: Log, metrics: Pick<Metrics, 'readFrom'>): CurrentCatalog {
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

/** Work in the background is tried twice a second: an outage is not to fill the log. */
const REPEAT_ERROR_MS = 30_000;

/** Says the same thing again only after a while. */
function occasionally<T extends string>(
  nowMs: () => number,
  say: (task: T, error: unknown) => void,
): (task: T, error: unknown) => void {
  const saidMs = new Map<T, number>();
  return (task, error) => {
    const last = saidMs.get(task);
    if (last !== undefined && nowMs() - last < REPEAT_ERROR_MS) return;
    saidMs.set(task, nowMs());
    say(task, error);
  };
}

function sayMismatch(log: Log, error: StoreError | undefined): void {
  if (error === undefined) log.info('the store is the right one again: selling goes on');
  else log.error('STORE MISMATCH: NOTHING IS SOLD, AND NOTHING IS CHARGED', { err: error });
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
