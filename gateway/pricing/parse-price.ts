import { type Msat, msat } from '../../node/msat.ts';
import { type Decimal, roundUp, timesDecimal, toWhole, wholeFactor } from './decimal.ts';
import { type Amount, readAmount, wholeMicros, wholeMsat } from './parse-amount.ts';
import type { Price } from './price.ts';
import { PriceError } from './price-error.ts';
import { atEnd, type Cursor, peekWord, readNumber, readTokens } from './read-tokens.ts';
import { CALL_WORDS, meaningOfUnit, nearestTime, TIME_SEC } from './words.ts';

/** The longest pass, ten years: a longer one is a typing error, and Unix seconds stay small. */
const MAX_PASS_SEC = 3_653 * 86_400;
/** Stands between two forms in a message: `free` or `10 sat`. */
const OR = '` or `';
const PLAIN_PRICE = '10 sat';
const ONE: Decimal = { digits: 1n, scale: 0 };

/**
 * Reads a price as a person writes it: `free`, `10 sat`, `500 sat for 100 calls`, `1000 sat for 24h`, `360 sat/hour`,
 * `3 sat/1k tokens`, `0.2 usd` (the whole grammar: docs/prices.md). Decimals are exact.
 * @throws PriceError when the text is not a price; it names the nearest legal form. A mistyped price is never free.
 */
export function parsePrice(text: string): Price {
  try {
    return readPrice(text);
  } catch (error) {
    throw error instanceof PriceError ? new PriceError(error.problem, legalForm(error.nearest)) : error;
  }
}

/** A text with two mistakes is corrected one mistake at a time, so what one correction proposes may need the next. */
function legalForm(proposed: string): string {
  let form = proposed;
  for (let round = 0; round < 4; round++) {
    try {
      for (const one of form.split(OR)) readPrice(one);
      return form;
    } catch (error) {
      form = error instanceof PriceError ? error.nearest : PLAIN_PRICE;
    }
  }
  return PLAIN_PRICE;
}

function readPrice(text: string): Price {
  const cursor = readTokens(text);
  if (atEnd(cursor)) throw new PriceError('the price is empty', 'free` or `10 sat');
  if (peekWord(cursor) === 'free') {
    if (cursor.tokens.length === 1) return { kind: 'free' };
    throw new PriceError('`free` stands alone', 'free');
  }
  const amount = readAmount(cursor);
  if (atEnd(cursor)) return priceOfOneCall(amount);
  const joint = peekWord(cursor);
  cursor.at++;
  if (joint === 'for') return readSale(cursor, amount);
  if (joint === '/' || joint === 'per' || joint === 'a' || joint === 'an') return readRate(cursor, amount);
  if (joint === 'each' && atEnd(cursor)) return priceOfOneCall(amount);
  throw new PriceError('after the amount comes `for` or `/`, or nothing', `${amount.text} for 100 calls`);
}

function priceOfOneCall(amount: Amount): Price {
  if (amount.kind === 'sat') return { kind: 'call', amountMsat: wholeMsat(amount) };
  return { kind: 'fiat', microUnits: wholeMicros(amount), currency: amount.currency };
}

/** `for 100 calls` is a bundle, `for 24h` a pass. */
function readSale(cursor: Cursor, amount: Amount): Price {
  if (amount.kind === 'fiat') throw fiatIsPerCall(amount);
  const both = `${amount.text} for 100 calls\` or \`${amount.text} for 24h`;
  const count = readCount(cursor);
  const word = peekWord(cursor);
  if (word === '' || count === undefined) {
    throw new PriceError('after `for` comes a number of calls or a time', both);
  }
  cursor.at++;
  if (!atEnd(cursor)) {
    throw new PriceError('one number and one word come after `for`, nothing more', both);
  }
  if (CALL_WORDS.has(word)) return bundleOf(wholeMsat(amount), count, amount.text);
  const seconds = TIME_SEC.get(word);
  if (seconds === undefined) {
    throw new PriceError(
      'the time is unknown (`s`, `m`, `h`, `days`, `weeks`)',
      `${amount.text} for ${nearestTime(toWhole(count) ?? 1, word)}`,
    );
  }
  const durationSec = toWhole(timesDecimal(count, BigInt(seconds)));
  if (durationSec === undefined || durationSec < 1 || durationSec > MAX_PASS_SEC) {
    throw new PriceError('a pass lasts whole seconds, from 1 second to 10 years', `${amount.text} for 24h`);
  }
  return { kind: 'pass', amountMsat: wholeMsat(amount), durationSec };
}

