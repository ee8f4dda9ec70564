import { type Msat, ZERO_MSAT } from '../node/msat.ts';
import type { Buyer, PaidToken } from './buyer.ts';
import type { Clock } from './clock.ts';
import type { PaymentEvent } from './events.ts';
import type { ReplayableRequest } from './replayable-request.ts';
import type { TokenStore } from './token-store.ts';

/** So many addresses are known by their service. */
export const MAX_PLACES = 1_000;

/** What all requests of one paying fetch share. */
export interface Shop {
  readonly fetch: typeof globalThis.fetch;
  readonly store: TokenStore;
  readonly clock: Clock;
  readonly buyer: Buyer;
  readonly maxPurchases: number;
  readonly emit: (event: PaymentEvent) => void;
  /** Purchases under way that others wait for, by service. */
  readonly flights: Map<string, Flight>;
  /** Requests that ask again after they were told to come back later, one at a time, by origin. */
  readonly turns: Map<string, Promise<TurnEnd>>;
  /** Top-ups under way, by account: parallel streams of one account wait for one. */
  readonly topUps: Map<string, Promise<void>>;
  /** How often each token is in hand just now. */
  readonly holds: Map<string, Hold>;
  /** How many requests were given a token that was bought here. */
  readonly users: Map<string, number>;
  /** Tokens to which the server has answered something else than 402. */
  readonly accepted: Set<string>;
  /** The service that an address was last offered for, by origin and path: the latest {@link MAX_PLACES} of them. */
  readonly services: Map<string, string>;
  /** From 0 to below 1. */
  readonly random: () => number;
}

/** A purchase under way. */
export interface Flight {
  readonly purchase: Promise<PaidToken>;
  /** Where its token will be good, as the store will say. */
  readonly offer: { readonly origin: string; readonly scope: string };
}

/** The requests that have a token in hand, and those that it paid for meanwhile. */
export interface Hold {
  holders: number;
  charged: number;
}

/**
 * How a turn ended: something else than "too often" was answered, or it was given up; or the server goes on refusing, which it would do to
 * the others too.
 */
export type TurnEnd = 'passed' | 'refused';

/** The right of one request to ask again, while the others of its origin wait. */
export interface Turn {
  tries: number;
  end(how: TurnEnd): void;
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
  /** What was bought since then may be worth a try, whatever was refused before. */
  readonly beganAtMs: number;
  /** Payment hash of the token in hand. */
  held: string | undefined;
  /** The token in hand has paid for the answer. */
  isCharged: boolean;
  /** The caller has its answer, or has left. */
  isOver: boolean;
  /** The right to ask again after too many requests. */
  turn: Turn | undefined;
  /** When it is told to come back no more, ms; set when it was told first. */
  givesUpAtMs: number | undefined;
  paidMsat: Msat;
  feeMsat: Msat;
}

/** A request that has tried nothing yet. */
export function beginVisit(request: ReplayableRequest, clock: Clock): Visit {
  return {
    request,
    idempotencyKey: request.headers.get('idempotency-key') ?? crypto.randomUUID(),
    tried: new Set(),
    bought: new Set(),
    lacking: new Set(),
    storedTries: 0,
    beganAtMs: clock.nowMs(),
    held: undefined,
    isCharged: false,
    isOver: false,
    turn: undefined,
    givesUpAtMs: undefined,
    paidMsat: ZERO_MSAT,
    feeMsat: ZERO_MSAT,
  };
}
