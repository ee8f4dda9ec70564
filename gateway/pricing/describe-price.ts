import { formatMsat } from '../../node/msat.ts';
import type { MeteredUnit, Price } from './price.ts';

/** A price for people, and legal to write back: `10 sat a call`, `500 sat for 100 calls`, `1000 sat for 24 hours`, `360 sat per hour`. */
export function describePrice(price: Price): string {
  switch (price.kind) {
    case 'free':
      return 'free';
    case 'call':
      return `${formatMsat(price.amountMsat)} a call`;
    case 'bundle':
      return `${formatMsat(price.totalMsat)} for ${price.calls} ${price.calls === 1 ? 'call' : 'calls'}`;
    case 'pass':
      return `${formatMsat(price.amountMsat)} for ${describeSeconds(price.durationSec)}`;
    case 'metered':
      return `${formatMsat(price.amountMsat)} per ${describeUnits(price.per, price.unit, price.unitName)}`;
    case 'fiat':
      return `${fiatText(price.microUnits)} ${price.currency.toLowerCase()} a call`;
  }
}

/** Seconds in the largest unit that divides them, a day counted as 24 hours until it is two: `24 hours`, `7 days`, `90 seconds`. */
export function describeSeconds(seconds: number): string {
  if (seconds % 86_400 === 0 && seconds > 86_400) return plural(seconds / 86_400, 'day');
  if (seconds % 3_600 === 0) return plural(seconds / 3_600, 'hour');
  if (seconds % 60 === 0) return plural(seconds / 60, 'minute');
  return plural(seconds, 'second');
}

function describeUnits(per: number, unit: MeteredUnit, unitName: string): string {
  if (unit === 'second') return withoutOne(describeSeconds(per));
  if (unit === 'unit') return per === 1 ? unitName : `${per} ${unitName}`;
  if (unit === 'event') return withoutOne(plural(per, 'event'));
  for (const [size, name] of [
    [1_000_000_000, 'GB'],
    [1_000_000, 'MB'],
    [1_000, 'KB'],
  ] as const) {
    if (per % size === 0) return per === size ? name : `${per / size} ${name}`;
  }
  return withoutOne(plural(per, 'byte'));
}

function withoutOne(text: string): string {
  return text.startsWith('1 ') ? text.slice(2) : text;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

function fiatText(microUnits: number): string {
  const digits = String(microUnits).padStart(7, '0');
  const fraction = digits.slice(-6).replace(/0+$/, '');
  return digits.slice(0, -6) + (fraction === '' ? '' : `.${fraction}`);
}
