import { atPath, type JsonPath } from './json-path.ts';
import { JsonPluck } from './json-pluck.ts';

/** A document up to this is parsed whole; of a longer one only the wanted values are kept. */
const MAX_WHOLE_BYTES = 65_536;

/** What there is to read of one JSON document. */
export interface JsonView {
  /** The whole document; `undefined` when it was too long to keep, or is not JSON. */
  readonly document: unknown;
  /** The value at one of the paths that the reader was made for (the same array, not an equal one). */
  at(path: JsonPath): unknown;
}

/** Reads one JSON document as it comes, in bounded memory: a line of NDJSON, the data of an SSE event, a whole answer. */
export class JsonRecord {
  readonly #paths: readonly JsonPath[];
  #parts: Buffer[] = [];
  #pluck: JsonPluck | undefined;
  /** Bytes of the document so far. */
  bytes = 0;

  constructor(paths: readonly JsonPath[]) {
    this.#paths = paths;
  }

  /** The next bytes. They are copied when they are kept. */
  write(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.bytes += bytes.length;
    if (this.#pluck === undefined && this.bytes <= MAX_WHOLE_BYTES) {
      this.#parts.push(Buffer.from(bytes));
      return;
    }
    if (this.#pluck === undefined) {
      this.#pluck = new JsonPluck(this.#paths);
      for (const part of this.#parts) this.#pluck.write(part);
      this.#parts = [];
    }
    this.#pluck.write(bytes);
  }

  /** The document is complete. Makes the record ready for the next one. @returns `undefined` when it was empty */
  finish(): JsonView | undefined {
    const [pluck, parts, bytes] = [this.#pluck, this.#parts, this.bytes];
    this.#pluck = undefined;
    this.#parts = [];
    this.bytes = 0;
    if (bytes === 0) return undefined;
    if (pluck !== undefined) return { document: undefined, at: (path) => pluck.at(path) };
    const document = parse(
      parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, bytes),
    );
    return { document, at: (path) => atPath(document, path) };
  }
}

function parse(bytes: Buffer): unknown {
  // `[DONE]`, keep-alives and empty lines are no JSON, and the parser's exception costs more than this look.
  const first = bytes[0] === 0x20 ? bytes[1] : bytes[0];
  if (first === 0x5b && bytes.indexOf('[DONE]') !== -1 && bytes.length < 16) return undefined;
  try {
    const document: unknown = JSON.parse(bytes.toString('utf8'));
    return document;
  } catch {
    return undefined;
  }
}
