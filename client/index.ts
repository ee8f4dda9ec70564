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
export type { TopUpTotals } from './auto-top-up.ts';
export {
  type Budget,
  type BudgetLimits,
  type BudgetRequest,
  createBudget,
  type Reservation,
} from './budget.ts';
export type { Credential } from './buy-credential.ts';
export { type Challenge, chooseChallenge, parseChallenges } from './challenge.ts';
export type { Clock } from './clock.ts';
export { connectWithCookie } from './connect-with-cookie.ts';
export { mayHavePaid, PaymentError, type PaymentErrorCode, type PaymentErrorDetails } from './errors.ts';
export type { PaymentEvent, PaymentListener, Quote, StreamNotice } from './events.ts';
export type { Balance } from './follow-account.ts';
export { type DecodedInvoice, decodeInvoice, InvoiceFormatError } from './invoice.ts';
export type { StreamEnd } from './paid-body.ts';
export {
  type Handshake,
  type HandshakeRequest,
  type PaidSocket,
  type PaidSocketOptions,
  type SocketConnector,
  type SocketLike,
  SocketRefusedError,
  type SocketSummary,
} from './paid-socket.ts';
export type { PaidStreamOptions, StreamSummary } from './paid-visit.ts';
export { createPayingClient, type PayingClient } from './paying-client.ts';
export { createPayingFetch, type PayingFetchOptions } from './paying-fetch.ts';
export { type SseBlock, type SseEvent, SseReader } from './sse.ts';
export { createStorageTokenStore, type StorageTokenStoreOptions } from './storage-token-store.ts';
export type { PaidStream } from './stream.ts';
export { createMemoryTokenStore, type TokenRecord, type TokenStore } from './token-store.ts';
export type { TopUpRule } from './top-up-rule.ts';
export type { FullWallet, PaymentContext, Wallet, WalletPayOptions } from './wallet.ts';
export { createLndWallet, type LndWalletOptions, type WalletFetch } from './wallets/lnd.ts';
export { createQrWallet, type QrWalletOptions } from './wallets/qr.ts';
