import type { Msat } from '../node/msat.ts';

/** What an invoice asks, as it is told to `approve` and `onEvent`. */
export interface Quote {
  readonly url: string;
  /** Name of the service; empty when the challenge does not say. */
  readonly service: string;
  readonly amountMsat: Msat;
  /** The text that the invoice carries. */
  readonly memo: string;
  /** 64 lower-case hex digits. */
  readonly paymentHash: string;
  /** BOLT 11. */
  readonly invoice: string;
  /** Unix seconds. */
  readonly expiresAtSec: number;
}

/** What a paying fetch tells while it works. No event holds a macaroon or a preimage. */
export type PaymentEvent =
  /** A 402 came, its invoice was checked, and it fits the budget. */
  | ({ readonly type: 'quote' } & Quote)
  | {
      readonly type: 'paying';
      readonly paymentHash: string;
      readonly amountMsat: Msat;
      readonly maxFeeMsat: Msat;
    }
  /** The wallet gave no final answer yet; it is being asked what became of the payment. */
  | { readonly type: 'waiting'; readonly paymentHash: string }
  | {
      readonly type: 'paid';
      readonly paymentHash: string;
      readonly amountMsat: Msat;
      readonly feeMsat: Msat;
      /** An earlier request made this payment and did not live to see it. */
      readonly recovered: boolean;
    }
  /** A token that was bought before is tried. */
  | { readonly type: 'reusing'; readonly paymentHash: string; readonly service: string }
  /** The answer was lost on the way; the same request is sent again and costs nothing. */
  | { readonly type: 'repeating'; readonly idempotencyKey: string }
  /** The store could not write down what happened. Tokens of this process are kept in memory. */
  | { readonly type: 'store-failed'; readonly message: string }
  | {
      readonly type: 'answered';
      readonly url: string;
      readonly status: number;
      /** What this request paid, msat. */
      readonly paidMsat: Msat;
      readonly feeMsat: Msat;
      /** What the server says is left on the account, msat. */
      readonly balanceMsat?: Msat;
      /** Under this key the same request may be repeated free when its answer is lost. */
      readonly idempotencyKey?: string;
    };

/** Receives events. What it throws is ignored: a listener must not lose a payment. */
export type PaymentListener = (event: PaymentEvent) => void;
