import { setTimeout as wait } from 'node:timers/promises';
import { decodeInvoice } from '../../client/invoice.ts';
import type { Wallet } from '../../client/wallet.ts';
import { msat } from '../../node/msat.ts';
import type { PaymentState } from '../../node/node.ts';
import { type Books, type Intention, type Paid, termsOfMacaroon } from './books.ts';

/** A wallet that writes down what its client pays for, before it pays. */
export interface CountingWallet extends Wallet {
  /** Pays, and asks until the outcome is known or the time is over. @returns the preimage; undefined: not paid, or not known yet */
  payForSure(bolt11: string, macaroon: string, intention: Intention): Promise<string | undefined>;
}

const TRIES = 30;
const PAUSE_MS = 400;
const PAY = { maxFeeMsat: msat(0), timeoutMs: 5_000 };

/** Puts the books between a client and a wallet that all clients share. */
export function createCountingWallet(inner: Wallet, books: Books, client: number): CountingWallet {
  const note = (paymentHash: string, macaroon: string, intention: Intention): void => {
    if (books.bought.has(paymentHash)) return;
    const { accountId, service, creditMsat } = termsOfMacaroon(macaroon);
    books.bought.set(paymentHash, {
      client,
      paymentHash,
      macaroon,
      accountId,
      service,
      creditMsat,
      payment: { kind: 'unknown' },
      intention,
    });
  };
  const wallet: Wallet = {
    async payInvoice(bolt11, options) {
      const { paymentHash } = decodeInvoice(bolt11);
      note(paymentHash, options.context.macaroon, 'use');
      return hear(books, paymentHash, await inner.payInvoice(bolt11, options));
    },
    async lookupPayment(paymentHash, context) {
      const state = await inner.lookupPayment(paymentHash, context);
      return state === undefined ? undefined : hear(books, paymentHash, state);
    },
  };
  return {
    ...wallet,
    async payForSure(bolt11, macaroon, intention) {
      note(decodeInvoice(bolt11).paymentHash, macaroon, intention);
      for (let tries = 0; tries < TRIES; tries += 1) {
        const options = { ...PAY, context: { origin: 'http://shop.invalid', macaroon } };
        const state = await wallet.payInvoice(bolt11, options).catch(() => undefined);
        if (state?.kind === 'succeeded') return state.preimage;
        if (state?.kind === 'failed') return undefined;
        await wait(PAUSE_MS);
      }
      return undefined;
    },
  };
}

/** Writes down what a wallet said. A payment that succeeded stays so. */
export function hear(books: Books, paymentHash: string, state: PaymentState): PaymentState {
  const bought = books.bought.get(paymentHash);
  if (bought === undefined || bought.payment.kind === 'paid') return state;
  if (state.kind === 'succeeded') {
    const paid: Paid = { kind: 'paid', amountMsat: state.amountMsat, preimage: state.preimage };
    bought.payment = paid;
  } else if (state.kind === 'failed') {
    bought.payment = { kind: 'failed' };
  }
  return state;
}
