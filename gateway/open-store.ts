import type { StoreConfig } from '../config/config.ts';
import { createMemoryStore } from './ledger/memory.ts';
import { openSqliteStore } from './ledger/sqlite.ts';
import { type Store, StoreError } from './ledger/store.ts';

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
      throw new StoreError('unavailable', 'The store in Redis is not part of this build.');
  }
}
