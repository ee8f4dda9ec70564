import type { JsonPath } from './json-path.ts';
import type { JsonView } from './json-record.ts';
import { type Count, readCount } from './read-count.ts';

/** The counters that an upstream may report. */
export type Counter = 'input' | 'cachedInput' | 'cacheWrite' | 'output';

/** What an answer has said about its usage so far: totals, which only grow. A counter that was not reported is absent. */
export interface Findings {
  input?: number;
  cachedInput?: number;
  cacheWrite?: number;
  output?: number;
  /** Output units that the content since the last report of output is estimated at. */
  produced: number;
  /** The upstream answered with an error. */
  failed: boolean;
  /** Something stood in a counter's place that was no count. */
  malformed: boolean;
}

/** Nothing heard yet. */
export function noFindings(): Findings {
  return { produced: 0, failed: false, malformed: false };
}

/** How the answers of one kind of upstream are read. */
export interface Dialect {
  /** Values that {@link Dialect.read} asks for, none of them the beginning of another: all that is kept of a document that is too long. */
  readonly paths: readonly JsonPath[];
  /** Reads one JSON document of an answer (all of it, one line or one event) into the findings. */
  read(view: JsonView, findings: Findings): void;
}

/** Bytes of text that one unit of output is estimated at, when an upstream did not say: what English takes. */
const BYTES_PER_UNIT = 4;

/**
 * Estimates the units of one piece of content: a unit for every 4 bytes of text, and one at least, because an upstream that streams sends
 * a token or more at a time.
 */
export function unitsOfText(...texts: readonly unknown[]): number {
  let bytes = 0;
  for (const text of texts) if (typeof text === 'string') bytes += Buffer.byteLength(text);
  return Math.ceil(bytes / BYTES_PER_UNIT);
}

/** Estimates the units of so many bytes of text. */
export function unitsOfBytes(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_UNIT);
}

/** Puts a count into the findings. A total so far only grows: a smaller one than before changes nothing. */
export function note(findings: Findings, counter: Counter, value: unknown): void {
  noteCount(findings, counter, readCount(value));
}

/** As {@link note}, for a count that was read already. */
export function noteCount(findings: Findings, counter: Counter, count: Count): void {
  if (count.kind === 'malformed') findings.malformed = true;
  if (count.kind !== 'count') return;
  const before = findings[counter];
  // Some upstreams put a total that stands still on every event: it does not cover what came since.
  if (counter === 'output' && count.units > (before ?? 0)) findings.produced = 0;
  findings[counter] = Math.max(before ?? 0, count.units);
}

/** True for what upstreams put in an `error` member when there was one: an object or a text. */
export function isError(value: unknown): boolean {
  return (typeof value === 'object' && value !== null) || (typeof value === 'string' && value !== '');
}
