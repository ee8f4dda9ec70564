import { type Msat, msat } from '../../../node/msat.ts';
import type { Price } from '../../pricing/price.ts';
import type { Usage } from './usage.ts';

/** `amountMsat` for every `per` units: `3 sat/1k tokens` is 3000 for 1000. */
export interface Rate {
  readonly amountMsat: Msat;
  /** A whole number from 1. */
  readonly per: number;
}

/** A metered price, as the price grammar reads it. */
export type MeteredPrice = Extract<Price, { kind: 'metered' }>;

/** Rates of the four counters, over one common denominator, so that a sum of them is exact. Made by {@link compileRates}. */
export interface Rates {
  /** The charge is (units × rate, summed) / per, rounded up once. */
  readonly per: bigint;
  readonly input: bigint;
  readonly cachedInput: bigint;
  readonly cacheWrite: bigint;
  readonly output: bigint;
}

/** What an operator may say about a model. */
export interface RateCard {
  readonly input: Rate;
  readonly output: Rate;
  /** Input that came from the upstream's cache. Absent: as input. */
  readonly cachedInput?: Rate;
  /** Input that was written to the upstream's cache. Absent: as input. */
  readonly cacheWrite?: Rate;
}

/**
 * Brings rates to one denominator.
 * @throws RangeError when a `per` is not a whole number from 1.
 */
export function compileRates(card: RateCard): Rates {
  const { input, output, cachedInput = input, cacheWrite = input } = card;
  const pers = [input, output, cachedInput, cacheWrite].map(({ per }) => {
    if (!Number.isSafeInteger(per) || per < 1)
      throw new RangeError(`a price for every ${per} units has no meaning`);
    return BigInt(per);
  });
  const per = pers.reduce(leastCommonMultiple, 1n);
  const scaled = (rate: Rate) => BigInt(rate.amountMsat) * (per / BigInt(rate.per));
  return {
    per,
    input: scaled(input),
    output: scaled(output),
    cachedInput: scaled(cachedInput),
    cacheWrite: scaled(cacheWrite),
  };
}

/** A service's own metered price as rates: input and output cost the same. */
export function ratesOfPrice(price: MeteredPrice): Rates {
  return compileRates({ input: price, output: price });
}

/**
 * What a usage costs: the ceiling of the cumulative total, never of each part. Exact; holds at 2^53 − 1 msat, which no capped usage
 * reaches at a price that anybody can pay.
 */
export function usageMsat(rates: Rates, usage: Usage): Msat {
  const sum =
    BigInt(usage.input) * rates.input +
    BigInt(usage.cachedInput) * rates.cachedInput +
    BigInt(usage.cacheWrite) * rates.cacheWrite +
    BigInt(usage.output) * rates.output;
  return saturated((sum + rates.per - 1n) / rates.per);
}

/** The dearest that `units` of input can be, whichever of the input counters they are reported in. */
export function dearestInputMsat(rates: Rates, units: number, output: number): Msat {
  return saturated(ceilDiv(BigInt(units) * dearestInput(rates) + BigInt(output) * rates.output, rates.per));
}

/**
 * How much output a balance buys beside `inputUnits` of input at its dearest.
 * @returns whole units; `undefined` when not even the input is covered; `Infinity` when output costs nothing
 */
export function affordableOutput(rates: Rates, balanceMsat: Msat, inputUnits: number): number | undefined {
  const left = BigInt(balanceMsat) * rates.per - BigInt(inputUnits) * dearestInput(rates);
  if (left < 0n) return undefined;
  if (rates.output === 0n) return Number.POSITIVE_INFINITY;
  const units = left / rates.output;
  return units > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(units);
}

function dearestInput({ input, cachedInput, cacheWrite }: Rates): bigint {
  const dearest = input > cachedInput ? input : cachedInput;
  return dearest > cacheWrite ? dearest : cacheWrite;
}

function ceilDiv(a: bigint, b: bigint): bigint {
  return (a + b - 1n) / b;
}

function saturated(amount: bigint): Msat {
  return msat(amount > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(amount));
}

function leastCommonMultiple(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y > 0n) [x, y] = [y, x % y];
  return (a / x) * b;
}
