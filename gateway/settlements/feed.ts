import { setTimeout as wait } from 'node:timers/promises';
import { type Backoff, createBackoff } from '../../node/backoff.ts';
import type { LightningNode, Settlement } from '../../node/node.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Account } from '../ledger/store.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { type Announcer, createAnnouncer } from './announce.ts';
import { applySettlement, type OfferPayment, type Payment } from './apply-settlement.ts';
import { createCursorKeeper } from './cursor-keeper.ts';
import { followSettlements, UnknownCursorError } from './follow-settlements.ts';
import { lookUpOffers } from './look-up-offers.ts';
import { createOverpaid, type Overpaid } from './overpaid.ts';

/** How long things may take and how often they are done, ms. */
export interface FeedTiming {
  /** Pauses between tries. */
  readonly firstPauseMs: number;
  readonly maxPauseMs: number;
  /** All open offers are looked up this often although the feed stands: a half-open connection is silent. */
  readonly lookUpEveryMs: number;
  /** The same for a node without a feed. */
  readonly pollEveryMs: number;
  readonly lookUpTimeoutMs: number;
  readonly cursorEveryMs: number;
  readonly quietMs: number;
  readonly probeMs: number;
  readonly silentMs: number;
  /** Overpaid challenges that wait to be presented are looked at this often. */
  readonly overpaidEveryMs: number;
}

const TIMING: FeedTiming = {
  firstPauseMs: 500,
  maxPauseMs: 30_000,
  lookUpEveryMs: 300_000,
  pollEveryMs: 5_000,
  lookUpTimeoutMs: 10_000,
  cursorEveryMs: 500,
  quietMs: 2_000,
  probeMs: 30_000,
  silentMs: 60_000,
  overpaidEveryMs: 1_000,
};

/** Look-ups under way at once: the node has invoices to make beside them. */
const LOOK_UP_CONCURRENCY = 8;

const NO_HASH = '00'.repeat(32);

/** What a settlement feed needs. */
export interface SettlementFeedOptions {
  readonly node: Pick<LightningNode, 'settlements' | 'lookupInvoice' | 'capabilities'>;
  readonly ledger: Pick<
    Ledger,
    | 'settleOffer'
    | 'openOffers'
    | 'dropOffer'
    | 'settlementCursor'
    | 'advanceSettlementCursor'
    | 'paymentEntries'
    | 'credit'
  >;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'settlement' | 'earned' | 'readFrom'>;
  /** Told of every payment that the node reports, again whenever it is reported again. It does not throw. */
  readonly onSettled: (paymentHash: string) => void;
  /** Told of an account whose offer was paid, by whoever credited it. It does not throw. */
  readonly onCredited: (account: Account) => void;
  /** Told of each payment that an offer was waiting for, whoever credited it: it is counted as income. It does not throw. */
  readonly onOfferSettled: (payment: OfferPayment) => void;
  readonly nowMs: () => number;
  /** Default: Math.random. */
  readonly random?: () => number;
  readonly timing?: Partial<FeedTiming>;
}

/** The consumer of the node's settlements: credits top-ups as they are paid. */
export interface SettlementFeed {
  connected(): boolean;
  /** Stops, once what is under way has ended. Nothing is lost by it: the next start goes on. */
  close(): Promise<void>;
}

/** What the loops share. */
interface Feed extends Omit<SettlementFeedOptions, 'timing'> {
  readonly timing: FeedTiming;
  readonly closing: AbortSignal;
  /** Asks for a look-up of all open offers, now. */
  wantLookUp(): void;
  /** Resolves when one is wanted or due. */
  lookUpDue(afterMs: number): Promise<void>;
  readonly state: { connected: boolean; lagMs: number; openOffers: number };
  readonly say: Announcer;
  readonly overpaid: Pick<Overpaid, 'add'>;
}

/**
 * Starts to consume the node's settlements, from where the ledger's cursor stands. Each is credited by its offer, once,
 * however often it comes and whoever was first; the cursor follows what is durable. All open offers are looked up at the
 * start, at each reconnect, and every few minutes, so that the cursor is only ever a short cut: a top-up that was paid while the
 * gateway was down, or while the feed was silent, is credited all the same.
 */
export function createSettlementFeed(options: SettlementFeedOptions): SettlementFeed {
  const closing = new AbortController();
  const timing = { ...TIMING, ...options.timing };
  const overpaid = createOverpaid({ ...options, everyMs: timing.overpaidEveryMs });
  const feed: Feed = {
    ...options,
    ...lookUpRequests(closing.signal),
    timing,
    overpaid,
    closing: closing.signal,
    state: { connected: false, lagMs: 0, openOffers: 0 },
    say: createAnnouncer(options.log),
  };
  options.metrics.readFrom({ settlementFeed: () => feed.state });
  const loops = [lookUpForEver(feed)];
  if (options.node.capabilities.settlementFeed) loops.push(followForEver(feed));
  return {
    connected: () => feed.state.connected,
    close: async () => {
      closing.abort();
      await Promise.all([...loops, overpaid.close()]);
    },
  };
}

