/** One event of a stream of Server-Sent Events (WHATWG HTML, 9.2.6). */
export interface SseEvent {
  /** `message` when the stream names none. */
  readonly name: string;
  readonly data: string;
}

/** A piece of a stream that ends between two events. */
export interface SseBlock {
  /** The bytes as they came, with what is no event (comments, blank lines). */
  readonly bytes: Uint8Array;
  /** Absent when the block dispatches nothing. */
  readonly event?: SseEvent;
}

const LF = 10;
const CR = 13;

/**
 * Cuts a stream of Server-Sent Events into whole blocks, wherever its chunks are split, and reads them. A block that is
 * longer than `maxBlockBytes` passes unread, in pieces: memory stays bounded and no byte is lost.
 */
export class SseReader {
  /** What a client would send back in `Last-Event-ID`; empty when no event had an id. */
  lastEventId = '';
  readonly #maxBlockBytes: number;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #lineBytes = 0;
  #afterCr = false;
  /** The present block is too long to be read. */
  #skipping = false;
  #isFirst = true;

  constructor(maxBlockBytes = 1_048_576) {
    this.#maxBlockBytes = maxBlockBytes;
  }

  /** The blocks that are complete with this chunk. */
  push(chunk: Uint8Array): readonly SseBlock[] {
    const blocks: SseBlock[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      const isSecondOfPair = byte === LF && this.#afterCr;
      this.#afterCr = byte === CR;
      if (isSecondOfPair) continue;
      if (byte !== LF && byte !== CR) {
        this.#lineBytes += 1;
        continue;
      }
      const isBlank = this.#lineBytes === 0;
      this.#lineBytes = 0;
      if (!isBlank) continue;
      blocks.push(this.#close(chunk.subarray(start, at + 1)));
      start = at + 1;
    }
    this.#hold(chunk.subarray(start));
    if (this.#heldBytes > this.#maxBlockBytes) {
      blocks.push({ bytes: this.#take() });
      this.#skipping = true;
    }
    return blocks;
  }

  /** What is left of a block that never ended; the next chunk begins a new block. */
  rest(): Uint8Array {
    this.#lineBytes = 0;
    this.#afterCr = false;
    this.#skipping = false;
    return this.#take();
  }

  #close(last: Uint8Array): SseBlock {
    this.#hold(last);
    const wasSkipping = this.#skipping;
    this.#skipping = false;
    const bytes = this.#take();
    if (wasSkipping) return { bytes };
    const text = new TextDecoder('utf-8', { ignoreBOM: !this.#isFirst }).decode(bytes);
    this.#isFirst = false;
    const event = this.#read(text);
    return event === undefined ? { bytes } : { bytes, event };
  }

  #read(text: string): SseEvent | undefined {
    let name = '';
    const data: string[] = [];
    for (const line of text.split(/\r\n|\r|\n/)) {
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'data') data.push(value);
      else if (field === 'event') name = value;
      else if (field === 'id' && !value.includes('\0')) this.lastEventId = value;
    }
    return data.length === 0 ? undefined : { name: name === '' ? 'message' : name, data: data.join('\n') };
  }

  #hold(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
  }

  #take(): Uint8Array {
    const [first] = this.#held;
    const bytes = this.#held.length === 1 && first !== undefined ? first : new Uint8Array(this.#heldBytes);
    if (this.#held.length > 1) {
      let at = 0;
      for (const piece of this.#held) {
        bytes.set(piece, at);
        at += piece.length;
      }
    }
    this.#held = [];
    this.#heldBytes = 0;
    return bytes;
  }
}
