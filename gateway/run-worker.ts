import type { Socket } from 'node:net';
import type { Config } from '../config/config.ts';
import { openNode } from '../node/index.ts';
import { boundedTell, createIpcBus, type IpcBus } from './bus/ipc-bus.ts';
import { divideLimits } from './cluster/divide-limits.ts';
import { COUNT_EVERY_MS, type NumberedConfig, type ToWorker } from './cluster/messages.ts';
import { openPrimaryPort, type PrimaryPort } from './cluster/primary-port.ts';
import { createThrottleShare, type ThrottleShare } from './cluster/share-throttles.ts';
import { assembleDataPlane, type DataPlane, refusePublicPlayMoney } from './data-plane.ts';
import { explainFailure } from './explain-failure.ts';
import { openFoundation } from './foundation.ts';
import { keepObjectsYoung } from './keep-objects-young.ts';
import { StoreMismatchError } from './ledger/ledger.ts';
import { loadMasterKeys } from './ledger/master-key.ts';
import { nodeConnection } from './node-connection.ts';
import { observeNode, observeStore } from './observe/instrument.ts';
import { createLog, type Log } from './observe/log.ts';
import { createMetrics, type Metrics } from './observe/metrics.ts';
import { openSharing, partsOf } from './open-sharing.ts';
import { openStore, whenEmpty } from './open-store.ts';
import { VERSION } from './version.ts';

/*
 * One worker: a process that serves clients. The primary started it, hands it the configuration, and does all that is done once.
 * It ends when it is told to, when somebody sends it a signal, and when its primary is gone: never with requests under way.
 */

/** What a worker opened. */
interface OpenedWorker {
  /** Take the connections of each listener. */
  readonly adopt: readonly ((socket: Socket) => void)[];
  readonly metrics: Metrics;
  reload(config: Config): void;
  /** Finishes what is under way, within the drain time, and closes everything. */
  stop(): Promise<void>;
}

/** Runs this process as a worker, until it is told to end. */
export function runWorker(port: PrimaryPort): void {
  const bus = createIpcBus(boundedTell((news, handedOver) => port.send({ kind: 'news', news }, handedOver)));
  const throttles = createThrottleShare(Date.now, (taken) => port.send({ kind: 'taken', taken }));
  let opening: Promise<OpenedWorker> | undefined;
  let newest: NumberedConfig | undefined;
  let adopt: OpenedWorker['adopt'] = [];
  let ending = false;

  const start = async (first: ToWorker & { readonly kind: 'start' }): Promise<void> => {
    newest = first;
    opening = openWorker(first, bus, throttles);
    try {
      const opened = await opening;
      // What came while it opened.
      if (newest !== undefined && newest.version > first.version) opened.reload(newest.config);
      port.send({ kind: 'serving' });
      adopt = opened.adopt;
      setInterval(() => void count(), COUNT_EVERY_MS).unref();
    } catch (error) {
      const reason = error instanceof StoreMismatchError ? 'mismatch' : 'other';
      port.send({ kind: 'failed', reason, message: explainFailure(error) }, () => process.exit(1));
    }
  };
  const count = async (): Promise<void> => {
    const opened = await opening;
    if (opened === undefined) return;
    const { body } = await opened.metrics.scrape();
    await new Promise<void>((resolve) => port.send({ kind: 'counted', scrape: body }, resolve));
  };
  const finish = async (): Promise<void> => {
    if (ending) return;
    ending = true;
    try {
      await (await opening)?.stop();
      await count();
      process.exit(0);
    } catch {
      // That it could not start, or not stop, is said in the log.
      process.exit(1);
    }
  };

  port.onMessage((message, socket) => {
    switch (message.kind) {
      case 'connection':
        port.send({ kind: 'took', connection: message.connection });
        if (socket !== undefined) adopt[message.listener]?.(socket);
        return;
      case 'start':
        void start(message);
        return;
      case 'reload':
        newest = message;
        // One that is still opening takes it at the end.
        void opening?.then((opened) => newest === message && opened.reload(message.config)).catch(() => {});
        return;
      case 'news':
        bus.hear(message.news);
        return;
      case 'taken':
        throttles.hear(message.taken);
        return;
      case 'count':
        void count().catch(() => {});
        return;
      case 'drain':
        void finish();
        return;
    }
  });
  port.onGone(() => void finish());
  // Ctrl-C and a terminal that closes reach all processes: the primary says what is to be done.
  for (const signal of ['SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {});
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void finish());
  port.send({ kind: 'hello' });
}

async function openWorker(
  { worker, config: whole, ticketKeys }: ToWorker & { readonly kind: 'start' },
  bus: IpcBus,
  throttles: ThrottleShare,
): Promise<OpenedWorker> {
  const config = divideLimits(whole);
  const log = createLog({ ...config.log, worker });
  const metrics = createMetrics({ version: VERSION });
  const closers: (() => Promise<void>)[] = [async () => log.flush()];
  const close = async (): Promise<void> => {
    for (const one of closers.splice(0).reverse()) await one();
  };
  try {
    const { node, close: closeNode } = await openNode(
      config.node,
      // The primary says what becomes of the node, once.
      nodeConnection(config, quiet(log), metrics),
    );
    closers.push(closeNode);
    const opened = await openStore(config.store, Date.now, await whenEmpty(config));
    const { store, name: storeName } = opened;
    closers.push(() => store.close());
    const sharing = await openSharing(config.store, opened, { log: quiet(log), metrics, nowMs: Date.now });
    closers.push(() => sharing.close());
    refusePublicPlayMoney(config, node);
    const masterKeys = await loadMasterKeys({ configured: config.masterKeys, dataDir: config.dataDir });
    let dataPlane: DataPlane | undefined;
    const foundation = await openFoundation(
      {
        config,
        node: observeNode(node, metrics),
        store: observeStore(store, metrics),
        storeName,
        masterKeys,
        // The primary compares the store with the data folder, and forgets what is over.
        purging: 'elsewhere',
        log,
        // The primary says what becomes of node and store, once.
        healthLog: quiet(log),
        metrics,
        bus,
        throttle: throttles.throttle,
        // Over Redis it reaches the workers of other machines too.
        ...partsOf(sharing),
      },
      () => dataPlane?.doubtInvoices(),
    );
    closers.push(() => foundation.close());
    const data = assembleDataPlane(foundation, masterKeys);
    dataPlane = data;
    closers.push(() => data.close());
    closers.push(() => data.drain());
    return {
      adopt: await data.adopt(Buffer.from(ticketKeys)),
      metrics,
      reload: (next) => data.reload(divideLimits(next)),
      stop: async () => {
        await close().catch((error: unknown) => {
          log.error('stopping failed', { err: error });
          throw error;
        });
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function quiet(log: Log): Log {
  return { ...log, info: log.debug, warn: log.debug, error: log.debug };
}

if (import.meta.main) {
  keepObjectsYoung();
  runWorker(openPrimaryPort());
}