/** Follows the feed, and connects again whenever it is lost. Does not reject. */
async function followForEver(feed: Feed): Promise<void> {
  const backoff = backoffOf(feed);
  const cursor = await readCursor(feed, backoff);
  const keeper = createCursorKeeper({
    advance: (reached) => feed.ledger.advanceSettlementCursor(reached),
    everyMs: feed.timing.cursorEveryMs,
    onError: (error) => feed.log.debug('the settlement cursor was not written', { err: error }),
  });
  let position = cursor;
  while (!feed.closing.aborted) {
    const startedAt = position;
    const failure = await followOnce(feed, position, (reached) => {
      position = Math.max(position, reached);
      keeper.reached(reached);
    });
    // It stands until it has failed to prove itself once more.
    if (failure.wasSilent && !feed.closing.aborted) continue;
    feed.state.connected = false;
    if (feed.closing.aborted) break;
    if (failure.error instanceof UnknownCursorError) {
      feed.say.unknownCursor(position);
      position = 0;
    } else {
      feed.say.lost(failure.error);
    }
    if (position > startedAt || failure.wasConnected) backoff.reset();
    await pause(feed, backoff.next());
    feed.wantLookUp();
  }
  await keeper.flush();
}

interface FollowEnd {
  readonly error: unknown;
  /** Nothing failed: it told nothing for long, and is asked anew. */
  readonly wasSilent: boolean;
  /** It stood for longer than the longest pause. */
  readonly wasConnected: boolean;
}

async function followOnce(
  feed: Feed,
  position: number,
  onReached: (cursor: number) => void,
): Promise<FollowEnd> {
  const { timing, state, nowMs } = feed;
  let connectedAtMs: number | undefined;
  const apply = async (settlement: Settlement): Promise<void> => {
    const outcome = await applySettlement(feed, settlement);
    // Of a challenge, or of somebody else: only what is claimed is ever credited.
    if (outcome === 'no-offer' && isOverpaid(settlement)) feed.overpaid.add(settlement);
    if (settlement.cursor > position) state.lagMs = Math.max(0, nowMs() - settlement.settledAtSec * 1000);
  };
  const onConnected = (): void => {
    connectedAtMs ??= performance.now();
    if (state.connected) return;
    state.connected = true;
    feed.say.stands();
  };
  const answers = () => nodeAnswers(feed);
  const deps = {
    node: feed.node,
    apply,
    onReached,
    onConnected,
    answers,
    ...timing,
    emptyMs: timing.lookUpEveryMs,
  };
  const endOf = (error: unknown, wasSilent: boolean): FollowEnd => ({
    error,
    wasSilent,
    wasConnected: connectedAtMs !== undefined && performance.now() - connectedAtMs > timing.maxPauseMs,
  });
  try {
    const end = await followSettlements(deps, position, feed.closing);
    return endOf(undefined, end === 'silent');
  } catch (error) {
    return endOf(error, false);
  }
}

/** An invoice without an amount is none of ours: a keysend, of which anybody may send a thousand for a few sats. */
function isOverpaid({ invoiceMsat, paidMsat }: Settlement): boolean {
  return invoiceMsat > 0 && paidMsat > invoiceMsat;
}

/** Asks for an invoice that nobody made: whatever is said about it, somebody is there. */
async function nodeAnswers({ node, timing }: Feed): Promise<boolean> {
  try {
    await node.lookupInvoice(NO_HASH, { signal: AbortSignal.timeout(timing.lookUpTimeoutMs) });
    return true;
  } catch {
    return false;
  }
}

async function readCursor(feed: Feed, backoff: Backoff): Promise<number> {
  while (!feed.closing.aborted) {
    try {
      const cursor = await feed.ledger.settlementCursor();
      backoff.reset();
      return cursor;
    } catch (error) {
      feed.log.debug('the settlement cursor can not be read yet', { err: error });
      await pause(feed, backoff.next());
    }
  }
  return 0;
}

/** Looks up all open offers whenever that is wanted or due. Does not reject. */
async function lookUpForEver(feed: Feed): Promise<void> {
  const { timing, node, ledger, closing, state } = feed;
  const backoff = backoffOf(feed);
  const everyMs = node.capabilities.settlementFeed ? timing.lookUpEveryMs : timing.pollEveryMs;
  const deps = {
    node,
    ledger,
    apply: (payment: Payment) => applySettlement(feed, payment),
    concurrency: LOOK_UP_CONCURRENCY,
    timeoutMs: timing.lookUpTimeoutMs,
  };
  while (!closing.aborted) {
    let dueInMs = everyMs;
    try {
      const report = await lookUpOffers(deps, closing);
      state.openOffers = report.open + report.unknown + report.failed;
      feed.say.lookedUp(report);
      if (report.failed > 0) dueInMs = backoff.next();
      else backoff.reset();
      if (!node.capabilities.settlementFeed) state.connected = true;
    } catch (error) {
      if (!node.capabilities.settlementFeed) state.connected = false;
      if (!closing.aborted) feed.log.debug('the open top-ups could not be looked up', { err: error });
      dueInMs = backoff.next();
    }
    await feed.lookUpDue(dueInMs);
  }
}

function lookUpRequests(closing: AbortSignal): Pick<Feed, 'wantLookUp' | 'lookUpDue'> {
  let wanted = Promise.withResolvers<void>();
  closing.addEventListener('abort', () => wanted.resolve(), { once: true });
  return {
    wantLookUp: () => wanted.resolve(),
    async lookUpDue(afterMs) {
      const timer = setTimeout(() => wanted.resolve(), afterMs);
      timer.unref();
      await wanted.promise;
      clearTimeout(timer);
      if (!closing.aborted) wanted = Promise.withResolvers<void>();
    },
  };
}

function backoffOf({ timing, random = Math.random }: Feed): Backoff {
  return createBackoff({ firstMs: timing.firstPauseMs, maxMs: timing.maxPauseMs, random });
}

/** Waits, until the feed closes. */
async function pause({ closing }: Feed, ms: number): Promise<void> {
  await wait(ms, undefined, { signal: closing, ref: false }).catch(() => {});
}
