import type { ServerResponse } from 'node:http';
import type { Account } from '../ledger/store.ts';
import type { AccountEvent, AccountEvents } from './account-events.ts';

/** Bounds on event streams, and how often they are looked at. */
export interface StreamLimits {
  readonly maxStreams: number;
  readonly maxPerAccount: number;
  readonly maxPerClient: number;
  /** What happened is written at most this often, ms. */
  readonly tickMs: number;
}

const LIMITS: StreamLimits = { maxStreams: 2_000, maxPerAccount: 8, maxPerClient: 32, tickMs: 250 };

/** Ticks between two balances of a stream, between signs of life, and until a reader that takes nothing is dropped. */
const BALANCE_TICKS = 4;
const HEARTBEAT_TICKS = 60;
const STALLED_TICKS = 120;
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

/** One who wants to listen. */
export interface StreamRequest {
  readonly accountId: string;
  /** Unix seconds: when the credential ends, and the stream with it. */
  readonly validUntilSec: number;
  /** The address that it is counted under. */
  readonly client: string;
  /** Its head is written; it is ended or destroyed here. */
  readonly response: ServerResponse;
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

interface Stream extends StreamRequest {
  /** What is to be written at the next tick: the latest of each kind. A burst becomes one event. */
  readonly pending: Map<AccountEvent['kind'], AccountEvent>;
  /** The ledger is to be asked for the balance. */
  stale: boolean;
  /** Counts what was published, so that an answer of the ledger which is older than that is not taken. */
  published: number;
  lastBalanceMsat: number | undefined;
  sinceBalance: number;
  sinceWrite: number;
  stalled: number;
  unsubscribe: () => void;
}

/**
 * Writes what happens to accounts as Server-Sent Events. One timer serves all streams; each writes at most one event of a kind a
 * tick, and one balance a second, so that nothing piles up; who does not read is dropped. The ledger is asked again every 15 s, because
 * another gateway on the same store may have changed the balance.
 */
export function createAccountStreams(deps: AccountStreamsDeps): AccountStreams {
  const limits = { ...LIMITS, ...deps.limits };
  const streams = new Set<Stream>();
  const counts = new Map<string, number>();
  let reads = 0;

  const count = (key: string, change: number): void => {
    const now = (counts.get(key) ?? 0) + change;
    if (now <= 0) counts.delete(key);
    else counts.set(key, now);
  };
  const forget = (stream: Stream): void => {
    if (!streams.delete(stream)) return;
    stream.unsubscribe();
    count(accountKey(stream), -1);
    count(clientKey(stream), -1);
  };
  const end = (stream: Stream, event?: AccountEvent): void => {
    forget(stream);
    if (event !== undefined) stream.response.write(sse(event));
    stream.response.end();
  };

  const refresh = async (stream: Stream): Promise<void> => {
    if (reads >= MAX_READS) return;
    reads += 1;
    stream.stale = false;
    const { published } = stream;
    try {
      const account = await deps.readAccount(stream.accountId);
      if (account === undefined || stream.published !== published) return;
      if (account.balanceMsat === stream.lastBalanceMsat) return;
      stream.pending.set('balance', { kind: 'balance', balanceMsat: account.balanceMsat });
    } catch {
      // A store that is away: the next refresh is at most 15 s off.
    } finally {
      reads -= 1;
    }
  };

  const flush = (stream: Stream): void => {
    for (const [kind, event] of stream.pending) {
      if (event.kind === 'balance') {
        if (stream.sinceBalance < BALANCE_TICKS) continue;
        stream.sinceBalance = 0;
        stream.lastBalanceMsat = event.balanceMsat;
      }
      stream.pending.delete(kind);
      stream.sinceWrite = 0;
      stream.response.write(sse(event));
    }
    if (stream.sinceWrite < HEARTBEAT_TICKS) return;
    stream.sinceWrite = 0;
    stream.stale = true;
    stream.response.write(': still here\n\n');
  };

  const look = (stream: Stream, nowSec: number): void => {
    const revoked = deps.isRevoked(stream.accountId);
    if (revoked || stream.validUntilSec <= nowSec) {
      end(stream, revoked ? { kind: 'revoked' } : undefined);
      return;
    }
    stream.sinceBalance += 1;
    stream.sinceWrite += 1;
    // What the client does not take stays here, one event a kind, and not in the socket's buffer.
    if (stream.response.writableNeedDrain) {
      stream.stalled += 1;
      if (stream.stalled > STALLED_TICKS) stream.response.destroy();
      return;
    }
    stream.stalled = 0;
    if (stream.stale && stream.sinceBalance >= BALANCE_TICKS) void refresh(stream);
    flush(stream);
  };

  const tick = (): void => {
    const nowSec = Math.floor(deps.nowMs() / 1000);
    for (const stream of streams) look(stream, nowSec);
  };
  const timer = setInterval(tick, limits.tickMs);
  timer.unref();

  return {
    hasRoom: (request) =>
      streams.size < limits.maxStreams &&
      (counts.get(accountKey(request)) ?? 0) < limits.maxPerAccount &&
      (counts.get(clientKey(request)) ?? 0) < limits.maxPerClient,
    open(request) {
      const stream: Stream = {
        ...request,
        pending: new Map(),
        stale: true,
        published: 0,
        lastBalanceMsat: undefined,
        sinceBalance: BALANCE_TICKS,
        sinceWrite: 0,
        stalled: 0,
        unsubscribe: deps.events.subscribe(request.accountId, (event) => {
          if (event === 'changed') {
            stream.stale = true;
            return;
          }
          stream.published += 1;
          stream.pending.set(event.kind, event);
        }),
      };
      streams.add(stream);
      count(accountKey(stream), 1);
      count(clientKey(stream), 1);
      request.response.once('close', () => forget(stream));
      request.response.on('error', () => forget(stream));
      request.response.write('retry: 3000\n\n');
    },
    tick,
    size: () => streams.size,
    close: () => {
      clearInterval(timer);
      for (const stream of streams) end(stream);
    },
  };
}

function accountKey({ accountId }: Pick<StreamRequest, 'accountId'>): string {
  return `account ${accountId}`;
}

function clientKey({ client }: Pick<StreamRequest, 'client'>): string {
  return `client ${client}`;
}

/** One event, its data JSON on one line. */
function sse({ kind, ...data }: AccountEvent): string {
  return `event: ${kind}\ndata: ${JSON.stringify({ type: kind, ...data })}\n\n`;
}
