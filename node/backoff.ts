/** Bounds of the pauses between tries, ms. */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
}

/** The pauses between tries of something that fails. */
export interface Backoff {
  /** The next pause, ms: twice as long as the one before, with jitter, so that many gateways do not come back at once. */
  next(): number;
  /** It works again: the next pause is the first one. */
  reset(): void;
}

/** Doubles from the first to the longest pause; each is drawn from the upper half of its span. */
export function createBackoff({ firstMs, maxMs, random }: BackoffOptions): Backoff {
  let spanMs = firstMs;
  return {
    next() {
      const pauseMs = spanMs * (0.5 + random() / 2);
      spanMs = Math.min(spanMs * 2, maxMs);
      return pauseMs;
    },
    reset() {
      spanMs = firstMs;
    },
  };
}
