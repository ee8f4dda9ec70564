import { createThrottle, type Throttle, type ThrottleName } from '../flow/throttle.ts';

/** What clients took from one process, for the others: each client of a throttle once. */
export type Taken = readonly (readonly [throttle: ThrottleName, clientKey: string, tokens: number])[];

/** Told no more often than this, ms. */
const TELL_EVERY_MS = 20;
/** Clients told of at once; with more, it is told earlier. */
const MAX_TOLD = 1_000;
const MAX_KEY_LENGTH = 64;
const NAMES: readonly unknown[] = ['challenges', 'credentials', 'look-ups'] satisfies ThrottleName[];

/** Throttles that workers keep together. */
export interface ThrottleShare {
  /** The throttle of that name, in this process. */
  throttle(name: ThrottleName): Throttle;
  /** Clients took this from another process. */
  hear(taken: Taken): void;
}

/**
 * Each worker has buckets of its own, as large as configured, and tells the others what was taken from them, who take it from theirs. So
 * nobody waits for an answer, a client's rate is the configured one whichever workers serve it, and what it can get beyond its
 * burst by asking all workers within a few milliseconds it owes afterwards.
 * @param tell - to all other workers; does not throw
 */
export function createThrottleShare(nowMs: () => number, tell: (taken: Taken) => void): ThrottleShare {
  const throttles = new Map<ThrottleName, Throttle>();
  let untold = new Map<string, [throttle: ThrottleName, clientKey: string, tokens: number]>();
  let timer: NodeJS.Timeout | undefined;

  const tellNow = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const taken = [...untold.values()];
    untold = new Map();
    tell(taken);
  };
  const note = (name: ThrottleName, clientKey: string): void => {
    const key = `${name} ${clientKey}`;
    const known = untold.get(key);
    if (known === undefined) untold.set(key, [name, clientKey, 1]);
    else known[2] += 1;
    if (untold.size >= MAX_TOLD) tellNow();
    else timer ??= setTimeout(tellNow, TELL_EVERY_MS).unref();
  };
  const own = (name: ThrottleName): Throttle => {
    const known = throttles.get(name) ?? createThrottle(nowMs);
    throttles.set(name, known);
    return known;
  };
  return {
    throttle(name) {
      const inner = own(name);
      return {
        ...inner,
        take(clientKey, limits) {
          const verdict = inner.take(clientKey, limits);
          if (verdict.kind === 'ok') note(name, clientKey);
          return verdict;
        },
      };
    },
    hear(taken) {
      for (const [name, clientKey, tokens] of taken) own(name).takenElsewhere(clientKey, tokens);
    },
  };
}

/** Reads what another process says; `undefined` for what is none of ours. */
export function readTaken(value: unknown): Taken | undefined {
  if (!Array.isArray(value) || value.length > MAX_TOLD) return undefined;
  return value.every(isTaken) ? value : undefined;
}

function isTaken(value: unknown): value is Taken[number] {
  if (!Array.isArray(value) || value.length !== 3) return false;
  const [name, clientKey, tokens]: unknown[] = value;
  return (
    NAMES.includes(name) &&
    typeof clientKey === 'string' &&
    clientKey.length <= MAX_KEY_LENGTH &&
    typeof tokens === 'number' &&
    Number.isSafeInteger(tokens) &&
    tokens > 0
  );
}
