import type { JsonPath } from './json-path.ts';
import { JsonRecord, type JsonView } from './json-record.ts';

/** Reads newline-delimited JSON as it comes, in bounded memory. */
export class JsonLines {
  readonly #record: JsonRecord;
  readonly #onLine: (view: JsonView) => void;

  constructor(paths: readonly JsonPath[], onLine: (view: JsonView) => void) {
    this.#record = new JsonRecord(paths);
    this.#onLine = onLine;
  }

  /** The next bytes of the body. */
  write(bytes: Buffer): void {
    let from = 0;
    for (;;) {
      const end = bytes.indexOf(0x0a, from);
      if (end === -1) break;
      this.#record.write(bytes.subarray(from, end));
      this.end();
      from = end + 1;
    }
    this.#record.write(bytes.subarray(from));
  }

  /** The body is complete: the last line needs no end of line. */
  end(): void {
    const view = this.#record.finish();
    if (view !== undefined) this.#onLine(view);
  }
}
