/** A decimal number exactly as it was written: `digits / 10^scale`. */
export interface Decimal {
  readonly digits: bigint;
  readonly scale: number;
}

/** Reads `12`, `0.5` or `1000000`; `undefined` for anything else (signs, exponents, commas, a missing digit). */
export function readDecimal(text: string): Decimal | undefined {
  const match = /^(\d{1,30})(?:\.(\d{1,30}))?$/.exec(text);
  if (match === null) return undefined;
  const fraction = match[2] ?? '';
  return { digits: BigInt((match[1] ?? '') + fraction), scale: fraction.length };
}

/** A decimal times a whole number, exactly. */
export function timesDecimal(value: Decimal, factor: bigint): Decimal {
  return { digits: value.digits * factor, scale: value.scale };
}

/** The whole number that a decimal is; `undefined` when it has a fraction or is over 2^53 − 1. */
export function toWhole(value: Decimal): number | undefined {
  const unit = 10n ** BigInt(value.scale);
  if (value.digits % unit !== 0n) return undefined;
  const whole = value.digits / unit;
  return whole > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(whole);
}

/** A decimal rounded up to a whole number, at most 2^53 − 1. */
export function roundUp(value: Decimal): number {
  const unit = 10n ** BigInt(value.scale);
  const whole = (value.digits + unit - 1n) / unit;
  return Number(whole > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : whole);
}

/** The smallest power of ten that makes a decimal whole. */
export function wholeFactor(value: Decimal): bigint {
  let { digits, scale } = value;
  while (scale > 0 && digits % 10n === 0n) {
    digits /= 10n;
    scale--;
  }
  return 10n ** BigInt(scale);
}
