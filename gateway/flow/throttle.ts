import { LRUCache } from 'lru-cache';

/** A bucket per client: `burst` tokens at once, `perMinute` of them coming back a minute. */
export interface ThrottleLimits {
  readonly burst: number;
  readonly perMinute: number;
}

/** How many clients are remembered; the least recently seen is forgotten, which only ever gives a client its burst back. */
const MAX_CLIENTS = 50_000;

interface Bucket {
  tokens: number;
  filledAtMs: number;
}

/** Whether a client may have another challenge, and if not, when. */
export type ThrottleVerdict =
  | { readonly kind: 'ok' }
  | { readonly kind: 'wait'; readonly retryAfterSec: number };

/** A token bucket per client key. */
export interface Throttle {
  take(clientKey: string, limits: ThrottleLimits): ThrottleVerdict;
}

const OK: ThrottleVerdict = { kind: 'ok' };

/**
 * Token buckets in bounded memory. The key is an address, or an IPv6 /56: one household or server gets one bucket, however
 * many addresses it has.
 * @param nowMs - a clock; one that jumps backwards refills nothing and takes nothing away
 */
export function createThrottle(nowMs: () => number): Throttle {
  const buckets = new LRUCache<string, Bucket>({ max: MAX_CLIENTS });
  return {
    take(clientKey, limits) {
      const now = nowMs();
      let bucket = buckets.get(clientKey);
      if (bucket === undefined) {
        bucket = { tokens: limits.burst, filledAtMs: now };
        buckets.set(clientKey, bucket);
      }
      refill(bucket, limits, now);
      if (bucket.tokens >= 1) {
        bucket.tokens -= 1;
        return OK;
      }
      const waitSec = ((1 - bucket.tokens) * 60) / limits.perMinute;
      return { kind: 'wait', retryAfterSec: Math.max(1, Math.ceil(waitSec)) };
    },
  };
}

function refill(bucket: Bucket, limits: ThrottleLimits, now: number): void {
  const elapsedMs = now - bucket.filledAtMs;
  bucket.filledAtMs = now;
  if (elapsedMs <= 0) return;
  bucket.tokens = Math.min(limits.burst, bucket.tokens + (elapsedMs * limits.perMinute) / 60_000);
}
