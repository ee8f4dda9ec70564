import { setTimeout as wait } from 'node:timers/promises';

/** How long to wait for one thing, ms. */
export interface Patience {
  readonly limitMs: number;
  readonly everyMs?: number;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Asks until the answer is not `undefined`. An error of the question counts as "not yet"; the last one is the cause when
 * time is over.
 * @throws Error that names what was waited for; the signal's reason
 */
export async function waitFor<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  { limitMs, everyMs = 100, signal }: Patience,
): Promise<T> {
  const end = Date.now() + limitMs;
  let cause: unknown;
  for (;;) {
    signal?.throwIfAborted();
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (Date.now() >= end) {
      const why = cause instanceof Error ? ` (${cause.message})` : '';
      throw new Error(`${what} did not happen within ${Math.round(limitMs / 1000)} s${why}.`, { cause });
    }
    await wait(everyMs);
  }
}
