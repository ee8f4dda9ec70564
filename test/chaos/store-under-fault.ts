import path from 'node:path';
import type { Victim } from './victim.ts';

/** Where the gateways of a run keep their books, and what a fault may do to it. */
export interface StoreUnderFault {
  /** The `store` of each gateway's configuration. */
  readonly config: object;
  /** The store's own process, if it has one. */
  readonly victim: Victim | undefined;
  /** What the run relies on, for people. */
  readonly guarantee: string;
}

/** One file that all gateways share. It has no process of its own that could be killed. */
export function sqliteStore(folder: string): StoreUnderFault {
  return {
    config: { type: 'sqlite', file: path.join(folder, 'ledger.db') },
    victim: undefined,
    guarantee:
      'SQLite, one file for all gateways: what was acknowledged outlives the kill of any process, spends too',
  };
}
