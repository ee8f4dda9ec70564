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

interface KeptPool {
  readonly origin: string;
  readonly pool: Pool;
}

/**
 * Makes the connection pools: one per origin and connect timeout. A pool has no bound of its own: the clients' connections are
 * bounded (`maxConnections`), and a request that waited for a free connection would be a request that was paid and stands still.
 */
export function createUpstreams(options: UpstreamOptions = {}): Upstreams {
  const pools = new Map<string, KeptPool>();
  const sweep = startSweep(options.sweepIntervalMs ?? 250);
  const closing = new Set<Promise<unknown>>();

  const retire = (key: string, end: (pool: Pool) => Promise<void>) => {
    const kept = pools.get(key);
    if (kept === undefined) return;
    pools.delete(key);
    const done = end(kept.pool).catch(() => {});
    closing.add(done);
    done.finally(() => closing.delete(done));
  };
  const retireAll = async (end: (pool: Pool) => Promise<void>) => {
    for (const key of [...pools.keys()]) retire(key, end);
    await Promise.all(closing);
    sweep.stop();
  };

  return {
    sweep,
    pool(origin, connectTimeoutMs) {
      const key = `${connectTimeoutMs} ${origin}`;
      const kept = pools.get(key);
      if (kept !== undefined) return kept.pool;
      const pool = newPool(origin, connectTimeoutMs, options);
      pools.set(key, { origin, pool });
      return pool;
    },
    retain(origins) {
      for (const [key, kept] of [...pools]) {
        if (!origins.has(kept.origin)) retire(key, (pool) => pool.close());
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
