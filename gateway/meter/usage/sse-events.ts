import type { JsonPath } from './json-path.ts';
import { JsonRecord, type JsonView } from './json-record.ts';

/** An event that may be taken out is held back up to this many bytes; a longer one goes on. */
const MAX_HELD_BYTES = 16_384;

const LF = 0x0a;
const CR = 0x0d;
const NEWLINE = Buffer.from('\n');
const DATA = Buffer.from('data');
const COLON = 0x3a;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const NOTHING = Buffer.alloc(0);

/** What becomes of an event that was read. */
export type EventVerdict = 'keep' | 'remove';

/** What an {@link SseEvents} does with the events. */
export interface SseEventsOptions {
  /** Values to find in data that is too long to keep. */
  readonly paths: readonly JsonPath[];
  /** The data of an event, as JSON; what is not JSON has no document. `remove` is heard only from a filter. */
  readonly onEvent: (data: JsonView) => EventVerdict;
  /** `filter` holds each event back until it is complete, so that it can be taken out; `watch` never holds a byte. */
  readonly mode: 'watch' | 'filter';
}

/**
 * Reads server-sent events as they come (WHATWG HTML, 9.2.6), in bounded memory, wherever the chunks are split and whichever of CRLF, LF
 * and CR ends the lines. As a filter it takes whole events out, with the blank line that ends them, and leaves every other byte as it is.
 */
export class SseEvents {
  readonly #onEvent: SseEventsOptions['onEvent'];
  readonly #filters: boolean;
  readonly #record: JsonRecord;
  /** The name of the field, while the line at hand is not past it; `data` and `skip` after. */
  #line: 'name' | 'data' | 'skip' = 'name';
  #name: number[] = [];
  #lineEmpty = true;
  #eventHasData = false;
  #firstLine = true;
  /** The last byte was a CR that ended a line: an LF right after it belongs to it. */
  #afterCr = false;
  /** The event that the CR ended was taken out, so the LF goes too. */
  #removedAtCr = false;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** The event at hand got too long to be held: it has gone on in part. */
  #released = false;

  constructor(options: SseEventsOptions) {
    this.#onEvent = options.onEvent;
    this.#filters = options.mode === 'filter';
    this.#record = new JsonRecord(options.paths);
  }

  /** The next bytes of the body. @returns the bytes that go on now: `bytes` itself unless some are held back or taken out */
  write(bytes: Buffer): Buffer {
    if (bytes.length === 0) return bytes;
    const out: Buffer[] = [];
    /** Where the bytes begin that nothing was decided about, and where the event at hand begins. */
    let from = 0;
    let event = 0;
    let at = 0;
    if (this.#afterCr) {
      this.#afterCr = false;
      if (bytes[0] === LF) {
        at = 1;
        // The LF of an event's last line is no byte of the next event.
        if (this.#lineEmpty && !this.#eventHasData && this.#heldBytes === 0) event = 1;
        if (this.#removedAtCr) from = 1;
      }
    }
    this.#removedAtCr = false;
    while (at < bytes.length) {
      const end = endOfLine(bytes, at);
      if (end > at) this.#text(bytes.subarray(at, end));
      if (end === bytes.length) break;
      at = this.#passLineEnd(bytes, end);
      const verdict = this.#endLine();
      if (verdict === undefined) continue;
      if (verdict === 'remove' && !this.#released) {
        out.push(bytes.subarray(from, event));
        from = at;
        this.#removedAtCr = this.#afterCr;
      } else {
        out.push(...this.#held);
      }
      this.#forget();
      event = at;
    }
    if (!this.#filters) return bytes;
    return joined(this.#holdRest(bytes, from, event, out), bytes);
  }

  /** The body is complete. An event without its blank line counts all the same. @returns the bytes that were held back */
  end(): Buffer {
    const verdict = this.#eventHasData ? this.#endEvent() : 'keep';
    const held = verdict === 'remove' && !this.#released ? NOTHING : Buffer.concat(this.#held);
    this.#forget();
    return held;
  }

  /** Holds the incomplete event at the end of a chunk back, or lets it go when it is too long. */
  #holdRest(bytes: Buffer, from: number, event: number, out: Buffer[]): Buffer[] {
    const rest = bytes.length - event;
    if (this.#released || this.#heldBytes + rest > MAX_HELD_BYTES) {
      if (rest > 0 || this.#heldBytes > 0) this.#released = true;
      out.push(...this.#held, bytes.subarray(from));
      this.#held = [];
      this.#heldBytes = 0;
      return out;
    }
    if (event > from) out.push(bytes.subarray(from, event));
    if (rest > 0) {
      this.#held.push(Buffer.from(bytes.subarray(event)));
      this.#heldBytes += rest;
    }
    return out;
  }

  #forget(): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#released = false;
  }

  /** @returns where the next line begins */
  #passLineEnd(bytes: Buffer, end: number): number {
    if (bytes[end] === LF) return end + 1;
    if (end + 1 === bytes.length) {
      this.#afterCr = true;
      return end + 1;
    }
    return bytes[end + 1] === LF ? end + 2 : end + 1;
  }

  /** A part of the line at hand. */
  #text(part: Buffer): void {
    this.#lineEmpty = false;
    if (this.#line === 'skip') return;
    if (this.#line === 'data') {
      this.#record.write(part);
      return;
    }
    for (let at = 0; at < part.length; at += 1) {
      const byte = part[at] ?? 0;
      if (byte === COLON) {
        this.#endName();
        this.#text(part.subarray(at + 1));
        return;
      }
      this.#name.push(byte);
      // A BOM and the four letters.
      if (this.#name.length > BOM.length + DATA.length) {
        this.#line = 'skip';
        return;
      }
    }
  }

  #endName(): void {
    let name = Buffer.from(this.#name);
    if (this.#firstLine && name.subarray(0, BOM.length).equals(BOM)) name = name.subarray(BOM.length);
    this.#line = name.equals(DATA) ? 'data' : 'skip';
    if (this.#line === 'skip') return;
    // Lines of data are joined by a line end.
    if (this.#eventHasData) this.#record.write(NEWLINE);
    this.#eventHasData = true;
  }

  /** @returns the verdict when the line was the blank one that ends an event */
  #endLine(): EventVerdict | undefined {
    const blank = this.#lineEmpty;
    this.#line = 'name';
    this.#name = [];
    this.#lineEmpty = true;
    this.#firstLine = false;
    return blank ? this.#endEvent() : undefined;
  }

  #endEvent(): EventVerdict {
    this.#eventHasData = false;
    const data = this.#record.finish();
    return data === undefined ? 'keep' : this.#onEvent(data);
  }
}

function endOfLine(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === LF || byte === CR) return at;
  }
  return bytes.length;
}

function joined(parts: readonly Buffer[], whole: Buffer): Buffer {
  const some = parts.filter((part) => part.length > 0);
  if (some.length === 0) return NOTHING;
  if (some.length === 1 && some[0] !== undefined) return some[0].length === whole.length ? whole : some[0];
  return Buffer.concat(some);
}
