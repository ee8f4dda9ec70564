import type { Msat } from '../node/msat.ts';

/** Why a request was not paid for, or was paid for and not answered. Programs may branch on it: the codes are stable. */
export type PaymentErrorCode =
  /** 402 without an L402 or LSAT challenge that can be read; or no answer that tells the price of a credential. Nothing was paid. */
  | 'no-challenge'
  /** The challenge's invoice is not a BOLT 11 invoice, or its checksum is wrong. Nothing was paid. */
  | 'bad-invoice'
  /** The invoice says something else than the challenge around it: amount, payment hash. Nothing was paid. */
  | 'invoice-mismatch'
  /** Too little time is left to pay the invoice. Nothing was paid. */
  | 'invoice-expired'
  /** The invoice is for another Bitcoin network than the wallet. Nothing was paid. */
  | 'wrong-network'
  /** The price is more than the budget allows. Nothing was paid. */
  | 'over-budget'
  /** The caller's `approve` said no. Nothing was paid. */
  | 'declined'
  /** The request can't be sent a second time, so paying for it would be a gamble. Nothing was paid. */
  | 'not-replayable'
  /** The request has an Authorization header of its own, where the credential would have to stand. Nothing was paid. */
  | 'authorization-conflict'
  /** The token store failed before the payment. Nothing was paid. */
  | 'store-failed'
  /** The wallet could not be asked to pay. Nothing was paid. */
  | 'wallet-failed'
  /** The payment failed for good. Nothing was paid. */
  | 'payment-failed'
  /** Nobody knows yet whether the payment succeeds. It is written down, and the next request goes on from there. */
  | 'payment-unknown'
  /** The payment succeeded and the server still answers 402. The token is kept. */
  | 'paid-but-refused'
  /** The payment succeeded and the answer was lost on the way. The token is kept. */
  | 'paid-but-lost'
  /** The gateway gives no invoice to top the account up. Nothing was paid for asking. */
  | 'top-up-refused'
  /** The stream was cut because its money ran out. What was paid was used; later top-ups are kept. */
  | 'stream-cut'
  /** This request has bought as often as it may. Its tokens are kept. */
  | 'too-many-purchases';

/** Facts about the payment that a {@link PaymentError} is about. */
export interface PaymentErrorDetails {
  readonly cause?: unknown;
  /** 64 lower-case hex digits. */
  readonly paymentHash?: string;
  readonly amountMsat?: Msat;
  /** The key under which the same request may be repeated without paying again. */
  readonly idempotencyKey?: string;
}

/**
 * The error of a paying fetch. The message says what failed and what to do; it never holds a macaroon, a preimage or a
 * key. A token that was paid for stays in the token store, whatever the code.
 */
export class PaymentError extends Error {
  readonly code: PaymentErrorCode;
  readonly paymentHash: string | undefined;
  readonly amountMsat: Msat | undefined;
  readonly idempotencyKey: string | undefined;

  constructor(code: PaymentErrorCode, message: string, details: PaymentErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'PaymentError';
    this.code = code;
    this.paymentHash = details.paymentHash;
    this.amountMsat = details.amountMsat;
    this.idempotencyKey = details.idempotencyKey;
  }
}

/** Codes after which money was or may have been spent. */
const AFTER_PAYING: ReadonlySet<PaymentErrorCode> = new Set([
  'payment-unknown',
  'paid-but-refused',
  'paid-but-lost',
  'too-many-purchases',
]);

/** Whether money was or may have been spent when a {@link PaymentError} has this code. */
export function mayHavePaid(code: PaymentErrorCode): boolean {
  return AFTER_PAYING.has(code);
}
