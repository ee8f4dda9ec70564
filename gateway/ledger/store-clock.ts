/**
 * The store's clock, whole Unix seconds: the injected one, but never going back, so that what was over stays over when the
 * machine's clock is set back.
 * @param notBeforeSec - the latest moment that the store itself remembers
 */
export function storeClock(nowMs: () => number, notBeforeSec: number): () => number {
  let latestSec = notBeforeSec;
  return () => {
    const nowSec = Math.floor(nowMs() / 1000);
    if (nowSec > latestSec) latestSec = nowSec;
    return latestSec;
  };
}
