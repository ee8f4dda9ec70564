import type { Msat } from '../node/msat.ts';
import type { Buyer, PaidToken } from './buyer.ts';
import type { Clock } from './clock.ts';
import type { PaymentEvent } from './events.ts';
import type { ReplayableRequest } from './replayable-request.ts';
import type { TokenStore } from './token-store.ts';

/** What all requests of one paying fetch share. */
export interface Shop {
  readonly fetch: typeof globalThis.fetch;
  readonly store: TokenStore;
  readonly clock: Clock;
  readonly buyer: Buyer;
  readonly maxPurchases: number;
  readonly emit: (event: PaymentEvent) => void;
  /** Purchases under way that others wait for, by service. */
  readonly flights: Map<string, Promise<PaidToken>>;
  /** Top-ups under way, by account: parallel streams of one account wait for one. */
  readonly topUps: Map<string, Promise<void>>;
  /** How many requests were given a token that was bought here. */
  readonly users: Map<string, number>;
  /** Tokens to which the server has answered something else than 402. */
  readonly accepted: Set<string>;
}

/** One request on its way, with everything it has tried. */
export interface Visit {
  request: ReplayableRequest;
  readonly idempotencyKey: string;
  readonly tried: Set<string>;
  readonly bought: Set<string>;
  /** Accounts that hold, and hold too little: another token of the same one would change nothing. */
  readonly lacking: Set<string>;
  storedTries: number;
  paidMsat: Msat;
  feeMsat: Msat;
}
