import { type Msat, msat } from '../../node/msat.ts';
import { type Decimal, readDecimal, roundUp, timesDecimal, toWhole } from './decimal.ts';
import { nearestWord } from './nearest.ts';
import { PriceError } from './price-error.ts';
import { atEnd, type Cursor, peekWord, readNumber, readTokens } from './read-tokens.ts';
import { CURRENCIES, MONEY_MSAT } from './words.ts';

/** An amount before anybody asked whether it is whole. */
export type Amount =
  | {
      readonly kind: 'sat';
      readonly msat: Decimal;
      /** As a person writes it, for messages. */
      readonly text: string;
    }
  | { readonly kind: 'fiat'; readonly micros: Decimal; readonly currency: string; readonly text: string };

/**
 * Reads an amount of money without a sale: `10 sat`, `1500 msat`, `1k sat`.
 * @throws PriceError when it is anything else, or not a whole number of msat.
 */
export function parseAmountMsat(text: string): Msat {
  const cursor = readTokens(text);
  const amount = readAmount(cursor);
  if (!atEnd(cursor))
    throw new PriceError('an amount is a number and `sat` or `msat`, nothing more', amount.text);
  if (amount.kind === 'fiat') throw new PriceError('this amount is in bitcoin only', '10 sat');
  return wholeMsat(amount);
}

/** Reads a positive amount and its unit. @throws PriceError */
export function readAmount(cursor: Cursor): Amount {
  const first = peekWord(cursor);
  if (first === '-') throw new PriceError('a price is not negative', 'free` or `10 sat');
  const symbol = SYMBOLS.get(first);
  const number = cursor.tokens[symbol === undefined ? 0 : 1]?.text ?? '';
  if (symbol !== undefined) {
    throw new PriceError(
      'currencies are written as codes',
      `${readDecimal(number) ? number : '0.20'} ${symbol}`,
    );
  }
  const value = readNumber(cursor);
  if (value === undefined)
    throw new PriceError('a price is `free` or starts with a number', guessWord(first));
  const unit = peekWord(cursor);
  const amount = withUnit(value, unit, value.digits === 0n ? '10' : plain(value));
  cursor.at++;
  if (value.digits === 0n)
    throw new PriceError('0 is not a price; say it in words to give something away', 'free');
  return amount;
}

/** The amount in msat. @throws PriceError when it is not a whole number of them, or more than can be. */
export function wholeMsat(amount: Amount & { readonly kind: 'sat' }): Msat {
  const whole = toWhole(amount.msat);
  if (whole !== undefined && whole > 0) return msat(whole);
  const near = roundUp(amount.msat);
  if (near === Number.MAX_SAFE_INTEGER) throw new PriceError('this is more money than there is', '1000 sat');
  throw new PriceError(
    '1 msat is the smallest amount of money, so fractions of it do not exist',
    `${near} msat`,
  );
}

/** Millionths of a currency. @throws PriceError when finer than that. */
export function wholeMicros(amount: Amount & { readonly kind: 'fiat' }): number {
  const whole = toWhole(amount.micros);
  if (whole !== undefined) return whole;
  const near = Math.min(roundUp(amount.micros), 1_000_000_000);
  throw new PriceError(
    'a fiat price has at most six decimals',
    `${plain({ digits: BigInt(near), scale: 6 })} ${amount.currency.toLowerCase()}`,
  );
}

function withUnit(value: Decimal, unit: string, written: string): Amount {
  const perUnit = MONEY_MSAT.get(unit);
  if (perUnit !== undefined) {
    const name = perUnit === 1n ? 'msat' : 'sat';
    return { kind: 'sat', msat: timesDecimal(value, perUnit), text: `${written} ${name}` };
  }
  const currency = unit.toUpperCase();
  if (CURRENCIES.has(currency)) {
    return { kind: 'fiat', micros: timesDecimal(value, 1_000_000n), currency, text: `${written} ${unit}` };
  }
  if (unit === 'btc') {
    const near = roundUp(timesDecimal(value, 100_000_000n));
    throw new PriceError('prices are in sat, not in BTC', `${Math.max(1, near)} sat`);
  }
  const meant = nearestWord(unit, ['sat', 'msat', 'usd', 'eur']) ?? 'sat';
  throw new PriceError(
    unit === ''
      ? 'the number has no unit'
      : 'the unit of money is unknown (`sat`, `msat`, or a currency such as `usd`)',
    `${written} ${meant}`,
  );
}

function guessWord(word: string): string {
  return nearestWord(word, ['free']) ?? 'free` or `10 sat';
}

/** A decimal as digits, without an exponent or trailing zeros. */
function plain({ digits, scale }: Decimal): string {
  const text = digits.toString().padStart(scale + 1, '0');
  if (scale === 0) return text;
  const fraction = text.slice(text.length - scale).replace(/0+$/, '');
  return text.slice(0, text.length - scale) + (fraction === '' ? '' : `.${fraction}`);
}

const SYMBOLS: ReadonlyMap<string, string> = new Map([
  ['$', 'usd'],
  ['€', 'eur'],
  ['£', 'gbp'],
  ['¥', 'jpy'],
  ['₿', 'sat'],
]);
