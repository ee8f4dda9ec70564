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

/** Whether a client may have another one, and if not, when. */
export type ThrottleVerdict =
  | { readonly kind: 'ok' }
  | { readonly kind: 'wait'; readonly retryAfterSec: number };

/** A token bucket per client key. */
export interface Throttle {
  take(clientKey: string, limits: ThrottleLimits): ThrottleVerdict;
  /** What {@link take} would answer; takes nothing, and remembers nobody. */
  peek(clientKey: string, limits: ThrottleLimits): ThrottleVerdict;
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
      const verdict = verdictOf(bucket, limits);
      if (verdict.kind === 'ok') bucket.tokens -= 1;
      return verdict;
    },
    peek(clientKey, limits) {
      const bucket = buckets.get(clientKey);
      if (bucket === undefined) return OK;
      refill(bucket, limits, nowMs());
      return verdictOf(bucket, limits);
    },
  };
}

function verdictOf({ tokens }: Bucket, { perMinute }: ThrottleLimits): ThrottleVerdict {
  if (tokens >= 1) return OK;
  return { kind: 'wait', retryAfterSec: Math.max(1, Math.ceil(((1 - tokens) * 60) / perMinute)) };
}

function refill(bucket: Bucket, limits: ThrottleLimits, now: number): void {
  const elapsedMs = now - bucket.filledAtMs;
  bucket.filledAtMs = now;
  if (elapsedMs <= 0) return;
  bucket.tokens = Math.min(limits.burst, bucket.tokens + (elapsedMs * limits.perMinute) / 60_000);
}