/** Equal calls only: a bundle that msat can't divide would sell calls at two prices. */
function bundleOf(totalMsat: Msat, count: Decimal, amountText: string): Price {
  const calls = toWhole(count);
  if (calls === undefined || calls < 1) {
    throw new PriceError(
      'a bundle is a whole number of calls',
      `${amountText} for ${roundUp(count) > 1 ? `${roundUp(count)} calls` : '1 call'}`,
    );
  }
  if (totalMsat % calls === 0) {
    return { kind: 'bundle', totalMsat, calls, perCallMsat: msat(totalMsat / calls) };
  }
  const perCall = Math.max(1, Math.round(totalMsat / calls));
  const near = perCall * calls;
  if (!Number.isSafeInteger(near))
    throw new PriceError('that are more calls than msat can count', '500 sat for 100 calls');
  const money = near % 1000 === 0 ? `${near / 1000} sat` : `${near} msat`;
  throw new PriceError(
    'each call of a bundle must cost a whole number of msat',
    `${money} for ${calls} calls`,
  );
}

/** `/call`, `a call`, `/hour`, `/10 seconds`, `per 1k tokens`. */
function readRate(cursor: Cursor, amount: Amount): Price {
  const count = readCount(cursor) ?? ONE;
  const word = cursor.tokens[cursor.at]?.text ?? '';
  const lower = peekWord(cursor);
  cursor.at++;
  if (!/^[a-z]/i.test(word)) throw new PriceError('after `/` comes what is counted', `${amount.text}/minute`);
  if (!atEnd(cursor)) {
    throw new PriceError('one number and one word come after `/`, nothing more', `${amount.text}/${word}`);
  }
  if (CALL_WORDS.has(lower)) {
    if (toWhole(count) === 1) return priceOfOneCall(amount);
    throw new PriceError(
      'several calls are sold as a bundle',
      `${amount.text} for ${Math.max(1, roundUp(count))} calls`,
    );
  }
  if (amount.kind === 'fiat') throw fiatIsPerCall(amount);
  const meaning = meaningOfUnit(word);
  if ('meant' in meaning) {
    throw new PriceError(
      'what is counted is unknown (a time, `KB`, `MB`, `event`, or a unit that the upstream reports)',
      `${amount.text}/${meaning.meant}`,
    );
  }
  return meteredOf(amount, timesDecimal(count, BigInt(meaning.size)), meaning);
}

/** Fractions of a msat are no amount, but a rate may have them: both sides are then scaled up until they are whole. */
function meteredOf(
  amount: Amount & { readonly kind: 'sat' },
  per: Decimal,
  { unit, unitName }: { readonly unit: 'second' | 'byte' | 'event' | 'unit'; readonly unitName: string },
): Price {
  const amountFactor = wholeFactor(amount.msat);
  const perFactor = wholeFactor(per);
  const factor = amountFactor > perFactor ? amountFactor : perFactor;
  const wholeAmount = toWhole(timesDecimal(amount.msat, factor));
  const wholePer = toWhole(timesDecimal(per, factor));
  // Time is counted in ms, so a price for time must stay exact in them.
  const counted = unit === 'second' ? 1_000 : 1;
  if (
    wholeAmount === undefined ||
    wholePer === undefined ||
    wholePer < 1 ||
    !Number.isSafeInteger(wholePer * counted)
  ) {
    throw new PriceError('this rate is too fine or too large to count exactly', '100 msat/second');
  }
  return { kind: 'metered', amountMsat: msat(wholeAmount), per: wholePer, unit, unitName };
}

/** A number, or `a`, `an`, `one`; `undefined` when neither comes next. */
function readCount(cursor: Cursor): Decimal | undefined {
  const word = peekWord(cursor);
  if (word !== 'a' && word !== 'an' && word !== 'one') return readNumber(cursor);
  cursor.at++;
  return ONE;
}

function fiatIsPerCall(amount: Amount): PriceError {
  return new PriceError(
    'bundles, passes and rates are priced in sat; a fiat price is for one call',
    amount.text,
  );
}
