import type { Books } from '../books.ts';
import type { PaymentEntry } from '../store.ts';

/** Rule of {@link Store.paymentEntries}, for one payment. */
export function paymentEntry(books: Books, paymentHash: string): PaymentEntry {
  return {
    paymentHash,
    claim: books.claim(paymentHash),
    offer: books.offer(paymentHash),
    creditedMsat: books.creditedMsat(paymentHash),
    excessMsat: books.creditedMsat(`${paymentHash}:excess`),
  };
}
