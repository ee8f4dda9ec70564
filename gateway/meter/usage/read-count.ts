/**
 * A count as an upstream reported it. `absent`: nothing there (or null). `malformed`: something that is no count: negative, not a number,
 * a text in JSON. A fraction counts as the next whole unit.
 */
export type Count =
  | { readonly kind: 'count'; readonly units: number }
  | { readonly kind: 'absent' | 'malformed' };

const ABSENT: Count = { kind: 'absent' };
const MALFORMED: Count = { kind: 'malformed' };

/** Reads a count from JSON. Infinity (JSON.parse reads `1e999` so) is a count, to be capped. */
export function readCount(value: unknown): Count {
  if (value === undefined || value === null) return ABSENT;
  if (typeof value !== 'number' || Number.isNaN(value) || value < 0) return MALFORMED;
  return { kind: 'count', units: wholeUnits(value) };
}

/** Reads a count from a header or trailer: digits, and a decimal fraction at most. */
export function readCountText(text: string | undefined): Count {
  if (text === undefined || text.trim() === '') return ABSENT;
  if (text.length > 400 || !/^\s*\d+(\.\d+)?\s*$/.test(text)) return MALFORMED;
  return { kind: 'count', units: wholeUnits(Number(text)) };
}

/** A count beyond 2^53 is no exact number any more; it is over every cap, so any such value does. */
function wholeUnits(value: number): number {
  return Math.min(Math.ceil(value), Number.MAX_SAFE_INTEGER);
}
