import type { AwakeTimers } from './awake-timers.ts';

/** Watches over somebody who has to be heard of. */
export interface SilenceWatch {
  /** It said something, whatever that was. */
  heard(): void;
  /** It is gone. */
  end(): void;
}

/** What is done about silence. */
export interface OnSilence {
  /** Half of the time is over. May be called again, when it was heard meanwhile. */
  readonly onQuiet: (silentMs: number) => void;
  /** All of it is over. The last thing that is called. */
  readonly onSilent: (silentMs: number) => void;
}

/**
 * Waits for signs of life from now on.
 *
 * To say so at half of the time is for the operator, and for whoever stopped the output of all processes (Ctrl-S in a terminal): the
 * primary then stands still with its workers when it writes that line, long before it would kill them.
 * @param limitMs - how long it may be silent, ms
 */
export function watchSilence(timers: AwakeTimers, limitMs: number, on: OnSilence): SilenceWatch {
  const quiet = timers.after(limitMs / 2, () => on.onQuiet(limitMs / 2));
  const silent = timers.after(limitMs, () => {
    end();
    on.onSilent(limitMs);
  });
  const end = (): void => {
    quiet.cancel();
    silent.cancel();
  };
  return {
    heard() {
      quiet.again();
      silent.again();
    },
    end,
  };
}
