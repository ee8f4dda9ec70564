import type { RedisStoreConfig, StoreConfig } from '../config/config.ts';
import { createMemoryStore } from './ledger/memory.ts';
import { nameRedis } from './ledger/name-store.ts';
import { openSqliteStore } from './ledger/sqlite.ts';
import type { Store } from './ledger/store.ts';

/** A store and how to name it. */
export interface OpenedStore {
  readonly store: Store;
  /** For messages. */
  readonly name: string;
  /** It outlives the process: what the data folder remembers of it must fit. */
  readonly durable: boolean;
}

/** Opens the configured store: the only switch over stores. @throws StoreError */
export async function openStore(config: StoreConfig, nowMs: () => number): Promise<OpenedStore> {
  switch (config.type) {
    case 'memory':
      return { store: createMemoryStore({ nowMs }), name: 'memory', durable: false };
    case 'sqlite': {
      const { file, spendDurability } = config;
      return { store: await openSqliteStore({ file, nowMs, spendDurability }), name: file, durable: true };
    }
    case 'redis':
      return { store: await openRedis(config), name: nameRedis(config), durable: true };
  }
}

/** Its clock is that of Redis: gateways need not agree on the time. @throws StoreError */
async function openRedis(config: RedisStoreConfig): Promise<Store> {
  // Only here: its client takes several megabytes, which a gateway on SQLite need not hold.
  const { closeRedis, connectRedis } = await import('./ledger/redis/connect.ts');
  const { openRedisStore } = await import('./ledger/redis.ts');
  const { keyPrefix, wait } = config;
  const client = await connectRedis(config);
  try {
    const acknowledge = wait && { ...wait, client: await connectRedis(config) };
    return await openRedisStore({
      client,
      name: nameRedis(config),
      keyPrefix,
      ...(acknowledge !== undefined && { acknowledge }),
    });
  } catch (error) {
    await closeRedis(client);
    throw error;
  }
}
