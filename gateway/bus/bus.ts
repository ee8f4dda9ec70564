/**
 * What gateways (or workers) that share one store tell each other as it happens. Nothing of it is a verdict: who hears it asks the
 * store or the node, as does in time who heard nothing. So a lost message costs a second or so, and a forged one a look-up.
 */
export type BusMessage =
  /** The sender credited this payment to the account, and counted it: a stream that is held for it may go on. */
  | { readonly kind: 'credited'; readonly accountId: string; readonly paymentHash: string }
  /** The account is revoked: its streams and passes end. */
  | { readonly kind: 'revoked'; readonly accountId: string }
  /** The node reported this payment: whoever waits for the invoice may be answered, and its place is free. */
  | { readonly kind: 'settled'; readonly paymentHash: string };

/** What a listener hears: a message of another process, or that messages may have been lost, so that the store is to be asked now. */
export type BusNews = BusMessage | { readonly kind: 'missed' };

/** Carries messages to the other processes on the same store: at most once, in any order, and never back to the sender. */
export interface Bus {
  /** Does not wait and does not throw: a message that can't be sent is lost. */
  publish(message: BusMessage): void;
  /** @returns how to stop. Listeners must not throw. */
  subscribe(listener: (news: BusNews) => void): () => void;
  /** Ends what it opened; nothing is heard or sent after it. */
  close(): Promise<void>;
}

/** The bus of a gateway that is alone on its store. */
export function noBus(): Bus {
  return { publish: () => {}, subscribe: () => () => {}, close: async () => {} };
}
