/** Lets bytes pass at a rate. */
export interface Pacer {
  /** Takes a chunk. @returns after how many ms it may pass; 0 for at once */
  take(bytes: number, nowMs: number): number;
}

/**
 * A token bucket that may run into debt: a chunk passes as soon as the ones before it are paid for in time, so that a chunk larger
 * than the bucket still passes, and the rate holds over any two chunks.
 * @param bytesPerSec - the rate
 * @param burstBytes - what may pass at once after a pause
 */
export function createPacer(bytesPerSec: number, burstBytes: number, nowMs: number): Pacer {
  let tokens = burstBytes;
  let atMs = nowMs;
  return {
    take(bytes, now) {
      tokens = Math.min(burstBytes, tokens + (Math.max(0, now - atMs) * bytesPerSec) / 1000);
      atMs = Math.max(atMs, now);
      const waitMs = tokens >= 0 ? 0 : Math.ceil((-tokens * 1000) / bytesPerSec);
      tokens -= bytes;
      return waitMs;
    },
  };
}
