import { storeClock } from '../store-clock.ts';

/** The clock of a store in Redis: that of the server which runs the script, but never before what the store has written down. */
export interface RedisClock {
  /** What each script is given: the latest second that is known, or with a minus sign the injected one. */
  argument(): string;
  /** The latest second that is known, or the injected one. */
  readonly latestSec: () => number;
  /** Notes what the store has written down. */
  note(sec: number): void;
}

/** @param nowMs - for tests; absent, each server's own clock is asked */
export function redisClock(notBeforeSec: number, nowMs: (() => number) | undefined): RedisClock {
  let latestSec = notBeforeSec;
  const injected = nowMs && storeClock(nowMs, notBeforeSec);
  const read = () => {
    if (injected !== undefined) latestSec = Math.max(latestSec, injected());
    return latestSec;
  };
  return {
    argument: () => (injected === undefined ? `${latestSec}` : `-${read()}`),
    latestSec: read,
    note(sec) {
      latestSec = Math.max(latestSec, sec);
    },
  };
}
