import { LRUCache } from 'lru-cache';
import type { LightningNode } from '../node/node.ts';
import { type Bus, type BusNews, noBus } from './bus/bus.ts';
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

/**
 * What the flow, the helper endpoints and the settlement feed tell each other about accounts: within this process, and, through the
 * bus, with the other gateways on the same store.
 */
export interface Accounts {
  readonly events: AccountEvents;
  readonly sessions: SessionTable;
  /** Payments of top-ups that a feed, here or at another gateway, has counted as income: their tokens must not count them once more. */
  readonly countedPayments: { has(paymentHash: string): boolean };
  /** Calls the listener with each payment that the node reports or another gateway tells of; returns how to stop. */
  onSettled(listener: (paymentHash: string) => void): () => void;
  /** Calls the listener with each account that was credited, here or elsewhere; returns how to stop. */
  onCredited(listener: (accountId: string) => void): () => void;
  /** A payment was presented for the first time, here: tells those who listen, everywhere. */
  redeemed(payment: { readonly paymentHash: string; readonly accountId: string }): void;
  /** Starts to consume the node's settlements. */
  startFeed(parts: FeedParts): SettlementFeed;
  /** Starts to reconcile, soon and once a day. */
  startReconciler(parts: ReconcilerParts): Reconciler;
  /** Listens to the other gateways no more. */
  close(): void;
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

/** Gateways that start together reconcile this far apart, ms. */
const MAX_APART_MS = 120_000;
/** Payments that are remembered as counted, and as told. */
const MAX_REMEMBERED = 20_000;

/** What {@link assembleAccounts} needs. */
export interface AccountsParts {
  readonly nowMs: () => number;
  /** To the other gateways on the store; absent: there are none. */
  readonly bus?: Bus;
  /** Of all gateways on the store; absent: of this process. */
  readonly sessions?: SessionTable;
}

/** Makes what is shared about accounts; nothing runs until the feed is started. */
export function assembleAccounts(parts: AccountsParts): Accounts {
  const { nowMs, bus = noBus(), sessions } = parts;
  const events = createAccountEvents();
  const counted = new LRUCache<string, true>({ max: MAX_REMEMBERED });
  /** Payments that all have been told of: each gateway has a feed of its own, and one of them is enough. */
  const announced = new LRUCache<string, true>({ max: MAX_REMEMBERED });
  const listeners = new Set<(paymentHash: string) => void>();
  const creditListeners = new Set<(accountId: string) => void>();
  const settled = (paymentHash: string): void => {
    for (const listener of listeners) listener(paymentHash);
  };
  const credited = (accountId: string): void => {
    for (const listener of creditListeners) listener(accountId);
  };
  const hear = (news: BusNews): void => {
    switch (news.kind) {
      case 'settled':
        announced.set(news.paymentHash, true);
        settled(news.paymentHash);
        return;
      case 'credited':
        counted.set(news.paymentHash, true);
        settled(news.paymentHash);
        credited(news.accountId);
        events.touch(news.accountId);
        return;
      case 'revoked':
      case 'missed':
        // The ledger's matter; held streams and those who follow an account or an invoice ask every second or two in any case.
        return;
    }
  };
  // Whoever credits a payment here tells the same. What is only repeated was told by the gateway that credited it.
  const told: Pick<ApplyDeps, 'onSettled' | 'onOfferSettled' | 'onCredited'> = {
    onSettled(paymentHash) {
      settled(paymentHash);
      if (announced.has(paymentHash)) return;
      announced.set(paymentHash, true);
      bus.publish({ kind: 'settled', paymentHash });
    },
    onOfferSettled: ({ paymentHash, accountId, outcome }) => {
      counted.set(paymentHash, true);
      if (outcome === 'credited') bus.publish({ kind: 'credited', accountId, paymentHash });
    },
    onCredited: ({ accountId, balanceMsat }) => {
      credited(accountId);
      events.publish(accountId, { kind: 'balance', balanceMsat });
    },
  };
  return {
    events,
    sessions: sessions ?? createSessionTable({ nowSec: () => Math.floor(nowMs() / 1000) }),
    countedPayments: counted,
    onSettled(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    onCredited(listener) {
      creditListeners.add(listener);
      return () => void creditListeners.delete(listener);
    },
    redeemed({ paymentHash, accountId }) {
      settled(paymentHash);
      credited(accountId);
      events.touch(accountId);
      bus.publish({ kind: 'credited', accountId, paymentHash });
    },
    close: bus.subscribe(hear),
    startFeed: (parts) => createSettlementFeed({ ...parts, ...told }),
    startReconciler: ({ catalog, ...given }) =>
      createReconciler({
        ...given,
        ...told,
        ...(parts.bus === undefined ? {} : { firstRunAfterMs: Math.random() * MAX_APART_MS }),
        tag: invoiceTag(given.ledger.generation),
        soldForSec: (service) => soldForSec(catalog().config.services, service),
        invoiceExpirySec: () => catalog().config.challenge.invoiceExpirySec,
      }),
  };
}
