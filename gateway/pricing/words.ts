import { nearestWord } from './nearest.ts';
import type { MeteredUnit } from './price.ts';

/** Money words, msat in each. */
export const MONEY_MSAT: ReadonlyMap<string, bigint> = new Map([
  ['sat', 1_000n],
  ['sats', 1_000n],
  ['satoshi', 1_000n],
  ['satoshis', 1_000n],
  ['msat', 1n],
  ['msats', 1n],
  ['millisat', 1n],
  ['millisats', 1n],
]);

/** ISO 4217 codes that the runtime knows. */
export const CURRENCIES: ReadonlySet<string> = new Set(Intl.supportedValuesOf('currency'));

/** Words for one request. */
export const CALL_WORDS: ReadonlySet<string> = new Set(['call', 'calls', 'request', 'requests']);

/** Words for time, seconds in each. A month has no fixed length, so it is none of them. */
export const TIME_SEC: ReadonlyMap<string, number> = new Map([
  ...words(1, 's', 'sec', 'secs', 'second', 'seconds'),
  ...words(60, 'm', 'min', 'mins', 'minute', 'minutes'),
  ...words(3_600, 'h', 'hr', 'hrs', 'hour', 'hours'),
  ...words(86_400, 'd', 'day', 'days'),
  ...words(604_800, 'w', 'week', 'weeks'),
]);

/** Words for size, bytes in each: KB is 1,000 bytes. */
export const SIZE_BYTES: ReadonlyMap<string, number> = new Map([
  ...words(1, 'b', 'byte', 'bytes'),
  ...words(1_000, 'kb', 'kilobyte', 'kilobytes'),
  ...words(1_000_000, 'mb', 'megabyte', 'megabytes'),
  ...words(1_000_000_000, 'gb', 'gigabyte', 'gigabytes'),
]);

const EVENT_WORDS: ReadonlySet<string> = new Set(['event', 'events', 'message', 'messages']);

function words(amount: number, ...names: readonly string[]): [string, number][] {
  return names.map((name) => [name, amount]);
}

/** What a metered price counts, and how much of it one of the written word is. */
export interface UnitMeaning {
  readonly unit: MeteredUnit;
  readonly unitName: string;
  readonly size: number;
}

/**
 * What the word after `/` counts. Words that are not built in are units that the upstream reports (`tokens`), except those that look
 * like a mistyped built-in word: `sat/hor` must not become a unit that nobody ever reports, which would be free.
 * @returns the meaning, or the built-in word that was probably meant.
 */
export function meaningOfUnit(word: string): UnitMeaning | { readonly meant: string } {
  const lower = word.toLowerCase();
  const seconds = TIME_SEC.get(lower);
  if (seconds !== undefined) return { unit: 'second', unitName: 'second', size: seconds };
  const bytes = SIZE_BYTES.get(lower);
  if (bytes !== undefined) return { unit: 'byte', unitName: 'byte', size: bytes };
  if (EVENT_WORDS.has(lower)) return { unit: 'event', unitName: 'event', size: 1 };
  const foreign = FOREIGN_UNITS.get(lower);
  if (foreign !== undefined) return { meant: foreign };
  if (lower.length < 3 || lower.length > 32) return { meant: lower.length < 3 ? 'second' : 'unit' };
  const builtIn = [...TIME_SEC.keys(), ...SIZE_BYTES.keys(), ...EVENT_WORDS, ...CALL_WORDS];
  const near = nearestWord(
    lower,
    builtIn.filter((known) => known.length > 2),
  );
  return near === undefined ? { unit: 'unit', unitName: lower, size: 1 } : { meant: near };
}

/** Units that people write and that are not ours, with what to write instead. */
const FOREIGN_UNITS: ReadonlyMap<string, string> = new Map([
  ['month', '30 days'],
  ['months', '30 days'],
  ['year', '365 days'],
  ['years', '365 days'],
  ['ms', 'second'],
  ['millisecond', 'second'],
  ['milliseconds', 'second'],
  ['kib', 'KB'],
  ['mib', 'MB'],
  ['gib', 'GB'],
  ['tb', '1000 GB'],
  ['bit', 'byte'],
  ['bits', 'byte'],
]);

/** The legal time that somebody who wrote `count` of an unknown word probably means. */
export function nearestTime(count: number, word: string): string {
  const days = /^months?$/i.test(word) ? 30 : /^years?$/i.test(word) ? 365 : undefined;
  if (days !== undefined) return `${Math.min(count * days, 3_650)} days`;
  return `${Math.max(1, Math.min(count, 24))} ${nearestWord(word, TIME_SEC.keys()) ?? 'h'}`;
}
