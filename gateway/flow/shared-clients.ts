import type { ThrottleLimits } from './throttle.ts';

/** Bounds on one client, at all gateways together. */
export interface ClientLimits extends ThrottleLimits {
  readonly maxOutstandingPerClient: number;
  /** How long an invoice that is not paid takes a place, seconds. */
  readonly invoiceExpirySec: number;
}

/** What the gateways together say to one more invoice for a client. */
export type SharedAdmission =
  | { readonly kind: 'admitted'; readonly place: SharedPlace }
  | { readonly kind: 'wait'; readonly retryAfterSec: number }
  | { readonly kind: 'full' }
  /** The store did not answer in time: each gateway judges by what it has counted itself. */
  | { readonly kind: 'away' };

/** A place among the unpaid invoices of a client. */
export interface SharedPlace {
  /** Does not wait and does not throw: one that could not be given back is free when its invoice has ended. */
  giveBack(): void;
}

/** Counts clients for all gateways on one store. */
export interface SharedClients {
  /** Does not throw, and answers soon: a challenge waits for it. */
  admit(clientKey: string, limits: ClientLimits): Promise<SharedAdmission>;
}
