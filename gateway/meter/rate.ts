import { type Msat, msat } from '../../node/msat.ts';
import type { Price } from '../pricing/price.ts';

/** A price that is counted as it is delivered. */
export type MeteredPrice = Extract<Price, { readonly kind: 'metered' }>;

/** `amountMsat` for every `per` units, in the units that a meter counts: milliseconds for seconds, else the price's own. */
export interface Rate {
  readonly amountMsat: number;
  readonly per: number;
}

/** The rate of a price. @throws RangeError when it can't be counted in whole numbers. */
export function rateOf(price: MeteredPrice): Rate {
  const per = price.unit === 'second' ? price.per * 1000 : price.per;
  if (!Number.isSafeInteger(per) || per < 1)
    throw new RangeError('the price counts no whole number of units');
  return { amountMsat: price.amountMsat, per };
}

/**
 * What `units` cost in all, msat: the ceiling of the total, never the sum of ceilings of its parts. Whole numbers throughout, so that
 * it is exact however long a stream lasts.
 */
export function costOf(rate: Rate, units: number): Msat {
  const product = rate.amountMsat * units;
  if (Number.isSafeInteger(product)) {
    const rest = product % rate.per;
    return msat((product - rest) / rate.per + (rest === 0 ? 0 : 1));
  }
  const per = BigInt(rate.per);
  return msat(capped((BigInt(rate.amountMsat) * BigInt(units) + per - 1n) / per));
}

/** The most units that cost no more than an amount: `costOf(rate, unitsFor(rate, amount)) <= amount`. */
export function unitsFor(rate: Rate, amountMsat: number): number {
  if (rate.amountMsat === 0) return Number.MAX_SAFE_INTEGER;
  const product = amountMsat * rate.per;
  if (Number.isSafeInteger(product)) return (product - (product % rate.amountMsat)) / rate.amountMsat;
  return capped((BigInt(amountMsat) * BigInt(rate.per)) / BigInt(rate.amountMsat));
}

function capped(value: bigint): number {
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
}
