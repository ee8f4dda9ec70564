import type { Books, Bought } from './books.ts';
import type { Facts } from './facts.ts';
import type { Timeline } from './timeline.ts';
import type { Served } from './upstream.ts';

/** One equation, with both of its sides. */
export interface Check {
  readonly title: string;
  /** What was found, in words: both sides. */
  readonly found: string;
  /** What does not fit; none when it holds. The first few are shown. */
  readonly faults: readonly string[];
}

/** Everything that is known in the end, by everybody for himself. */
export interface Evidence {
  readonly books: Books;
  readonly facts: Facts;
  readonly served: readonly Served[];
  readonly timeline: Timeline;
  /** Payments that a gateway had served for, and that the ledger did not know before they were presented once more. */
  readonly forgotten: readonly string[];
  /** What could not be done after all was up again, and what clients threw. */
  readonly complaints: readonly string[];
}

/** A payment that its payer's wallet says was made. */
export type PaidFor = Bought & { readonly amountMsat: number };

/** What clients have paid for. */
export function paidOf(books: Books): PaidFor[] {
  return [...books.bought.values()].flatMap((bought) =>
    bought.payment.kind === 'paid' ? [{ ...bought, amountMsat: bought.payment.amountMsat }] : [],
  );
}

/** Payments whose credentials were served for: a gateway has redeemed them, and the store has acknowledged it. */
export function acceptedOf({ sent, bought }: Books): Bought[] {
  const served = sent.filter(({ status, fromUpstream }) => status === 200 && fromUpstream);
  const hashes = new Set(served.map(({ paymentHash }) => paymentHash));
  return [...bought.values()].filter(({ paymentHash }) => hashes.has(paymentHash));
}

/** The sum of some amounts. */
export function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const one of numbers) total += one;
  return total;
}
