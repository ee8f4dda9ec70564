import type { Config, RedisStoreConfig, StoreConfig } from '../config/config.ts';
import { readLastSeen } from './ledger/last-seen.ts';
import { createMemoryStore } from './ledger/memory.ts';
import { nameRedis } from './ledger/name-store.ts';
import type { RedisClient } from './ledger/redis/connect.ts';
import { openSqliteStore } from './ledger/sqlite.ts';
import type { Store } from './ledger/store.ts';

/** A store and how to name it. */
export interface OpenedStore {
  readonly store: Store;
  /** For messages. */
  readonly name: string;
  /** It outlives the process: what the data folder remembers of it must fit. */
  readonly durable: boolean;
  /** What should be mended about it. */
  readonly warnings?: readonly string[];
  /** Its client, for what gateways share beside the ledger; the store closes it. */
  readonly redis?: { readonly client: RedisClient; readonly keyPrefix: string };
}

/**
 * Opens the configured store: the only switch over stores.
 * @param empty - `refuse`: there was one before, so that a Redis without a store has lost it. A SQLite file that is gone is made anew, and
 * refused by its generation.
 * @throws StoreError
 */
export async function openStore(
  config: StoreConfig,
  nowMs: () => number,
  empty: 'begin' | 'refuse' = 'begin',
): Promise<OpenedStore> {
  switch (config.type) {
    case 'memory':
      return { store: createMemoryStore({ nowMs }), name: 'memory', durable: false };
    case 'sqlite': {
      const { file, spendDurability } = config;
      return { store: await openSqliteStore({ file, nowMs, spendDurability }), name: file, durable: true };
    }
    case 'redis':
      return openRedis(config, empty);
  }
}

/** What {@link openStore} may do in an empty Redis: where the data folder knows a store, it has lost that one. @throws Error */
export async function whenEmpty({ store, dataDir }: Config): Promise<'begin' | 'refuse'> {
  return store.type === 'redis' && (await readLastSeen(dataDir)) !== undefined ? 'refuse' : 'begin';
}

/** Its clock is that of Redis: gateways need not agree on the time. @throws StoreError */
async function openRedis(config: RedisStoreConfig, empty: 'begin' | 'refuse'): Promise<OpenedStore> {
  // Only here: its client takes several megabytes, which a gateway on SQLite need not hold.
  const { closeRedis, connectRedis } = await import('./ledger/redis/connect.ts');
  const { warnOfServers } = await import('./ledger/redis/check-server.ts');
  const { openRedisStore } = await import('./ledger/redis.ts');
  const { keyPrefix, wait } = config;
  const name = nameRedis(config);
  const client = await connectRedis(config);
  try {
    const warnings = await warnOfServers(client, config);
    const acknowledge = wait && { ...wait, client: await connectRedis(config) };
    const store = await openRedisStore({
      client,
      name,
      whenEmpty: empty,
      keyPrefix,
      ...(acknowledge !== undefined && { acknowledge }),
    });
    return { store, name, durable: true, warnings, redis: { client, keyPrefix } };
  } catch (error) {
    await closeRedis(client);
    throw error;
  }
}
