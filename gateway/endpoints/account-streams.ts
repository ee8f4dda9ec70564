import type { Account } from '../ledger/store.ts';
import type { AccountEvents } from './account-events.ts';
import { AccountStream, type StreamRequest } from './account-stream.ts';

/** Bounds on event streams, and how often they are looked at. */
export interface StreamLimits {
  readonly maxStreams: number;
  readonly maxPerAccount: number;
  readonly maxPerClient: number;
  /** What happened is written at most this often, ms. */
  readonly tickMs: number;
}

const LIMITS: StreamLimits = { maxStreams: 2_000, maxPerAccount: 8, maxPerClient: 32, tickMs: 250 };

/** Reads of the ledger under way at once; the others wait for a later tick. */
const MAX_READS = 32;

/** What account streams need. */
export interface AccountStreamsDeps {
  readonly events: AccountEvents;
  readonly readAccount: (accountId: string) => Promise<Account | undefined>;
  readonly isRevoked: (accountId: string) => boolean;
  readonly nowMs: () => number;
  readonly limits?: Partial<StreamLimits>;
}

/** The event streams of all accounts. */
export interface AccountStreams {
  /** Whether there is room for another one. */
  hasRoom(request: Pick<StreamRequest, 'accountId' | 'client'>): boolean;
  /** Begins to write events, the balance first. */
  open(request: StreamRequest): void;
  /** Looks at every stream once; a timer does it. */
  tick(): void;
  size(): number;
  /** Ends all. */
  close(): void;
}

/**
 * Writes what happens to accounts as Server-Sent Events. One timer serves all streams: each writes at most one event of a kind a
 * tick, and one balance a second, and who does not read is dropped.
 */
export function createAccountStreams(deps: AccountStreamsDeps): AccountStreams {
  const limits = { ...LIMITS, ...deps.limits };
  const streams = new Set<AccountStream>();
  const counts = createCounts();
  const streamDeps = { ...deps, readAccount: boundedReads(deps.readAccount) };
  const tick = (): void => {
    const nowSec = Math.floor(deps.nowMs() / 1000);
    for (const stream of streams) stream.tick(nowSec);
  };
  const timer = setInterval(tick, limits.tickMs);
  timer.unref();
  return {
    hasRoom: ({ accountId, client }) =>
      streams.size < limits.maxStreams &&
      counts.of(`account ${accountId}`) < limits.maxPerAccount &&
      counts.of(`client ${client}`) < limits.maxPerClient,
    open(request) {
      const stream = new AccountStream(streamDeps, request);
      const keys = [`account ${request.accountId}`, `client ${request.client}`];
      streams.add(stream);
      for (const key of keys) counts.add(key, 1);
      const forget = (): void => {
        if (!streams.delete(stream)) return;
        stream.forget();
        for (const key of keys) counts.add(key, -1);
      };
      // `finish` too: a response that is ended is done with, even while its last bytes are not read.
      request.response.once('close', forget).once('finish', forget).on('error', forget);
    },
    tick,
    size: () => streams.size,
    close: () => {
      clearInterval(timer);
      for (const stream of streams) stream.end();
    },
  };
}

function createCounts(): { of(key: string): number; add(key: string, change: number): void } {
  const counts = new Map<string, number>();
  return {
    of: (key) => counts.get(key) ?? 0,
    add(key, change) {
      const now = (counts.get(key) ?? 0) + change;
      if (now <= 0) counts.delete(key);
      else counts.set(key, now);
    },
  };
}

function boundedReads(
  readAccount: AccountStreamsDeps['readAccount'],
): (accountId: string) => Promise<Account | undefined | 'busy'> {
  let underWay = 0;
  return async (accountId) => {
    if (underWay >= MAX_READS) return 'busy';
    underWay += 1;
    try {
      return await readAccount(accountId);
    } finally {
      underWay -= 1;
    }
  };
}
