/**
 * The client: a `fetch` that pays. This entry imports nothing from Node and runs in a browser; `./node.ts` adds what
 * needs files.
 * @example
 * import { createBudget, createLndWallet, createMemoryTokenStore, createPayingFetch, sats } from 'sluice/client';
 *
 * const payingFetch = createPayingFetch({
 *   wallet: createLndWallet({ url: 'http://127.0.0.1:8404', macaroon: '0201…' }),
 *   budget: createBudget({ perRequestMsat: sats(100), totalMsat: sats(5_000) }),
 *   store: createMemoryTokenStore(),
 *   onEvent: (event) => console.error(event.type),
 * });
 * const answer = await payingFetch('http://127.0.0.1:8402/quote');
 * console.log(await answer.text());
 * @module
 */
export { formatMsat, type Msat, msat, sats } from '../node/msat.ts';
export type { Network, PaymentRecord, PaymentState } from '../node/node.ts';
export { NodeError, type NodeErrorCode } from '../node/node.ts';
export {
  type Budget,
  type BudgetLimits,
  type BudgetRequest,
  createBudget,
  type Reservation,
} from './budget.ts';
export { type Challenge, chooseChallenge, parseChallenges } from './challenge.ts';
export type { Clock } from './clock.ts';
export { mayHavePaid, PaymentError, type PaymentErrorCode, type PaymentErrorDetails } from './errors.ts';
export type { PaymentEvent, PaymentListener, Quote } from './events.ts';
export { type DecodedInvoice, decodeInvoice, InvoiceFormatError } from './invoice.ts';
export { createPayingFetch, type PayingFetchOptions } from './paying-fetch.ts';
export { createMemoryTokenStore, type TokenRecord, type TokenStore } from './token-store.ts';
export type { FullWallet, PaymentContext, Wallet, WalletPayOptions } from './wallet.ts';
export { createLndWallet, type LndWalletOptions, type WalletFetch } from './wallets/lnd.ts';
export { createQrWallet, type QrWalletOptions } from './wallets/qr.ts';
