import type { JsonPath } from './json-path.ts';

/** A value is kept up to this many bytes, nesting is followed so deep, and a longer key can't be one of ours. */
const MAX_VALUE_BYTES = 16_384;
const MAX_DEPTH = 512;
const MAX_KEY_BYTES = 256;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** A place in the tree of wanted paths. */
interface Want {
  readonly below: Map<string | number, Want>;
  path?: JsonPath;
}

/** An object or list that is open. */
interface Open {
  readonly isList: boolean;
  readonly want: Want | undefined;
  index: number;
  key: string | undefined;
  expectsKey: boolean;
}

/**
 * Finds a few values in a JSON document of any size, as it comes, and keeps nothing else of it. It does not check the document: a
 * damaged one gives no value or a damaged one, which the caller's checks of a count refuse. Of two members of one name the later counts, as
 * with JSON.parse.
 */
export class JsonPluck {
  readonly #root: Want = { below: new Map() };
  readonly #found = new Map<JsonPath, unknown>();
  readonly #open: Open[] = [];
  /** What the byte at hand belongs to. */
  #inside: 'none' | 'key' | 'string' | 'scalar' = 'none';
  #escaped = false;
  #key: Buffer[] = [];
  #keyBytes = 0;
  /** The value being kept: its path, and how many containers were open where it began. */
  #kept: { readonly path: JsonPath; readonly depth: number; readonly parts: Buffer[] } | undefined;
  #keptBytes = 0;
  /** Set when the value that is being kept ended at the byte at hand: whether that byte belongs to it (`after`). */
  #closing: 'before' | 'after' | undefined;
  #gaveUp = false;

  /** @param paths - none of them the beginning of another */
  constructor(paths: readonly JsonPath[]) {
    for (const path of paths) {
      let want = this.#root;
      for (const step of path) {
        const next: Want = want.below.get(step) ?? { below: new Map() };
        want.below.set(step, next);
        want = next;
      }
      want.path = path;
    }
  }

  /** The value at one of the paths, once the document was written; `undefined` when it is not there, too long or damaged. */
  at(path: JsonPath): unknown {
    return this.#found.get(path);
  }

  /** The next bytes of the document. */
  write(bytes: Buffer): void {
    let from = 0;
    for (let at = 0; at < bytes.length && !this.#gaveUp; ) {
      const wasKeeping = this.#kept !== undefined;
      const next =
        this.#inside === 'key' || this.#inside === 'string' ? this.#string(bytes, at) : this.#byte(bytes, at);
      if (!wasKeeping && this.#kept !== undefined) from = at;
      // A number ends before the byte that ends it, everything else after.
      if (wasKeeping && this.#closing)
        this.#finish(bytes.subarray(from, this.#closing === 'before' ? at : next));
      this.#closing = undefined;
      at = next;
    }
    if (this.#kept !== undefined && !this.#gaveUp) this.#keep(bytes.subarray(from));
  }

  /** One byte outside of a string. @returns where to go on */
  #byte(bytes: Buffer, at: number): number {
    switch (bytes[at]) {
      case 0x20:
      case 0x09:
      case 0x0a:
      case 0x0d:
        this.#endScalar();
        break;
      case QUOTE:
        this.#endScalar();
        this.#beginString();
        break;
      case 0x7b:
      case 0x5b:
        this.#push(bytes[at] === 0x5b);
        break;
      case 0x7d:
      case 0x5d:
        this.#endScalar();
        this.#open.pop();
        this.#endValue('after');
        break;
      case 0x2c:
        this.#endScalar();
        this.#nextMember();
        break;
      case 0x3a:
        this.#expectValue();
        break;
      default:
        if (this.#inside === 'none') {
          this.#beginValue();
          this.#inside = 'scalar';
        }
    }
    return at + 1;
  }

  /** Goes to the end of the string at hand, or of the bytes. @returns where to go on */
  #string(bytes: Buffer, from: number): number {
    let at = from;
    if (this.#escaped) {
      this.#escaped = false;
      at += 1;
    }
    while (at < bytes.length) {
      const byte = bytes[at];
      if (byte === QUOTE) {
        this.#endString(bytes, from, at);
        return at + 1;
      }
      if (byte === BACKSLASH) {
        at += 1;
        if (at === bytes.length) this.#escaped = true;
      }
      at += 1;
    }
    if (this.#inside === 'key') this.#keepKey(bytes.subarray(from));
    return bytes.length;
  }

  #beginString(): void {
    const top = this.#open.at(-1);
    if (top?.expectsKey === true) {
      this.#inside = 'key';
      this.#key = [];
      this.#keyBytes = 0;
      return;
    }
    this.#beginValue();
    this.#inside = 'string';
  }

  #endString(bytes: Buffer, from: number, end: number): void {
    if (this.#inside === 'key') {
      this.#keepKey(bytes.subarray(from, end));
      const top = this.#open.at(-1);
      if (top !== undefined) {
        top.key = this.#keyBytes > MAX_KEY_BYTES ? undefined : readKey(Buffer.concat(this.#key));
        top.expectsKey = false;
      }
    } else this.#endValue('after');
    this.#inside = 'none';
  }

