import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { GatewayError } from '../errors.ts';

/** True when a request announces a body. */
export function hasBody(req: IncomingMessage): boolean {
  const { headers } = req;
  if (headers['transfer-encoding'] !== undefined) return true;
  const length = headers['content-length'];
  return length !== undefined && length !== '0';
}

/** The announced length in bytes; undefined for a chunked body. */
export function announcedLength(req: IncomingMessage): number | undefined {
  const length = req.headers['content-length'];
  return length === undefined ? undefined : Number(length);
}

/** What an upload tap can do to the flow. */
export interface UploadControls {
  /** Nothing more is read from the client; the chunk just shown waits. */
  pause(): void;
  /** Lets it go on, beginning with the chunk that waits. */
  resume(): void;
}

/** Watches a request's body on its way to the upstream. Its methods return at once and don't throw. */
export interface UploadTap {
  /** Before the first byte. */
  open(controls: UploadControls): void;
  /** Before each chunk goes on. When it calls `pause`, this chunk waits for `resume` and is not shown again. */
  chunk(bytes: Buffer): void;
}

/** Who wants to know about a body on its way. */
export interface RequestBodyOptions {
  readonly maxBytes: number;
  /** Sends `100 Continue`; called when the upstream takes the first byte, never before. */
  readonly sendContinue?: (() => void) | undefined;
  readonly onTooLarge: () => void;
  readonly tap?: UploadTap | undefined;
}

/**
 * A request's body on its way to the upstream: bounded, at the upstream's pace, and separate from the request itself, because
 * undici destroys the stream that it is given, and with the request would go the client's connection.
 */
export class RequestBody extends Readable {
  readonly #req: IncomingMessage;
  readonly #options: RequestBodyOptions;
  #started = false;
  #bytes = 0;
  /** The tap holds the body back; `held` is the chunk at which it did. */
  #tapPaused = false;
  #held: Buffer | undefined;
  /** The client has sent everything, while a chunk was held. */
  #endsAfterHeld = false;

  constructor(req: IncomingMessage, options: RequestBodyOptions) {
    super({ highWaterMark: 65_536 });
    this.#req = req;
    this.#options = options;
    options.tap?.open({ pause: () => this.#pauseFromTap(), resume: () => this.#resumeFromTap() });
  }

  #pauseFromTap(): void {
    this.#tapPaused = true;
    if (this.#started) this.#req.pause();
  }

  #resumeFromTap(): void {
    if (!this.#tapPaused || this.destroyed) return;
    this.#tapPaused = false;
    const held = this.#held;
    this.#held = undefined;
    const wantsMore = held === undefined || this.push(held);
    if (this.#endsAfterHeld) this.push(null);
    else if (wantsMore && this.#started) this.#req.resume();
  }

  /** Bytes taken from the client. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True while the next byte must come from the client or the tap holds it back, so that the upstream can't be blamed for the wait. */
  get waitsForClient(): boolean {
    if (this.#tapPaused && !this.destroyed) return true;
    return (
      this.#started && !this.readableEnded && !this.destroyed && !this.#req.isPaused() && !this.#req.complete
    );
  }

  override _read(): void {
    if (this.#started) {
      if (!this.#tapPaused) this.#req.resume();
      return;
    }
    this.#started = true;
    this.#options.sendContinue?.();
    this.#req
      .on('data', this.#onData)
      .on('end', this.#onEnd)
      .on('error', this.#onGone)
      .on('close', this.#onGone);
    if (this.#req.readableEnded) this.push(null);
    else if (this.#req.destroyed) this.#onGone();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#req
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('error', this.#onGone)
      .off('close', this.#onGone);
    callback(error);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#options.maxBytes) {
      this.#options.onTooLarge();
      return;
    }
    this.#options.tap?.chunk(chunk);
    if (this.#tapPaused) this.#held = chunk;
    else if (!this.push(chunk)) this.#req.pause();
  };

  readonly #onEnd = (): void => {
    if (this.#held === undefined) this.push(null);
    else this.#endsAfterHeld = true;
  };

  readonly #onGone = (): void => {
    if (!this.#req.readableEnded) this.destroy(new Error('the client went away during its upload'));
  };
}

/** Bounds of {@link readBody}. */
export interface ReadBodyLimits {
  readonly maxBytes: number;
  /** The whole body must be there after this, ms. */
  readonly timeoutMs: number;
  readonly sendContinue?: (() => void) | undefined;
  /** Called with the size of each chunk before it is kept; an error that it returns ends the reading. */
  readonly take?: ((bytes: number) => GatewayError | undefined) | undefined;
}

/**
 * Reads a whole body, for what must be known before anything is charged (the hash that an Idempotency-Key is bound to).
 * @throws GatewayError `body-too-large`; `bad-request` when it does not arrive whole and in time; what `take` returned
 */
export async function readBody(req: IncomingMessage, limits: ReadBodyLimits): Promise<Buffer> {
  if (!hasBody(req)) return Buffer.alloc(0);
  const tooLarge = () =>
    new GatewayError(
      'body-too-large',
      `The request body is over ${limits.maxBytes} bytes, which is the limit here.`,
    );
  if ((announcedLength(req) ?? 0) > limits.maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const onData = (chunk: Buffer) => {
    bytes += chunk.length;
    const refusal = bytes > limits.maxBytes ? tooLarge() : limits.take?.(chunk.length);
    if (refusal === undefined) {
      chunks.push(chunk);
      return;
    }
    // Nothing more of it is kept, in the time until the reader has heard.
    req.off('data', onData);
    reject(refusal);
  };
  const onEnd = () => resolve(Buffer.concat(chunks, bytes));
  const onGone = () =>
    reject(new GatewayError('bad-request', 'The request body ended before it was complete.'));
  const timer = setTimeout(() => {
    reject(new GatewayError('bad-request', `The request body did not arrive within ${limits.timeoutMs} ms.`));
  }, limits.timeoutMs);
  limits.sendContinue?.();
  req.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
  if (req.readableEnded) onEnd();
  else if (req.destroyed) onGone();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    req.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
    // What may still come is nobody's to keep; the server bounds how much of it is read (server.ts).
    if (!req.readableEnded) req.pause();
  }
}
