import type { PayingFetchOptions } from './open-shop.ts';
import { createPayingClient } from './paying-client.ts';

export type { PayingFetchOptions } from './open-shop.ts';

/**
 * A `fetch` that pays. On 402 it checks the challenge, the invoice and the budget, pays, keeps the token, and sends the
 * request again. It pays for nothing that it could not check, never twice for one invoice, and loses no token: the
 * purchase is in the store before it is paid, and the token before it is used.
 *
 * The returned function rejects with {@link PaymentError} when payment is the reason, else with what `fetch` rejects with.
 * @example
 * const payingFetch = createPayingFetch({
 *   wallet: createLndWallet({ url: 'https://127.0.0.1:8080', macaroon }),
 *   budget: createBudget({ perRequestMsat: sats(100) }),
 *   store: createMemoryTokenStore(),
 * });
 * const answer = await payingFetch('http://127.0.0.1:8402/quote');
 */
export function createPayingFetch(options: PayingFetchOptions): typeof globalThis.fetch {
  return createPayingClient(options).fetch;
}
