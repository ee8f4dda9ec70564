import type { Msat } from '../../../node/msat.ts';

/* Money that is spent at once, and requests that are paid once however often they are sent: parts of the store port, ../store.ts. */

/** One debit, known by its key for {@link SPEND_KEY_TTL_SEC}. */
export interface Spend {
  readonly accountId: string;
  /** Unique for one attempt of one request, over all accounts. Another amount under a known key is `invalid`. */
  readonly key: string;
  readonly amountMsat: Msat;
}

/** How long the key of a spend, an attempt or a lease is remembered after it ended, seconds. */
export const SPEND_KEY_TTL_SEC = 600;

/** Why an account can't be charged. */
export type Refusal =
  | { readonly kind: 'insufficient'; readonly balanceMsat: Msat }
  | { readonly kind: 'unknown-account' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'revoked' };

/** Outcome of {@link Store.spend}. `repeated`: this key was spent before; nothing changed. `voided`: it was voided before it came. */
export type SpendOutcome =
  | { readonly kind: 'spent' | 'repeated'; readonly balanceMsat: Msat }
  | { readonly kind: 'voided' }
  | Refusal;

/**
 * Outcome of {@link Store.voidSpend}: given back now, given back before, or never seen: then the key is remembered, and
 * the spend is refused should it arrive late.
 */
export type VoidOutcome = { readonly kind: 'voided' | 'repeated' | 'unknown' };

/**
 * Outcome of {@link Store.refundSpend}: given back now, or before by a refund or a void of the same key. `unknown-account`: it was
 * purged since, so that nothing can be given back.
 */
export type RefundOutcome = { readonly kind: 'refunded' | 'repeated' | 'unknown-account' };

/** Names one try of a request that carries an `Idempotency-Key`: what is said of it reaches no other try of that request. */
export interface AttemptName {
  readonly accountId: string;
  /** Hash of account and Idempotency-Key: the same for every try. */
  readonly key: string;
  /** Unique for this try, among the keys of spends too. */
  readonly attemptId: string;
}

/** A request that carries an `Idempotency-Key`, so that its retry is free. */
export interface Attempt extends AttemptName {
  readonly amountMsat: Msat;
  /** Hash of method, full target and body. */
  readonly fingerprint: string;
  /** After this many seconds an attempt still in flight counts as undelivered (its gateway died). */
  readonly inFlightSec: number;
}

/** How many free retries one paid attempt has. */
export const MAX_FREE_RETRIES = 2;

/** Outcome of {@link Store.beginAttempt}. Repeated under its attemptId while in flight, it is what it was, and changes nothing. */
export type AttemptOutcome =
  /** Charged: the first attempt, or the one before was fully delivered, too old, or used up its retries. */
  | { readonly kind: 'spent'; readonly balanceMsat: Msat }
  /** The first response was not fully delivered: this retry costs nothing. */
  | { readonly kind: 'free'; readonly balanceMsat: Msat }
  /** The first attempt is still under way: 409. */
  | { readonly kind: 'in-flight' }
  /** The key was used for another request: 422. */
  | { readonly kind: 'mismatch' }
  /** This try is over already, or was voided before it came. */
  | { readonly kind: 'voided' }
  | Refusal;

/**
 * How an attempt ended. `refunded`: the upstream failed, the money goes back and the key is forgotten; when a free retry failed,
 * there is nothing to give back: that retry does not count, and the attempt is undelivered as before it. Only a try in
 * flight can end, and only under its own attemptId: anything else changes nothing.
 */
export type AttemptEnd = 'delivered' | 'undelivered' | 'refunded';

/** Outcome of {@link Store.endAttempt}. `unknown`: that try is not in flight (any more); nothing changed. */
export type AttemptEndOutcome = { readonly kind: 'ended' | 'unknown' };
