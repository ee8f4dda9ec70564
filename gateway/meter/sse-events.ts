const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const DATA = [0x64, 0x61, 0x74, 0x61];
const BOM = [0xef, 0xbb, 0xbf];
/** The line can't be a data field. */
const OTHER = -1;

/**
 * Counts Server-Sent Events as their bytes pass, in constant memory, wherever the chunks are split (WHATWG HTML, 9.2.6). An event is what a
 * client would dispatch: a block with at least one `data` field. Comments, and blocks of `id`, `event` or `retry` alone, are none.
 *
 * An event counts as begun at its `data` field, so that its content can be withheld, and as complete at the blank line.
 */
export class SseEvents {
  /** Events of which content has passed. */
  begun = 0;
  /** Events that a client has dispatched. */
  complete = 0;
  /** Characters of the line that matched `data` so far, or OTHER. */
  #matched = 0;
  #lineLength = 0;
  #isComment = false;
  #afterCr = false;
  /** The present block has a data field. */
  #hasData = false;
  /** The present block has no field yet. */
  #fresh = true;
  /** Bytes of a byte order mark seen at the very beginning; 3 when there can be none any more. */
  #bom = 0;

  /** True between two events: where another one can be put in. */
  get atBoundary(): boolean {
    return this.#fresh && this.#lineLength === 0;
  }

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 1) this.#byte(bytes[at] ?? 0);
  }

  #byte(byte: number): void {
    if (this.#bom < BOM.length) {
      if (byte === BOM[this.#bom]) {
        this.#bom += 1;
        return;
      }
      this.#bom = BOM.length;
    }
    if (byte === LF && this.#afterCr) {
      this.#afterCr = false;
      return;
    }
    this.#afterCr = byte === CR;
    if (byte === LF || byte === CR) this.#endLine();
    else this.#character(byte);
  }

  #character(byte: number): void {
    this.#lineLength += 1;
    if (this.#lineLength === 1) this.#isComment = byte === COLON;
    if (!this.#isComment) this.#fresh = false;
    if (this.#matched === OTHER) return;
    if (this.#matched === DATA.length) {
      if (byte === COLON) this.#data();
      this.#matched = OTHER;
    } else this.#matched = byte === DATA[this.#matched] ? this.#matched + 1 : OTHER;
  }

  #endLine(): void {
    // A field name alone is a field with an empty value.
    if (this.#matched === DATA.length) this.#data();
    if (this.#lineLength === 0) {
      if (this.#hasData) this.complete += 1;
      this.#hasData = false;
      this.#fresh = true;
    }
    this.#lineLength = 0;
    this.#matched = 0;
  }

  #data(): void {
    if (this.#hasData) return;
    this.#hasData = true;
    this.begun += 1;
  }
}
