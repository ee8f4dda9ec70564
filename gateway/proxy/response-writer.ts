import type { ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import { responseTrailers } from './headers.ts';
import type { ResponseTap, TapControls } from './response-tap.ts';

/** What the writer tells its exchange. */
export interface WriterEvents {
  /** All was handed to the client's connection. */
  finished(): void;
  /** The tap cut the response. */
  cut(): void;
  /** The tap ended the response before the upstream did. */
  ended(): void;
}

/** A body up to this is copied into one string with the head, which is one write instead of two. */
const ONE_WRITE_BYTES = 16_384;

/**
 * Writes an upstream's response to the client at the client's pace. The head waits for the rest of what the parser holds: a
 * small response goes out in one write, and a response whose body is not there yet (SSE) goes out before the event loop turns.
 */
export class ResponseWriter {
  readonly #res: ServerResponse;
  readonly #controller: Dispatcher.DispatchController;
  readonly #tap: ResponseTap | undefined;
  readonly #events: WriterEvents;
  /** The first chunk, while the head still waits. */
  #first: Buffer | undefined;
  #flushed = false;
  #clientBlocked = false;
  #drainBound = false;
  #tapPaused = false;
  #tapClosed = false;
  /** Chunks that came while the tap was paused: the one it paused at, and what undici had read when the upstream closed. */
  #held: Buffer[] = [];
  #trailers: readonly (Buffer | string)[] | undefined;
  #closed = false;
  /** Bytes of the body that were written. */
  bytes = 0;
  /** The response is complete and only has to leave. */
  ending = false;
  /** The upstream has nothing more to say. */
  upstreamDone = false;

  constructor(
    res: ServerResponse,
    controller: Dispatcher.DispatchController,
    tap: ResponseTap | undefined,
    events: WriterEvents,
  ) {
    this.#res = res;
    this.#controller = controller;
    this.#tap = tap;
    this.#events = events;
  }

  /** True while somebody else than the upstream keeps the response waiting. */
  get waitsForClient(): boolean {
    return this.#clientBlocked || this.#tapPaused || this.upstreamDone;
  }

  /** The head was given to the response, and will leave with the first chunk or on the next tick. */
  open(status: number, headers: readonly string[]): void {
    process.nextTick(flushWriter, this);
    this.#tap?.open({ status, headers }, this.#controls());
  }

  /** A chunk came from the upstream. */
  chunk(chunk: Buffer): void {
    if (this.ending || this.#closed) return;
    if (this.#tap === undefined) {
      this.#write(chunk);
      return;
    }
    if (this.#tapPaused) {
      this.#held.push(chunk);
      return;
    }
    this.#tapChunk(this.#tap, chunk);
  }

  /** Shows a chunk to the tap, and writes it unless the tap paused or cut at it. @returns whether the flow goes on */
  #tapChunk(tap: ResponseTap, read: Buffer): boolean {
    const chunk = tap.rewrite?.(read) ?? read;
    if (chunk.length === 0) return true;
    tap.chunk(chunk);
    if (this.ending || this.#closed) return false;
    if (!this.#tapPaused) {
      this.#write(chunk);
      return true;
    }
    this.#shown = chunk;
    return false;
  }

  /** The chunk at which the tap paused: it has been counted, and is written first on resume. */
  #shown: Buffer | undefined;

  #write(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (!this.#flushed) {
      if (this.#first === undefined) {
        this.#first = chunk;
        return;
      }
      this.flush();
    }
    if (!this.#res.write(chunk)) this.#blockOnClient();
  }

  /** Sends the head, and the first chunk with it. */
  flush(): void {
    if (this.#flushed || this.#closed) return;
    this.#flushed = true;
    const first = this.#first;
    this.#first = undefined;
    if (first === undefined) this.#res.flushHeaders();
    else if (!this.#res.write(first)) this.#blockOnClient();
  }

  #blockOnClient(): void {
    this.#clientBlocked = true;
    this.#controller.pause();
    if (this.#drainBound) return;
    this.#drainBound = true;
    this.#res.on('drain', () => {
      this.#clientBlocked = false;
      this.#goOn();
    });
  }

  /** Reads on when neither client nor tap holds the response back. */
  #goOn(): void {
    if (!this.#clientBlocked && !this.#tapPaused && !this.upstreamDone && !this.#closed)
      this.#controller.resume();
  }

  /** The upstream's response is complete. */
  end(trailers: readonly (Buffer | string)[]): void {
    this.upstreamDone = true;
    this.#trailers = trailers;
    if (!this.#tapPaused) this.#endResponse();
  }

  #endResponse(): void {
    if (this.ending || this.#closed) return;
    const rest = this.upstreamDone
      ? this.#tap?.complete?.(responseTrailers(this.#trailers ?? []).flat())
      : undefined;
    if (rest !== undefined && rest.length > 0) this.#write(rest);
    this.ending = true;
    this.#closeTap();
    if (this.#trailers !== undefined && this.#trailers.length > 0)
      this.#res.addTrailers(responseTrailers(this.#trailers));
    const first = this.#first;
    this.#first = undefined;
    this.#flushed = true;
    const finished = () => this.#events.finished();
    if (first === undefined) this.#res.end(finished);
    else if (first.length <= ONE_WRITE_BYTES) this.#res.end(first.toString('latin1'), 'latin1', finished);
    else this.#res.end(first, finished);
  }

  /** The exchange is over, for whatever reason. */
  close(): void {
    this.#closed = true;
    this.#held = [];
    this.#shown = undefined;
    this.#closeTap();
  }

  #closeTap(): void {
    if (this.#tapClosed) return;
    this.#tapClosed = true;
    this.#tap?.close();
  }

  #controls(): TapControls {
    const live = () => !this.ending && !this.#closed;
    return {
      pause: () => {
        if (!live()) return;
        this.#tapPaused = true;
        if (!this.upstreamDone) this.#controller.pause();
      },
      // On the next tick: a meter may resume many streams from inside one stream's parser, which must not be entered twice.
      resume: () => process.nextTick(() => this.#resumeFromTap()),
      cut: () => {
        if (live()) this.#events.cut();
      },
      inject: (bytes) => {
        if (!live()) return;
        this.flush();
        if (!this.#res.write(bytes)) this.#blockOnClient();
      },
      finish: () => {
        if (!live()) return;
        this.#held = [];
        this.#shown = undefined;
        this.#tapPaused = false;
        this.#endResponse();
        this.#events.ended();
      },
    };
  }

  #resumeFromTap(): void {
    if (!this.#tapPaused || this.ending || this.#closed || this.#tap === undefined) return;
    this.#tapPaused = false;
    const shown = this.#shown;
    this.#shown = undefined;
    if (shown !== undefined) this.#write(shown);
    while (this.#held.length > 0) {
      const chunk = this.#held.shift();
      if (chunk !== undefined && !this.#tapChunk(this.#tap, chunk)) return;
    }
    if (this.upstreamDone) this.#endResponse();
    else this.#goOn();
  }
}

function flushWriter(writer: ResponseWriter): void {
  writer.flush();
}
