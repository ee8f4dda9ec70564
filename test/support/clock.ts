/** A clock that stands still until it is told to move. */
export interface ManualClock {
  readonly nowMs: () => number;
  /** Whole Unix seconds. */
  readonly nowSec: () => number;
  /** May be negative: machines' clocks are set back. */
  advanceSec(seconds: number): void;
}

/** A manual clock, at 2030-01-01 unless told otherwise. */
export function manualClock(startSec = 1_893_456_000): ManualClock {
  let nowMs = startSec * 1000;
  return {
    nowMs: () => nowMs,
    nowSec: () => Math.floor(nowMs / 1000),
    advanceSec(seconds) {
      nowMs += seconds * 1000;
    },
  };
}
