import { type Store, StoreError } from './store.ts';

/** What is known of the store without asking it. */
export interface StoreWatch {
  /** Why nothing may be sold or charged; undefined: the store is the one that was opened, as far as is known. */
  mismatch(): StoreError | undefined;
  /**
   * Lets pass who asks for nothing that the store would have to say: a pass that was redeemed before.
   * @throws StoreError when the store is another one, or has been silent for longer than such may go on
   */
  requireStanding(): void;
  /** The store answered a moment ago. */
  answered(): void;
  /** Looks. @throws StoreError */
  refresh(): Promise<void>;
}

/** What a watch needs. */
export interface StoreWatchOptions {
  readonly store: Pick<Store, 'verify'>;
  readonly nowMs: () => number;
  /** How long passes are served from what is known while the store is silent, ms. */
  readonly passGraceMs: number;
  /** Told once when the store is found to be another one, and (`undefined`) when the right one is back. */
  readonly onMismatch: (error: StoreError | undefined) => void;
}

/**
 * A store that is a server's may come back empty, or with an older copy, while gateways run. It refuses every verb then by itself
 * (`mismatch`); here it is found out without a verb, so that nothing is sold meanwhile either. It is over when the right one is back.
 */
export function storeWatch({ store, nowMs, passGraceMs, onMismatch }: StoreWatchOptions): StoreWatch {
  let mismatch: StoreError | undefined;
  let answeredMs = nowMs();
  const found = (now: StoreError | undefined): void => {
    const changed = (now === undefined) !== (mismatch === undefined);
    mismatch = now;
    if (changed) onMismatch(now);
  };
  return {
    mismatch: () => mismatch,
    requireStanding() {
      if (mismatch !== undefined) throw mismatch;
      const silentMs = nowMs() - answeredMs;
      if (silentMs <= passGraceMs) return;
      throw new StoreError(
        'unavailable',
        `The store has been silent for ${Math.round(silentMs / 1000)} s: passes are not served for so long without it.`,
      );
    },
    answered() {
      answeredMs = nowMs();
    },
    async refresh() {
      try {
        await store.verify();
      } catch (error) {
        if (!(error instanceof StoreError) || error.code !== 'mismatch') throw error;
        found(error);
        return;
      }
      found(undefined);
    },
  };
}
