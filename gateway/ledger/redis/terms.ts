import type { Claim, Offer } from '../store.ts';
import { amountAt, integerAt, type Words, wordAt, wordsOf } from './answers.ts';

/*
 * Claims and offers as they are written: words with a space between them. Equal terms are equal texts, so that a script can compare them.
 */

/** What is written under a claim's key. */
export function claimText({ accountId, service, creditMsat, expiresAtSec }: Claim): string {
  return `${accountId} ${service} ${creditMsat} ${expiresAtSec}`;
}

/** @throws StoreError `corrupt` */
export function parseClaim(paymentHash: string, text: string): Claim {
  const words = wordsOf(text);
  return {
    paymentHash,
    accountId: wordAt(words, 0),
    service: wordAt(words, 1),
    creditMsat: amountAt(words, 2),
    expiresAtSec: integerAt(words, 3),
  };
}

/** What is written under an offer's key, after whether it is settled. */
export function offerText(offer: Offer): string {
  const { accountId, service, amountMsat, invoiceExpiresAtSec, creditExpiresAtSec } = offer;
  return `${accountId} ${service} ${amountMsat} ${invoiceExpiresAtSec} ${creditExpiresAtSec}`;
}

/** An offer as it stands. */
export type StoredOffer = Offer & { readonly settled: boolean };

/** @throws StoreError `corrupt` */
export function parseOffer(paymentHash: string, text: string): StoredOffer {
  const words: Words = wordsOf(text);
  return {
    paymentHash,
    accountId: wordAt(words, 1),
    service: wordAt(words, 2),
    amountMsat: amountAt(words, 3),
    invoiceExpiresAtSec: integerAt(words, 4),
    creditExpiresAtSec: integerAt(words, 5),
    settled: wordAt(words, 0) === '1',
  };
}

/** The offer alone. */
export function withoutState({ settled: _, ...offer }: StoredOffer): Offer {
  return offer;
}
