import { type Msat, msat } from '../../../node/msat.ts';
import { type Account, StoreError } from '../store.ts';

/*
 * Answers of scripts: words with a space between them, the first of which says what happened. They are outside data: whatever does not
 * have the form that a script writes is damage, never a number.
 */

/** An answer's words. */
export type Words = readonly string[];

/** @throws TypeError for the engine to report as damage */
export function wordsOf(answer: string): Words {
  return answer.split(' ');
}

function unexpected(): never {
  throw new StoreError(
    'corrupt',
    'The store is damaged or not a Sluice store: a script answered in a form that it does not have.',
  );
}

/** The word at a place, as a whole number. @throws StoreError `corrupt` */
export function integerAt(words: Words, at: number): number {
  const word = words[at] ?? '';
  const value = Number(word);
  return /^\d{1,16}$/.test(word) && Number.isSafeInteger(value) ? value : unexpected();
}

/** The word at a place, as an amount. @throws StoreError `corrupt` */
export function amountAt(words: Words, at: number): Msat {
  return msat(integerAt(words, at));
}

/** The word at a place. @throws StoreError `corrupt` */
export function wordAt(words: Words, at: number): string {
  return words[at] ?? unexpected();
}

/** The first word, which must be one of those. @throws StoreError `corrupt` */
export function kindOf<const K extends string>(words: Words, kinds: readonly K[]): K {
  return kinds.find((kind) => kind === words[0]) ?? unexpected();
}

/** An account as account.lua shows it. @throws StoreError `corrupt` */
export function accountOf(accountId: string, words: Words): Account {
  const revoked = wordAt(words, 8);
  if (words.length !== 9 || (revoked !== '0' && revoked !== '1')) return unexpected();
  return {
    accountId,
    service: wordAt(words, 1),
    creditedMsat: amountAt(words, 2),
    spentMsat: amountAt(words, 3),
    reservedMsat: amountAt(words, 4),
    expiredMsat: amountAt(words, 5),
    balanceMsat: amountAt(words, 6),
    expiresAtSec: integerAt(words, 7),
    revoked: revoked === '1',
  };
}
