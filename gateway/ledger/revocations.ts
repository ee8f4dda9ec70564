import { CLAIM_GRACE_SEC, type Store } from './store.ts';

/** Revoked accounts, in memory: passes and live streams are asked at every step, and the store can't be. */
export interface RevocationSet {
  has(accountId: string): boolean;
  add(accountId: string, untilSec: number): void;
  /** Reads what the store has revoked since the last time; those who ask meanwhile share one more read. @throws StoreError */
  refresh(): Promise<void>;
  /** As {@link RevocationSet.refresh}, from the first on: a failover may have forgotten the last one, and its number is another's now. */
  reread(): Promise<void>;
  /** Forgets accounts of which nothing can be valid any more. */
  prune(nowSec: number): void;
}

/** An empty set; the caller refreshes it. */
export function revocationSet(store: Pick<Store, 'revocationsAfter'>): RevocationSet {
  const until = new Map<string, number>();
  let sequence = 0;
  let isFromStart = false;
  let running: Promise<void> = Promise.resolve();
  let waiting: Promise<void> | undefined;
  const add = (accountId: string, untilSec: number): void =>
    void until.set(accountId, Math.max(untilSec, until.get(accountId) ?? 0));
  const read = async (): Promise<void> => {
    if (isFromStart) sequence = 0;
    isFromStart = false;
    for (;;) {
      const page = await store.revocationsAfter(sequence);
      const last = page.at(-1);
      if (last === undefined) return;
      for (const { accountId, untilSec } of page) add(accountId, untilSec);
      sequence = last.sequence;
    }
  };
  const readNext = (): Promise<void> => {
    waiting = undefined;
    running = read();
    return running;
  };
  const refresh = (): Promise<void> => {
    // One that is under way may have read too early for who asks now.
    waiting ??= running.then(readNext, readNext);
    return waiting;
  };
  return {
    has: (accountId) => until.has(accountId),
    add,
    refresh,
    reread() {
      isFromStart = true;
      return refresh();
    },
    prune(nowSec) {
      for (const [accountId, untilSec] of until) {
        if (untilSec + CLAIM_GRACE_SEC <= nowSec) until.delete(accountId);
      }
    },
  };
}
