import { CLAIM_GRACE_SEC, type Store } from './store.ts';

/** Revoked accounts, in memory: passes and live streams are asked at every step, and the store can't be. */
export interface RevocationSet {
  has(accountId: string): boolean;
  add(accountId: string, untilSec: number): void;
  /** Reads what the store has revoked since the last time. @throws StoreError */
  refresh(): Promise<void>;
  /** Forgets accounts of which nothing can be valid any more. */
  prune(nowSec: number): void;
}

/** An empty set; the caller refreshes it. */
export function revocationSet(store: Pick<Store, 'revocationsAfter'>): RevocationSet {
  const until = new Map<string, number>();
  let sequence = 0;
  return {
    has: (accountId) => until.has(accountId),
    add: (accountId, untilSec) => void until.set(accountId, Math.max(untilSec, until.get(accountId) ?? 0)),
    async refresh() {
      for (;;) {
        const page = await store.revocationsAfter(sequence);
        const last = page.at(-1);
        if (last === undefined) return;
        for (const { accountId, untilSec } of page) this.add(accountId, untilSec);
        sequence = last.sequence;
      }
    },
    prune(nowSec) {
      for (const [accountId, untilSec] of until) {
        if (untilSec + CLAIM_GRACE_SEC <= nowSec) until.delete(accountId);
      }
    },
  };
}
