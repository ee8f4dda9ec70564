import type { Store } from './store.ts';

/**
 * A store's clock that is further ahead than this has had the time of a clock that was wrong: it is no more the few seconds by which
 * machines differ. Seconds.
 */
export const MAX_CLOCK_AHEAD_SEC = 60;

/** How far the store's clock is ahead of this machine's. */
export interface ClockWatch {
  /** Seconds between the store's clock at the last look and ours now, so that it is known the moment that ours goes back; 0: not ahead. */
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
  let storeSec = 0;
  let told = false;
  const aheadSec = (): number => Math.max(0, storeSec - Math.floor(nowMs() / 1000));
  return {
    aheadSec,
    async refresh() {
      storeSec = await store.clock();
      const ahead = aheadSec();
      if (ahead > MAX_CLOCK_AHEAD_SEC === told) return;
      told = !told;
      onTooFar(told ? ahead : undefined);
    },
  };
}
