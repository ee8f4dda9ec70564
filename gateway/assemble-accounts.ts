import { LRUCache } from 'lru-cache';
import type { LightningNode } from '../node/node.ts';
import type { Catalog } from './catalog.ts';
import { type AccountEvents, createAccountEvents } from './endpoints/account-events.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { Log } from './observe/log.ts';
import type { Metrics } from './observe/metrics.ts';
import { createSessionTable, type SessionTable } from './session/table.ts';
import type { ApplyDeps } from './settlements/apply-settlement.ts';
import { createSettlementFeed, type SettlementFeed } from './settlements/feed.ts';
import { invoiceTag } from './settlements/invoice-tag.ts';
import { createReconciler, type Reconciler } from './settlements/reconciler.ts';
import { soldForSec } from './sold-for.ts';

/** What the flow, the helper endpoints and the settlement feed tell each other about accounts, within this process. */
export interface Accounts {
  readonly events: AccountEvents;
  readonly sessions: SessionTable;
  /** Payments of top-ups that the feed has counted as income: their tokens must not count them once more. */
  readonly countedPayments: { has(paymentHash: string): boolean };
  /** Calls the listener with each payment that the node reports; returns how to stop. */
  onSettled(listener: (paymentHash: string) => void): () => void;
  /** Calls the listener with each account that was credited here; returns how to stop. */
  onCredited(listener: (accountId: string) => void): () => void;
  /** An account was credited: tells those who listen. */
  credited(accountId: string): void;
  /** Starts to consume the node's settlements. */
  startFeed(parts: FeedParts): SettlementFeed;
  /** Starts to reconcile, soon and once a day. */
  startReconciler(parts: ReconcilerParts): Reconciler;
}

/** What the feed needs of the gateway. */
export interface FeedParts {
  readonly node: LightningNode;
  readonly ledger: Ledger;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
}

/** What reconciling needs of the gateway. */
export interface ReconcilerParts extends FeedParts {
  readonly catalog: () => Catalog;
}

/** Payments that are remembered as counted. */
const MAX_COUNTED = 20_000;

/** Makes what is shared about accounts; nothing runs until the feed is started. */
export function assembleAccounts({ nowMs }: { readonly nowMs: () => number }): Accounts {
  const events = createAccountEvents();
  const counted = new LRUCache<string, true>({ max: MAX_COUNTED });
  const listeners = new Set<(paymentHash: string) => void>();
  const creditListeners = new Set<(accountId: string) => void>();
  const credited = (accountId: string): void => {
    for (const listener of creditListeners) listener(accountId);
  };
  // Whoever credits a payment here tells the same.
  const told: Pick<ApplyDeps, 'onSettled' | 'onOfferSettled' | 'onCredited'> = {
    onSettled: (paymentHash) => {
      for (const listener of listeners) listener(paymentHash);
    },
    onOfferSettled: (paymentHash) => void counted.set(paymentHash, true),
    onCredited: ({ accountId, balanceMsat }) => {
      credited(accountId);
      events.publish(accountId, { kind: 'balance', balanceMsat });
    },
  };
  return {
    events,
    sessions: createSessionTable({ nowSec: () => Math.floor(nowMs() / 1000) }),
    countedPayments: counted,
    onSettled(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    onCredited(listener) {
      creditListeners.add(listener);
      return () => void creditListeners.delete(listener);
    },
    credited,
    startFeed: (parts) => createSettlementFeed({ ...parts, ...told }),
    startReconciler: ({ catalog, ...parts }) =>
      createReconciler({
        ...parts,
        ...told,
        tag: invoiceTag(parts.ledger.generation),
        soldForSec: (service) => soldForSec(catalog().config.services, service),
        invoiceExpirySec: () => catalog().config.challenge.invoiceExpirySec,
      }),
  };
}
