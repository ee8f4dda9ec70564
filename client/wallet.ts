import type { Network, Payer, PaymentState, PayOptions } from '../node/node.ts';

/** Where an invoice came from: what a wallet needs that waits for somebody else to pay. */
export interface PaymentContext {
  /** Scheme, host and port of the server that asked. */
  readonly origin: string;
  /** The macaroon of the challenge, base64. */
  readonly macaroon: string;
}

/** Limits on one payment, and its context. */
export interface WalletPayOptions extends PayOptions {
  readonly context: PaymentContext;
}

/**
 * What a paying fetch needs of a wallet. Every `Payer` is one. Both methods reject when the wallet can't be asked; then
 * nothing is known about the payment.
 */
export interface Wallet {
  /** Pays and waits for the outcome; `in-flight` when the time ran out before there was one. */
  payInvoice(bolt11: string, options: WalletPayOptions): Promise<PaymentState>;
  /** `undefined` when this wallet never tried to pay that hash. */
  lookupPayment(paymentHash: string, context: PaymentContext): Promise<PaymentState | undefined>;
  /** The network it pays on. Absent: it pays whatever it is shown. */
  network?(): Promise<Network>;
}

/** A wallet that the `sluice wallet` command can also ask for its balance and history. */
export type FullWallet = Wallet & Payer;
