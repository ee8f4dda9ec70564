import type { Msat } from '../node/msat.ts';
import { buyCredential, type Credential } from './buy-credential.ts';
import { openShop, type PayingFetchOptions } from './open-shop.ts';
import { openPaidSocket, type PaidSocket, type PaidSocketOptions, type SocketLike } from './paid-socket.ts';
import type { PaidStreamOptions } from './paid-visit.ts';
import { payAndSend } from './pay-and-send.ts';
import {
  type FetchInput,
  MAX_REPLAY_BYTES,
  type ReplayableRequest,
  toReplayableRequest,
} from './replayable-request.ts';
import { openPaidStream, type PaidStream } from './stream.ts';

/** Everything that can be paid for, over one wallet, budget and store. */
export interface PayingClient {
  /** As `createPayingFetch` makes it. */
  readonly fetch: typeof globalThis.fetch;
  /**
   * Opens a stream that is charged as it is delivered, and tops it up by itself within the budget. Read its body or close it: it is
   * paid for until then.
   * @throws {@link PaymentError}, or what `fetch` rejects with
   */
  stream(input: FetchInput, options?: RequestInit & PaidStreamOptions): Promise<PaidStream>;
  /**
   * Opens a WebSocket that is charged as it is used, and tops it up likewise.
   * @throws {@link PaymentError}, or what the connector rejects with
   */
  socket<S extends SocketLike>(url: string | URL, options: PaidSocketOptions<S>): Promise<PaidSocket<S>>;
  /**
   * Buys a credential for use elsewhere, worth `amountMsat`.
   * @returns `undefined` when the request costs nothing
   * @throws {@link PaymentError}
   */
  buyCredential(
    input: FetchInput,
    options: RequestInit & { readonly amountMsat: Msat },
  ): Promise<Credential | undefined>;
}

/**
 * Makes a {@link PayingClient}.
 * @example
 * const client = createPayingClient({ wallet, budget: createBudget({ perRequestMsat: sats(500) }), store });
 * const stream = await client.stream('http://127.0.0.1:8402/live', {
 *   autoTopUp: { belowMs: 15_000, amountMsat: sats(20) },
 *   onBalance: ({ balanceMsat }) => console.error(balanceMsat),
 * });
 * for await (const chunk of stream.response.body) process.stdout.write(chunk);
 * console.error(await stream.done);
 */
export function createPayingClient(options: PayingFetchOptions): PayingClient {
  const shop = openShop(options);
  const toRequest = (input: FetchInput, init: RequestInit): Promise<ReplayableRequest> =>
    toReplayableRequest(input, init, options.maxReplayBytes ?? MAX_REPLAY_BYTES);
  return {
    fetch: async (input: FetchInput, init: RequestInit = {}) =>
      (await payAndSend(shop, await toRequest(input, init))).response,
    stream: async (input, { autoTopUp, onBalance, ...init } = {}) =>
      openPaidStream(shop, await toRequest(input, init), {
        ...(autoTopUp === undefined ? {} : { autoTopUp }),
        ...(onBalance === undefined ? {} : { onBalance }),
      }),
    socket: (url, socketOptions) => openPaidSocket(shop, url, socketOptions),
    buyCredential: async (input, { amountMsat, ...init }) =>
      buyCredential(shop, await toRequest(input, init), amountMsat),
  };
}