  #keepKey(bytes: Buffer): void {
    this.#keyBytes += bytes.length;
    if (this.#keyBytes <= MAX_KEY_BYTES) this.#key.push(Buffer.from(bytes));
  }

  #push(isList: boolean): void {
    const want = this.#beginValue();
    if (this.#open.length === MAX_DEPTH) {
      this.#gaveUp = true;
      return;
    }
    this.#open.push({ isList, want, index: 0, key: undefined, expectsKey: !isList });
  }

  #nextMember(): void {
    const top = this.#open.at(-1);
    if (top === undefined) return;
    if (top.isList) top.index += 1;
    else top.expectsKey = true;
  }

  #expectValue(): void {
    const top = this.#open.at(-1);
    if (top !== undefined && !top.isList) top.expectsKey = false;
  }

  /** A value begins here. @returns what is wanted of it */
  #beginValue(): Want | undefined {
    if (this.#kept !== undefined) return undefined;
    const top = this.#open.at(-1);
    const step = top === undefined ? undefined : top.isList ? top.index : top.key;
    const want = top === undefined ? this.#root : step === undefined ? undefined : top.want?.below.get(step);
    if (want?.path !== undefined) {
      this.#kept = { path: want.path, depth: this.#open.length, parts: [] };
      this.#keptBytes = 0;
    }
    return want;
  }

  #endScalar(): void {
    if (this.#inside !== 'scalar') return;
    this.#inside = 'none';
    this.#endValue('before');
  }

  #endValue(closing: 'before' | 'after'): void {
    if (this.#closing === undefined && this.#kept?.depth === this.#open.length) this.#closing = closing;
  }

  #keep(bytes: Buffer): void {
    this.#keptBytes += bytes.length;
    if (this.#keptBytes <= MAX_VALUE_BYTES) this.#kept?.parts.push(Buffer.from(bytes));
  }

  #finish(last: Buffer): void {
    const kept = this.#kept;
    if (kept === undefined) return;
    this.#keep(last);
    this.#kept = undefined;
    this.#found.delete(kept.path);
    if (this.#keptBytes > MAX_VALUE_BYTES) return;
    try {
      this.#found.set(kept.path, JSON.parse(Buffer.concat(kept.parts).toString('utf8')));
    } catch {
      // Damaged: as if it were not there.
    }
  }
}

function readKey(raw: Buffer): string | undefined {
  const text = raw.toString('utf8');
  if (!text.includes('\\')) return text;
  try {
    const key: unknown = JSON.parse(`"${text}"`);
    return typeof key === 'string' ? key : undefined;
  } catch {
    return undefined;
  }
}
