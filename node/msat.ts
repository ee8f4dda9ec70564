declare const msatBrand: unique symbol;

/**
 * An amount of money in millisatoshi: a non-negative safe integer. 2^53 msat is about 90,000 BTC.
 * Made only by {@link msat} and the functions beside it, so that no float, no satoshi and no negative
 * amount can be mistaken for one.
 */
export type Msat = number & { readonly [msatBrand]: 'Msat' };

/**
 * Checks a number and brands it as {@link Msat}.
 * @param amount - millisatoshi
 * @throws RangeError when it is not a non-negative safe integer.
 */
export function msat(amount: number): Msat {
  if (!Number.isSafeInteger(amount) || amount < 0) {
    throw new RangeError(`${amount} is not an amount in msat: it must be a whole number from 0 to 2^53-1`);
  }
  return amount as Msat;
}

/** No money. */
export const ZERO_MSAT: Msat = msat(0);

/** The sum of amounts, in msat. @throws RangeError when it leaves the safe range. */
export function addMsat(...amounts: readonly Msat[]): Msat {
  let total = 0;
  for (const amount of amounts) total += amount;
  return msat(total);
}

/** `minuend − subtrahend`, in msat. @throws RangeError when the result would be negative. */
export function subtractMsat(minuend: Msat, subtrahend: Msat): Msat {
  return msat(minuend - subtrahend);
}

/** An amount times a whole number. @throws RangeError when the result leaves the safe range. */
export function multiplyMsat(amount: Msat, times: number): Msat {
  return msat(amount * times);
}

/** Rounds an amount up to a whole multiple of `stepMsat` (1,000 for a node that takes whole sats only). */
export function roundUpMsat(amount: Msat, stepMsat: Msat): Msat {
  return stepMsat <= 1 ? amount : msat(Math.ceil(amount / stepMsat) * stepMsat);
}

/** The smaller of two amounts. */
export function minMsat(a: Msat, b: Msat): Msat {
  return a < b ? a : b;
}

/** The larger of two amounts. */
export function maxMsat(a: Msat, b: Msat): Msat {
  return a > b ? a : b;
}

/** Satoshi as msat. */
export function sats(amount: number): Msat {
  return msat(amount * 1000);
}

/** An amount as a person reads it: `10 sat` for whole sats, else `1500 msat`. */
export function formatMsat(amount: Msat): string {
  return amount % 1000 === 0 ? `${amount / 1000} sat` : `${amount} msat`;
}
