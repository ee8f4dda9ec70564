import type { Transform } from 'node:stream';
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
} from 'node:zlib';

/** A decoded answer may be so long, and so much of it may wait for the decoder; beyond, it is given up: a bomb is not worth reading. */
const MAX_DECODED_BYTES = 64_000_000;
const MAX_WAITING_BYTES = 4_000_000;

/** Ends a body that broke off without an error, so that what came of it is read. */
const UNTIL_THE_END = { finishFlush: constants.Z_SYNC_FLUSH };

const DECODERS: ReadonlyMap<string, () => Transform> = new Map([
  ['gzip', () => createGunzip(UNTIL_THE_END)],
  ['x-gzip', () => createGunzip(UNTIL_THE_END)],
  ['deflate', () => createInflate(UNTIL_THE_END)],
  ['br', () => createBrotliDecompress({ finishFlush: constants.BROTLI_OPERATION_FLUSH })],
  ['zstd', () => createZstdDecompress()],
]);

/**
 * Decodes a copy of a compressed answer on zlib's threads, for reading only: the client gets the bytes as they came. What it reads
 * lags behind what passes.
 */
export class DecodedCopy {
  readonly #decoder: Transform;
  readonly #done: Promise<void>;
  #bytes = 0;
  /** It could not be read to its end. */
  failed = false;

  private constructor(decoder: Transform, onBytes: (bytes: Buffer) => void) {
    this.#decoder = decoder;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#done = promise;
    decoder.on('data', (bytes: Buffer) => {
      this.#bytes += bytes.length;
      if (this.#bytes > MAX_DECODED_BYTES) this.#giveUp();
      else onBytes(bytes);
    });
    decoder.on('error', () => {
      this.failed = true;
    });
    decoder.on('close', resolve);
  }

  /** @returns `undefined` for a coding that can't be read, or several of them */
  static open(contentEncoding: string, onBytes: (bytes: Buffer) => void): DecodedCopy | undefined {
    const make = DECODERS.get(contentEncoding.trim().toLowerCase());
    return make === undefined ? undefined : new DecodedCopy(make(), onBytes);
  }

  /** The next bytes of the encoded body. */
  write(bytes: Buffer): void {
    if (this.#decoder.destroyed || this.#decoder.writableEnded) return;
    if (this.#decoder.writableLength + bytes.length > MAX_WAITING_BYTES) this.#giveUp();
    else this.#decoder.write(Buffer.from(bytes));
  }

  /** The body is over. Resolves when all that can be read of it was read. */
  async end(): Promise<void> {
    if (!this.#decoder.destroyed && !this.#decoder.writableEnded) this.#decoder.end();
    await this.#done;
  }

  #giveUp(): void {
    this.failed = true;
    this.#decoder.destroy();
  }
}
