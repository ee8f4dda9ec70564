import type { Msat } from '../node/msat.ts';
import type { Network } from '../node/node.ts';
import type { Budget } from './budget.ts';
import { createBuyer, defaultMaxFeeMsat } from './buyer.ts';
import { type Clock, systemClock } from './clock.ts';
import type { PaymentEvent, PaymentListener, Quote } from './events.ts';
import type { TokenStore } from './token-store.ts';
import type { Shop } from './visit.ts';
import type { Wallet } from './wallet.ts';

/** What a paying fetch works with. */
export interface PayingFetchOptions {
  readonly wallet: Wallet;
  readonly budget: Budget;
  readonly store: TokenStore;
  /** Sends the requests. Default: the global `fetch`. It must drop `Authorization` on a redirect to another origin, as the standard says. */
  readonly fetch?: typeof globalThis.fetch;
  readonly onEvent?: PaymentListener;
  /** Asked before each payment; `false` pays nothing and fails with `declined`. */
  readonly approve?: (quote: Quote) => boolean | Promise<boolean>;
  /** Invoices for another network are refused. Default: what the wallet says, if it says anything. */
  readonly network?: Network;
  /** The most that routing may cost for an amount. Default: 3 %, at least 5 sat. */
  readonly maxFeeMsat?: (amountMsat: Msat) => Msat;
  /** How long the wallet may take for one payment, ms. Default 60,000. */
  readonly payTimeoutMs?: number;
  /** How long to ask what became of a payment that is not final, ms. Default 30,000. */
  readonly settleTimeoutMs?: number;
  /** How often one request may buy. Default 2: a bundle can be used up by others between its purchase and its use. */
  readonly maxPurchases?: number;
  /** The longest body that is kept in memory so that it can be sent again, bytes. Default 16 MiB. */
  readonly maxReplayBytes?: number;
  readonly clock?: Clock;
}

/** Puts together what all requests of one client share. */
export function openShop(options: PayingFetchOptions): Shop {
  const clock = options.clock ?? systemClock;
  const emit = (event: PaymentEvent): void => {
    try {
      options.onEvent?.(event);
    } catch {
      // A listener must not lose a payment.
    }
  };
  const buyer = createBuyer({
    wallet: options.wallet,
    budget: options.budget,
    store: options.store,
    clock,
    network: options.network,
    approve: options.approve,
    maxFeeMsat: options.maxFeeMsat ?? defaultMaxFeeMsat,
    payTimeoutMs: options.payTimeoutMs ?? 60_000,
    settleTimeoutMs: options.settleTimeoutMs ?? 30_000,
    emit,
  });
  return {
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    store: options.store,
    clock,
    buyer,
    maxPurchases: options.maxPurchases ?? 2,
    emit,
    flights: new Map(),
    turns: new Map(),
    topUps: new Map(),
    holds: new Map(),
    users: new Map(),
    accepted: new Set(),
    services: new Map(),
    random: Math.random,
  };
}
