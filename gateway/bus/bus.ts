import type { Msat } from '../../node/msat.ts';

/**
 * What gateways (or workers) that share one store tell each other as it happens. Nothing of it is a verdict: the store is the
 * truth, and whoever heard nothing finds out by asking it now and then.
 */
export type BusMessage =
  /** A payment was credited: a stream that is held for it may go on. */
  | { readonly kind: 'credited'; readonly accountId: string; readonly balanceMsat: Msat }
  /** The account is revoked: its streams and passes end. `untilSec` in Unix seconds. */
  | { readonly kind: 'revoked'; readonly accountId: string; readonly untilSec: number }
  /** The node reported a payment: whoever waits for this hash may be answered. */
  | { readonly kind: 'settled'; readonly paymentHash: string };

/** Carries messages to the other processes on the same store: at most once, in any order, and never back to the sender. */
export interface Bus {
  /** Does not wait and does not throw: a message that can't be sent is lost. */
  publish(message: BusMessage): void;
  /** @returns how to stop. Listeners must not throw. */
  subscribe(listener: (message: BusMessage) => void): () => void;
  close(): Promise<void>;
}

/** The bus of a gateway that is alone on its store. */
export function noBus(): Bus {
  return { publish: () => {}, subscribe: () => () => {}, close: async () => {} };
}
