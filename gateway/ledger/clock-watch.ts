import type { Store } from './store.ts';

/**
 * A store's clock that is further ahead than this has had the time of a clock that was wrong: it is no more the few seconds by which
 * machines differ. Seconds.
 */
export const MAX_CLOCK_AHEAD_SEC = 60;

/** How far the store's clock is ahead of this machine's. */
export interface ClockWatch {
  /** Seconds, as of the last look; 0 when it is not ahead. */
  aheadSec(): number;
  /** Looks. @throws StoreError */
  refresh(): Promise<void>;
}

/**
 * The store's clock never goes back, so that what was over stays over. A machine whose clock was ahead once, for one purge, has taken
 * it along for good: what is sold by the right clock is too late by the store's when its buyer comes.
 * @param onTooFar - told when it is found too far ahead, and again (`undefined`) when it is not any more
 */
export function clockWatch(
  store: Pick<Store, 'clock'>,
  nowMs: () => number,
  onTooFar: (aheadSec: number | undefined) => void,
): ClockWatch {
  let aheadSec = 0;
  return {
    aheadSec: () => aheadSec,
    async refresh() {
      const wasTooFar = aheadSec > MAX_CLOCK_AHEAD_SEC;
      aheadSec = Math.max(0, (await store.clock()) - Math.floor(nowMs() / 1000));
      const isTooFar = aheadSec > MAX_CLOCK_AHEAD_SEC;
      if (isTooFar !== wasTooFar) onTooFar(isTooFar ? aheadSec : undefined);
    },
  };
}
