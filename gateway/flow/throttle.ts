import { LRUCache } from 'lru-cache';

/** A bucket per client: `burst` tokens at once, `perMinute` of them coming back a minute. */
export interface ThrottleLimits {
  readonly burst: number;
  readonly perMinute: number;
}

/** What is throttled apart: invoices asked for, credentials that do not hold, questions about invoices. */
export type ThrottleName = 'challenges' | 'credentials' | 'look-ups';

/** How many clients are remembered; the least recently seen is forgotten, which only ever gives a client its burst back. */
const MAX_CLIENTS = 50_000;

interface Bucket {
  /** Tokens taken and not come back yet. */
  used: number;
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
  /** The client took so many from another process: they are gone here too, and more than there were are owed. */
  takenElsewhere(clientKey: string, tokens: number): void;
}

const OK: ThrottleVerdict = { kind: 'ok' };

/**
 * Token buckets in bounded memory. The key is an address, or an IPv6 /56: one household or server gets one bucket, however
 * many addresses it has.
 * @param nowMs - a clock; one that jumps backwards refills nothing and takes nothing away
 */
export function createThrottle(nowMs: () => number): Throttle {
  const buckets = new LRUCache<string, Bucket>({ max: MAX_CLIENTS });
  const bucketOf = (clientKey: string): Bucket => {
    const known = buckets.get(clientKey);
    if (known !== undefined) return known;
    const bucket = { used: 0, filledAtMs: nowMs() };
    buckets.set(clientKey, bucket);
    return bucket;
  };
  return {
    take(clientKey, limits) {
      const bucket = bucketOf(clientKey);
      refill(bucket, limits, nowMs());
      const verdict = verdictOf(bucket, limits);
      if (verdict.kind === 'ok') bucket.used += 1;
      return verdict;
    },
    peek(clientKey, limits) {
      const bucket = buckets.get(clientKey);
      if (bucket === undefined) return OK;
      refill(bucket, limits, nowMs());
      return verdictOf(bucket, limits);
    },
    takenElsewhere(clientKey, tokens) {
      bucketOf(clientKey).used += tokens;
    },
  };
}

function verdictOf({ used }: Bucket, { burst, perMinute }: ThrottleLimits): ThrottleVerdict {
  const missing = used + 1 - burst;
  if (missing <= 0) return OK;
  return { kind: 'wait', retryAfterSec: Math.max(1, Math.ceil((missing * 60) / perMinute)) };
}

function refill(bucket: Bucket, limits: ThrottleLimits, now: number): void {
  const elapsedMs = now - bucket.filledAtMs;
  bucket.filledAtMs = now;
  if (elapsedMs <= 0) return;
  bucket.used = Math.max(0, bucket.used - (elapsedMs * limits.perMinute) / 60_000);
}
