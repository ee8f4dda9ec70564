import type { Msat } from '../../node/msat.ts';
import { timesDecimal, toWhole } from './decimal.ts';
import { parseAmountMsat } from './parse-amount.ts';
import type { MeteredUnit } from './price.ts';
import { PriceError } from './price-error.ts';
import { atEnd, peekWord, readNumber, readTokens } from './read-tokens.ts';
import { MONEY_MSAT, meaningOfUnit } from './words.ts';

/** What a metered price sells at once: an amount of money, or what that shall buy. */
export type Deposit =
  | { readonly kind: 'amount'; readonly amountMsat: Msat }
  | {
      readonly kind: 'quantity';
      /** Whole seconds, bytes, events or reported units. */
      readonly count: number;
      readonly unit: MeteredUnit;
      readonly unitName: string;
    };

const EXAMPLES = '100 sat` or `60s';

/**
 * Reads a deposit as a person writes it: `100 sat`, `60s`, `10MB`, `1k tokens`, in the words of the price grammar.
 * @throws PriceError when it is anything else, or nothing.
 */
export function parseDeposit(text: string): Deposit {
  try {
    return readDeposit(text);
  } catch (error) {
    if (!(error instanceof PriceError)) throw error;
    throw isDeposit(error.nearest) ? error : new PriceError(error.problem, EXAMPLES);
  }
}

/** What the readers of prices propose may be a price (`free`), or need a second correction. */
function isDeposit(forms: string): boolean {
  try {
    for (const form of forms.split('` or `')) readDeposit(form);
    return true;
  } catch {
    return false;
  }
}

function readDeposit(text: string): Deposit {
  const cursor = readTokens(text);
  const number = readNumber(cursor);
  const word = cursor.tokens[cursor.at]?.text ?? '';
  if (number === undefined || !/^[a-z]/i.test(word))
    throw new PriceError('a deposit is a number and what it counts', EXAMPLES);
  if (MONEY_MSAT.has(peekWord(cursor))) return { kind: 'amount', amountMsat: parseAmountMsat(text) };
  cursor.at++;
  if (!atEnd(cursor)) throw new PriceError('a deposit is one number and one word, nothing more', EXAMPLES);
  const meaning = meaningOfUnit(word);
  if ('meant' in meaning) {
    // What is meant may begin with a number of its own (`30 days`), which would stand beside the one that was written.
    const nearest = /^\d/.test(meaning.meant) ? meaning.meant : `${toWhole(number) ?? 60} ${meaning.meant}`;
    throw new PriceError('what a deposit counts is unknown', nearest);
  }
  const { unit, unitName, size } = meaning;
  const count = toWhole(timesDecimal(number, BigInt(size)));
  if (count === undefined || count < 1)
    throw new PriceError('a deposit buys something, and whole seconds, bytes and units', EXAMPLES);
  return { kind: 'quantity', count, unit, unitName };
}
