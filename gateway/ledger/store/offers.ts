import type { Msat } from '../../../node/msat.ts';
import type { Account, Claim } from './accounts.ts';

/* Top-ups that were asked for, and what the books hold of a payment: parts of the store port, ../store.ts. */

/** A top-up that was asked for: written before its invoice is shown, so that its payment is credited whatever happens. */
export interface Offer {
  readonly paymentHash: string;
  readonly accountId: string;
  readonly service: string;
  readonly amountMsat: Msat;
  /** Unix seconds: when its invoice can't be paid any more. */
  readonly invoiceExpiresAtSec: number;
  /** Unix seconds: how long the credit lives. */
  readonly creditExpiresAtSec: number;
}

/** Outcome of {@link Store.offer}. */
export type OfferOutcome = {
  readonly kind: 'offered' | 'repeated' | 'too-many' | 'unknown-account' | 'expired' | 'revoked';
};

/**
 * Outcome of {@link Store.settleOffer}: the amount of the offer is credited under the payment hash (unless a preimage
 * credited it before), what was overpaid under `<hash>:excess`. `repeated`: both were credited before. `no-offer`: not ours
 * to credit. `underpaid`: nothing changed. `too-late`: the credit would be over by now; the offer is closed.
 */
export type SettleOutcome =
  | {
      readonly kind: 'credited' | 'repeated';
      readonly account: Account;
      /** What this call credited: less than was paid when a preimage had credited the offer before; 0 when repeated. */
      readonly creditedMsat: Msat;
    }
  | { readonly kind: 'no-offer' | 'underpaid' | 'too-late' };

/** What the books hold of one payment hash, for reconciliation; `undefined`: nothing of that kind, or it was purged. */
export interface PaymentEntry {
  readonly paymentHash: string;
  readonly claim: Claim | undefined;
  readonly offer: (Offer & { readonly settled: boolean }) | undefined;
  /** Credited under the payment hash. */
  readonly creditedMsat: Msat | undefined;
  /** Credited under `<hash>:excess`. */
  readonly excessMsat: Msat | undefined;
}
