/** What one request used, counter by counter. Whole, not negative. A report of one number is `output`. */
export interface Usage {
  /** Input read at the full rate. */
  readonly input: number;
  /** Input that the upstream took from its cache. */
  readonly cachedInput: number;
  /** Input that the upstream wrote into its cache. */
  readonly cacheWrite: number;
  readonly output: number;
}

/** Nothing used. */
export const NO_USAGE: Usage = { input: 0, cachedInput: 0, cacheWrite: 0, output: 0 };

/** All counters together, in units, for metrics and logs. */
export function totalUnits(usage: Usage): number {
  return usage.input + usage.cachedInput + usage.cacheWrite + usage.output;
}

/** The larger of each counter: totals so far only ever grow. */
export function maxUsage(a: Usage, b: Usage): Usage {
  return {
    input: Math.max(a.input, b.input),
    cachedInput: Math.max(a.cachedInput, b.cachedInput),
    cacheWrite: Math.max(a.cacheWrite, b.cacheWrite),
    output: Math.max(a.output, b.output),
  };
}

/** Each counter held at a bound. @returns the same object when none is over it */
export function capUsage(usage: Usage, capUnits: number): Usage {
  const { input, cachedInput, cacheWrite, output } = usage;
  if (Math.max(input, cachedInput, cacheWrite, output) <= capUnits) return usage;
  const hold = (units: number) => Math.min(units, capUnits);
  return {
    input: hold(input),
    cachedInput: hold(cachedInput),
    cacheWrite: hold(cacheWrite),
    output: hold(output),
  };
}
