import type { Clock } from './clock.ts';

/** A bound on how long something may take. */
export interface TimeLimit {
  /** Aborts when the time is over. */
  readonly signal: AbortSignal;
  /** It was done in time. */
  stop(): void;
}

/** Starts a {@link TimeLimit} of `ms`. */
export function startTimeLimit(clock: Clock, ms: number): TimeLimit {
  const late = new AbortController();
  const done = new AbortController();
  void clock.sleep(ms, done.signal).then(() => {
    if (!done.signal.aborted) late.abort();
  });
  return { signal: late.signal, stop: () => done.abort() };
}
