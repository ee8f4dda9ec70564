import { StoreError } from '../ledger/store.ts';

/** Ends of charges that the store could not take yet. */
export interface Unsettled {
  /** Runs the verb; when the store is away, keeps it and tries again until it holds or its key would be forgotten. */
  settle(verb: () => Promise<unknown>): Promise<void>;
  size(): number;
  /** One more try of all that waits, now. */
  retry(): Promise<void>;
  /** Stops trying; what still waits is given up, and said. */
  close(): void;
}

/** What {@link createUnsettled} needs. */
export interface UnsettledDeps {
  readonly nowMs: () => number;
  /** How long a verb's key is known to the store: after that a repeat would mean nothing. */
  readonly keepMs: number;
  /** Called for each verb that was given up: money that could not be given back. */
  readonly onGivenUp: (error: unknown) => void;
}

/** Most verbs that wait; each is some hundred bytes. */
const MAX_WAITING = 100_000;
const RETRY_EVERY_MS = 1_000;
/** Verbs tried at once when the store is back. */
const RETRY_BATCH = 64;

/**
 * Repeats refunds and voids after a store outage. Every verb here is idempotent by its key, so repeating one whose answer
 * was lost changes nothing twice.
 */
export function createUnsettled(deps: UnsettledDeps): Unsettled {
  let waiting: { readonly verb: () => Promise<unknown>; readonly untilMs: number }[] = [];
  let retrying = false;

  const retry = async (): Promise<void> => {
    if (retrying) return;
    retrying = true;
    try {
      while (waiting.length > 0) {
        const first = waiting.slice(0, RETRY_BATCH);
        // Before it is tried, not after: a key that the store has forgotten would be given back a second time.
        const batch = first.filter(({ untilMs }) => untilMs > deps.nowMs());
        for (let late = first.length - batch.length; late > 0; late -= 1)
          deps.onGivenUp(new StoreError('unavailable', 'the store stayed away for too long'));
        const results = await Promise.allSettled(batch.map(({ verb }) => verb()));
        const again = batch.filter((_, at) => results[at]?.status === 'rejected');
        waiting = [...waiting.slice(first.length), ...again];
        if (again.length > 0) return;
      }
    } finally {
      retrying = false;
    }
  };
  const timer = setInterval(() => void retry(), RETRY_EVERY_MS);
  timer.unref();

  return {
    async settle(verb) {
      try {
        await verb();
      } catch (error) {
        if (!mayHoldLater(error) || waiting.length >= MAX_WAITING) deps.onGivenUp(error);
        else waiting.push({ verb, untilMs: deps.nowMs() + deps.keepMs });
      }
    },
    size: () => waiting.length,
    retry,
    close: () => {
      clearInterval(timer);
      for (const _ of waiting.splice(0))
        deps.onGivenUp(new StoreError('unavailable', 'the gateway stopped before the store was back'));
    },
  };
}

/** The store is away, or another one is in its place until the operator brings it back. */
function mayHoldLater(error: unknown): boolean {
  return error instanceof StoreError && (error.code === 'unavailable' || error.code === 'mismatch');
}
