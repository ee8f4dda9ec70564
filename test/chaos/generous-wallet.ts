import type { Wallet } from '../../client/wallet.ts';
import { decodeInvoice } from '../../node/bolt11.ts';

/** What a generous wallet is made of. */
export interface GenerousWalletOptions {
  /** Of the simulated node, with the macaroon of the wallet that pays. */
  readonly url: string;
  readonly macaroon: string;
  /** The same wallet, which is asked what became of a payment. */
  readonly wallet: Wallet;
  /** How much more than this amount it pays, msat. */
  readonly extraMsat: (askedMsat: number) => number;
}

/** A wallet that pays more than it is asked for: as with LND, by naming an invoice's parts in place of the invoice. */
export function createGenerousWallet({ url, macaroon, wallet, extraMsat }: GenerousWalletOptions): Wallet {
  return {
    ...wallet,
    async payInvoice(bolt11, { context, maxFeeMsat, timeoutMs }) {
      const { payee, paymentHash, paymentSecret, amountMsat = 0 } = decodeInvoice(bolt11);
      const response = await fetch(`${url}/v2/router/send`, {
        method: 'POST',
        headers: { 'grpc-metadata-macaroon': macaroon, 'content-type': 'application/json' },
        body: JSON.stringify({
          dest: base64(payee),
          payment_hash: base64(paymentHash),
          payment_addr: base64(paymentSecret),
          amt_msat: String(amountMsat + extraMsat(amountMsat)),
          fee_limit_msat: String(maxFeeMsat),
          timeout_seconds: Math.ceil(timeoutMs / 1000),
          no_inflight_updates: true,
        }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      await response.text();
      // Also when it was paid before, which is an error there.
      const state = await wallet.lookupPayment(paymentHash, context);
      return state ?? { kind: 'failed', reason: 'the node took no such payment' };
    },
  };
}

function base64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}
