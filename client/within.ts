import type { Clock } from './clock.ts';

/** What a promise resolves to, or `undefined` when that takes too long. It is then left alone, not cancelled. */
export async function within<T>(promise: Promise<T>, ms: number, clock: Clock): Promise<T | undefined> {
  const stop = new AbortController();
  const late = clock.sleep(Math.max(0, ms), stop.signal).then(() => undefined);
  // Should it fail after we stopped waiting, nobody is there to hear it.
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
  }
}
