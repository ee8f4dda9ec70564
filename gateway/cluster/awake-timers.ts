/*
 * How long a worker may take for something must not be counted while nobody could hear that it did: while the primary was busy, stopped
 * (Ctrl-Z stops all processes of a group, and `fg` wakes them in any order), or frozen with its container. By the plain clock, the first
 * thing that such a primary does is to kill workers whose messages it has not read yet.
 */

/** A time that runs. */
export interface AwakeTimer {
  /** It starts anew, also when it was over. Nothing once it was cancelled. */
  again(): void;
  cancel(): void;
}

/** Timers that count only the time for which this process ran. */
export interface AwakeTimers {
  /** @param then - called at the first look after so much time, ms */
  after(delayMs: number, then: () => void): AwakeTimer;
}

interface Running {
  readonly then: () => void;
  dueAtMs: number;
}

/**
 * Makes such timers: the clock is looked at again and again, and what lies between two looks counts as one period at the most. From one to
 * the next the event loop turns, and what has come from the workers is read.
 * @param lookEveryMs - the period, ms
 * @param nowMs - a clock that never goes back
 */
export function createAwakeTimers(lookEveryMs: number, nowMs: () => number): AwakeTimers {
  const running = new Set<Running>();
  let looking: NodeJS.Timeout | undefined;
  let lookedAtMs = 0;
  let countedMs = 0;

  const awakeMs = (): number => countedMs + Math.min(nowMs() - lookedAtMs, lookEveryMs);
  const look = (): void => {
    countedMs = awakeMs();
    lookedAtMs = nowMs();
    for (const timer of [...running]) {
      // One that is over may have ended others.
      if (timer.dueAtMs > countedMs || !running.has(timer)) continue;
      end(timer);
      timer.then();
    }
  };
  const begin = (timer: Running, delayMs: number): void => {
    if (looking === undefined) {
      lookedAtMs = nowMs();
      looking = setInterval(look, lookEveryMs);
    }
    timer.dueAtMs = awakeMs() + delayMs;
    running.add(timer);
  };
  const end = (timer: Running): void => {
    running.delete(timer);
    if (running.size > 0) return;
    clearInterval(looking);
    looking = undefined;
  };

  return {
    after(delayMs, then) {
      const timer: Running = { then, dueAtMs: 0 };
      let cancelled = false;
      begin(timer, delayMs);
      return {
        again: () => {
          if (!cancelled) begin(timer, delayMs);
        },
        cancel: () => {
          cancelled = true;
          end(timer);
        },
      };
    },
  };
}
