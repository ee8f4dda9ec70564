import type { Msat } from '../node/msat.ts';
import type { PaymentErrorCode } from './errors.ts';

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

/**
 * Where the money of a live stream stands: running low, used up (the stream is held for a while), there again, or the
 * stream was ended for want of it or because the account was revoked.
 */
export type StreamNotice = 'low' | 'exhausted' | 'resumed' | 'cut' | 'revoked';

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
  /** The gateway was asked too often from this address; the request, and those behind it, wait so long before it is sent again. */
  | { readonly type: 'throttled'; readonly url: string; readonly pauseMs: number }
  /** The answer was lost on the way; the same request is sent again and costs nothing. */
  | { readonly type: 'repeating'; readonly idempotencyKey: string }
  /** The store could not write down what happened. Tokens of this process are kept in memory. */
  | { readonly type: 'store-failed'; readonly message: string }
  /** An account is about to be topped up: its invoice comes next, as a `quote`. */
  | { readonly type: 'topping-up'; readonly amountMsat: Msat; readonly balanceMsat: Msat }
  /** A top-up was paid and the gateway has credited it. */
  | { readonly type: 'topped-up'; readonly amountMsat: Msat; readonly balanceMsat: Msat }
  /** A top-up failed; it is tried again by itself while `again` is true. */
  | {
      readonly type: 'top-up-failed';
      readonly code: PaymentErrorCode;
      readonly message: string;
      readonly again: boolean;
    }
  /** What a gateway says inside a stream or in the account's feed. */
  | { readonly type: 'notice'; readonly notice: StreamNotice }
  /** A stream was cut while its top-up was being credited; it is opened anew and goes on. */
  | { readonly type: 'reopening'; readonly url: string }
  | {
      readonly type: 'answered';
      readonly url: string;
      readonly status: number;
      /** What this request paid, msat. */
      readonly paidMsat: Msat;
      readonly feeMsat: Msat;
      /** It is charged as it is delivered: what it costs is not known at its beginning. */
      readonly isMetered: boolean;
      /** What the server says is left on the account, msat. Absent for a pass, and when `isMetered`. */
      readonly balanceMsat?: Msat;
      /** Under this key the same request may be repeated free when its answer is lost. */
      readonly idempotencyKey?: string;
    };

/** Receives events. What it throws is ignored: a listener must not lose a payment. */
export type PaymentListener = (event: PaymentEvent) => void;
