/** The head of an upstream's response, as the client will see it. */
export interface ResponseHead {
  readonly status: number;
  /** Flat, after everything was removed and added. */
  readonly headers: readonly string[];
}

/** What a tap can do to the flow. Every call is harmless once the response has ended. */
export interface TapControls {
  /** Stops the flow: nothing more is written to the client and, as buffers fill, nothing more is read from the upstream. */
  pause(): void;
  /** Lets it go on, beginning with the chunk that was held. */
  resume(): void;
  /** Resets the client's connection: the response must not look complete. The upstream's is closed. */
  cut(): void;
  /** Writes bytes of the gateway's own. Only for a response without Content-Length (SSE, chunked). */
  inject(bytes: Buffer): void;
  /** Ends the response cleanly before the upstream does. Only for a response without Content-Length. */
  finish(): void;
}

/**
 * Watches a response on its way to the client, byte for byte. Its methods run inside the upstream's parser: they return at once
 * and don't throw.
 */
export interface ResponseTap {
  /** Before the head is written. */
  open(head: ResponseHead, controls: TapControls): void;
  /** What is written in place of a chunk: the same bytes, others, or none. Only for a response without Content-Length. */
  rewrite?(bytes: Buffer): Buffer;
  /** The upstream's response is complete. @returns what is still to be written before its end */
  complete?(trailers: readonly string[]): Buffer;
  /** Before each chunk is written. When it calls `pause`, this chunk waits for `resume` and is not shown again. */
  chunk(bytes: Buffer): void;
  /** The upstream's response is complete (and every chunk of it was written), or the flow broke off. Called once. */
  close(): void;
}
