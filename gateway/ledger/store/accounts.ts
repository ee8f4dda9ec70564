import type { Msat } from '../../../node/msat.ts';

/* Accounts, what was paid for them, and what a payment buys: parts of the store port, ../store.ts. */

/** An account as it stands. All amounts msat. */
export interface Account {
  readonly accountId: string;
  readonly service: string;
  readonly creditedMsat: Msat;
  readonly spentMsat: Msat;
  readonly reservedMsat: Msat;
  readonly expiredMsat: Msat;
  readonly balanceMsat: Msat;
  /** Unix seconds: the end of its latest credit. */
  readonly expiresAtSec: number;
  readonly revoked: boolean;
}

/** The terms that a paid credential was minted with: what a payment hash buys, and for whom. */
export interface Claim {
  readonly paymentHash: string;
  readonly accountId: string;
  readonly service: string;
  /** What the payment credits; 0 for a pass. */
  readonly creditMsat: Msat;
  /** Unix seconds. The expiry as minted, never one that a holder narrowed. */
  readonly expiresAtSec: number;
}

/** Outcome of {@link Store.claim} and {@link Store.redeem}. Judged in this order: too-late, revoked, repeated or taken, claimed. */
export type ClaimOutcome =
  /** This call was the first to present the payment. */
  | { readonly kind: 'claimed' }
  /** The same claim was made before: nothing changed. */
  | { readonly kind: 'repeated' }
  /** The payment hash was claimed for another account or other terms. First writer wins, for ever. */
  | { readonly kind: 'taken' }
  /** Expired, or at or before the purge watermark: its claim may have been purged, so it can buy nothing. */
  | { readonly kind: 'too-late' }
  | { readonly kind: 'revoked' };

/** How long a claim outlives the expiry that it was minted with, seconds. */
export const CLAIM_GRACE_SEC = 24 * 3600;

/**
 * One credit to an account, of 1 msat or more. `creditKey` is the payment hash, or `<hash>:excess` for what was overpaid.
 * Every credit and claim on one payment hash must name the same expiry: the key is forgotten CLAIM_GRACE_SEC after it.
 */
export interface Credit {
  readonly creditKey: string;
  readonly accountId: string;
  readonly service: string;
  readonly amountMsat: Msat;
  /** Unix seconds: the account lives at least as long. */
  readonly expiresAtSec: number;
}

/**
 * Outcome of {@link Store.credit}. `too-late`: it ends now or before, or at or before the purge watermark; nothing changed.
 * A revoked account is credited all the same (the money did come), but can't spend it.
 */
export type CreditOutcome =
  | { readonly kind: 'credited' | 'repeated'; readonly account: Account }
  | { readonly kind: 'too-late' };
