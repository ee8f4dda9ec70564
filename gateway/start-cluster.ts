import { randomBytes } from 'node:crypto';
import path from 'node:path';
import type { Config } from '../config/config.ts';
import { createIpcBus } from './bus/ipc-bus.ts';
import { forkWorker } from './cluster/fork-worker.ts';
import { TICKET_KEY_BYTES } from './cluster/messages.ts';
import { createConnectionShare } from './cluster/share-connections.ts';
import { clusterMetrics } from './cluster/worker-counts.ts';
import { createWorkerPool, type PoolTiming, type WorkerPool } from './cluster/worker-pool.ts';
import { startControlPlane } from './control-plane.ts';
import { refusePublicPlayMoney } from './data-plane.ts';
import { openFoundation } from './foundation.ts';
import type { Gateway, GatewayParts } from './gateway.ts';
import type { Health } from './observe/health.ts';

/** What a gateway of several processes is put together from. */
export interface ClusterParts extends GatewayParts {
  /** Where the workers find the simulated network that runs in this process. */
  readonly simnet?: { readonly url: string; readonly macaroon: string };
  /** Workers can serve no more, and no restart mends it. Everything should be stopped. */
  readonly onFailed: (error: Error) => void;
  /** Other times for the workers. */
  readonly timing?: Partial<PoolTiming>;
}

/** A running gateway of several processes. */
export interface ClusterGateway extends Gateway {
  /** Replaces the workers one after the other, without refusing a connection. */
  renew(): Promise<void>;
  /** Ends the workers at once. */
  kill(): void;
}

/** Beside this file, built or not. */
const WORKER_FILE = path.join(import.meta.dirname, `run-worker${path.extname(import.meta.filename)}`);

/**
 * Puts a gateway together whose clients are served by workers. This process, the primary, does what is done once: it credits,
 * reconciles, answers the operator, and watches over store, node and workers.
 * @throws Error when play money would be taken in public, a listener can't be opened, or a worker can't start
 * @throws StoreMismatchError when store, keys and data folder do not belong together
 */
export async function startCluster(parts: ClusterParts): Promise<ClusterGateway> {
  const { config, node, log, metrics: own } = parts;
  refusePublicPlayMoney(config, node);
  let hasStarted = false;
  const { counts, metrics } = clusterMetrics(own, () => pool.count());
  const connections = createConnectionShare();
  const bus = createIpcBus((news) => pool.tell(news));
  const pool: WorkerPool = createWorkerPool({
    fork: () => forkWorker(WORKER_FILE),
    connections,
    ticketKeys: randomBytes(TICKET_KEY_BYTES),
    config: withSimnet(config, parts.simnet),
    log,
    ...(parts.timing === undefined ? {} : { timing: parts.timing }),
    onCounted: counts.take,
    onNews: bus.hear,
    onEnded: (worker, how) => {
      counts.ended(worker);
      own.workerExit(how);
    },
    onMismatch: (message) => {
      if (hasStarted) parts.onFailed(new Error(message));
    },
  });
  // Beside those that the workers serve.
  own.readFrom({ workers: () => pool.serving(), connections: connections.unserved });
  // First here: whether store and keys belong together is said once, before there is any worker.
  const foundation = await openFoundation({ bus, ...parts, metrics }, () => {});
  const health = withWorkers(foundation.watch.health, pool);
  const control = startControlPlane(foundation);

  const stop = async (): Promise<void> => {
    health.drain();
    connections.close();
    await pool.stop();
    await control.close();
    await bus.close();
    await foundation.close();
  };
  try {
    const addresses = await connections.listen(config.listen);
    await pool.start();
    hasStarted = true;
    const adminAddress = await control.listen({ where: config.admin, token: parts.adminToken, node, health });
    return {
      addresses,
      adminAddress,
      reload(next) {
        foundation.catalog.swap(next);
        pool.reload(withSimnet(next, parts.simnet));
      },
      renew: pool.renew,
      kill: pool.kill,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The simulated network runs in the primary; workers speak to it as to any LND. */
function withSimnet(config: Config, simnet: ClusterParts['simnet']): Config {
  if (config.node.type !== 'simulated' || simnet === undefined) return config;
  return { ...config, node: { ...config.node, ...simnet } };
}

/** Ready is who has somebody to serve. */
function withWorkers(health: Health, pool: Pick<WorkerPool, 'serving'>): Health {
  return {
    ...health,
    ready(exclude = []) {
      const { status, body } = health.ready(exclude);
      const up = pool.serving() > 0;
      const parts = { ...body.parts, workers: { state: up ? 'up' : 'down' } as const };
      if (up || exclude.includes('workers')) return { status, body: { ...body, parts } };
      const said = body.status === 'draining' ? 'draining' : 'not-ready';
      return { status: 503, body: { status: said, parts } };
    },
  };
}
