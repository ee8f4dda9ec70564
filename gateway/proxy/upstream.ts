import { type Dispatcher, Pool } from 'undici';
import { type Sweep, startSweep } from './sweep.ts';

/** How upstream connections are kept. All in ms. */
export interface UpstreamOptions {
  /** An idle upstream connection is closed after this, unless the upstream's own Keep-Alive hint is shorter. */
  readonly keepAliveMs?: number;
  /** How finely timeouts are measured. */
  readonly sweepIntervalMs?: number;
  /** Bytes of an upstream's response head. */
  readonly maxResponseHeaderBytes?: number;
}

/** The keep-alive connections to all upstreams. */
export interface Upstreams {
  /** The pool of an origin; made when first asked for. */
  pool(origin: string, connectTimeoutMs: number): Dispatcher;
  readonly sweep: Sweep;
  /** Closes the pools of origins that a reload dropped; what runs on them runs to its end. */
  retain(origins: ReadonlySet<string>): void;
  /** Waits for the requests under way, then closes all connections. */
  close(): Promise<void>;
  /** Breaks the requests under way and closes all connections. */
  destroy(): Promise<void>;
}

/**
 * Makes the connection pools: one per origin and connect timeout. A pool has no bound of its own: the clients' connections are
 * bounded (`maxConnections`), and a request that waited for a free connection would be a request that was paid and stands still.
 */
export function createUpstreams(options: UpstreamOptions = {}): Upstreams {
  /** By origin, then by connect timeout: nothing is put together to find one. */
  const pools = new Map<string, Map<number, Pool>>();
  const sweep = startSweep(options.sweepIntervalMs ?? 250);
  const closing = new Set<Promise<unknown>>();

  const retire = (origin: string, end: (pool: Pool) => Promise<void>) => {
    const kept = [...(pools.get(origin)?.values() ?? [])];
    pools.delete(origin);
    for (const pool of kept) {
      const done = end(pool).catch(() => {});
      closing.add(done);
      done.finally(() => closing.delete(done));
    }
  };
  const retireAll = async (end: (pool: Pool) => Promise<void>) => {
    for (const origin of [...pools.keys()]) retire(origin, end);
    await Promise.all(closing);
    sweep.stop();
  };

  return {
    sweep,
    pool(origin, connectTimeoutMs) {
      const ofOrigin = pools.get(origin);
      const kept = ofOrigin?.get(connectTimeoutMs);
      if (kept !== undefined) return kept;
      const pool = newPool(origin, connectTimeoutMs, options);
      if (ofOrigin === undefined) pools.set(origin, new Map([[connectTimeoutMs, pool]]));
      else ofOrigin.set(connectTimeoutMs, pool);
      return pool;
    },
    retain(origins) {
      for (const origin of [...pools.keys()]) {
        if (!origins.has(origin)) retire(origin, (pool) => pool.close());
      }
    },
    close: () => retireAll((pool) => pool.close()),
    destroy: () => retireAll((pool) => pool.destroy()),
  };
}

function newPool(origin: string, connectTimeoutMs: number, options: UpstreamOptions): Pool {
  return new Pool(origin, {
    connect: { timeout: connectTimeoutMs },
    // One request at a time on a connection: a response that dies takes no other with it.
    pipelining: 1,
    keepAliveTimeout: options.keepAliveMs ?? 4_000,
    maxHeaderSize: options.maxResponseHeaderBytes ?? 32_768,
    // With h2 allowed, undici holds requests back until the first connection has told which it speaks.
    allowH2: false,
    // Our own sweep times requests: it knows who is being waited for.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}
