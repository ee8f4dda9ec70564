import type { Msat } from '../node/msat.ts';
import type { AccountReport } from './account-report.ts';
import { AccountError, askAccount, type PaidAccount } from './account-requests.ts';
import { findNewer } from './account-tokens.ts';
import { askUntilBack } from './ask-remainder.ts';
import { createTopUps, type TopUps, type TopUpTotals } from './auto-top-up.ts';
import type { PaymentError } from './errors.ts';
import type { StreamNotice } from './events.ts';
import { followFeed } from './follow-feed.ts';
import {
  completeRule,
  createPace,
  type FullRule,
  type Pace,
  type TopUpRule,
  topUpDueInMs,
} from './top-up-rule.ts';
import type { Shop } from './visit.ts';

/** The money of an account, as it was last heard of. */
export interface Balance {
  readonly balanceMsat: Msat;
  /** How fast it is being spent, msat a second; absent while that is not known. */
  readonly msatPerSec?: number;
  /** How long it lasts at this pace, ms. */
  readonly lastsMs?: number;
  /** When it was heard, by the client's clock. */
  readonly atMs: number;
}

/** How an account is followed. */
export interface FollowOptions {
  /** Tops up by itself. Absent: it is only watched, and topped up when asked to. */
  readonly autoTopUp?: TopUpRule | undefined;
  /** Told whenever the gateway says what is left. */
  readonly onBalance?: ((balance: Balance) => void) | undefined;
  /** What the first payment bought, msat: a top-up adds as much unless it is said otherwise. */
  readonly boughtMsat: Msat;
  /** What was paid before, for the budget of one request. */
  readonly alreadyMsat: Msat;
  /** What the gateway said already, msat. */
  readonly balanceMsat?: Msat | undefined;
  /** Msat a second of the price, if it is charged by time. */
  readonly announced?: number | undefined;
}

/** An account that is being followed. */
export interface AccountFollower {
  readonly account: PaidAccount;
  /** What was heard last. */
  balance(): Balance | undefined;
  /** Asks now. `undefined` when there is no answer. */
  refresh(): Promise<Balance | undefined>;
  /**
   * Asks after a stream has ended, until what it had set aside is back: the gateway may see the end later than the question. Other
   * streams of the account set money aside too, so it does not ask for ever.
   */
  finalBalance(): Promise<Balance | undefined>;
  /** The money is used up and has not come back, as far as was heard. */
  isExhausted(): boolean;
  /** What was read inside a stream. */
  hear(notice: StreamNotice): void;
  /** Adds money now. @throws {@link PaymentError} */
  topUp(amountMsat?: Msat): Promise<void>;
  /** Resolves when no top-up is under way. */
  settled(): Promise<void>;
  /** Begins no more top-ups by itself. Resolves when none is under way. */
  windDown(): Promise<void>;
  totals(): TopUpTotals;
  /** Why it is not topped up by itself any more. */
  failure(): PaymentError | undefined;
  /** Ends the following. A payment under way goes on to its end, so that its token is kept. */
  stop(): void;
}

/** How long the feed may be silent before the account is asked, ms; and how often it is asked without a feed. */
const FEED_SILENT_MS = 15_000;
const POLL_MS = 3_000;
/** Between two questions, however urgent, ms. */
const LEAST_PAUSE_MS = 1_000;

interface Watch {
  readonly shop: Shop;
  readonly account: PaidAccount;
  readonly options: FollowOptions;
  readonly rule: FullRule | undefined;
  readonly pace: Pace;
  readonly stop: AbortController;
  /** Ends what pays by itself; what is left is only watched. */
  readonly rest: AbortController;
  /** Ends the present wait of the poll: what was heard may make the next question urgent. */
  wake: AbortController;
  last: AccountReport | undefined;
  askedAtMs: number;
  feedIsOpen: boolean;
  isExhausted: boolean;
}

/**
 * Follows an account: listens to its feed, asks when the feed is silent or there is none, and tops it up by the rule. Goes on until
 * it is stopped.
 */
export function followAccount(shop: Shop, account: PaidAccount, options: FollowOptions): AccountFollower {
  const { autoTopUp, boughtMsat, announced, alreadyMsat, balanceMsat } = options;
  const rule = autoTopUp === undefined ? undefined : completeRule(autoTopUp, boughtMsat, announced);
  const watch: Watch = {
    shop,
    account,
    options,
    rule,
    pace: createPace(announced),
    stop: new AbortController(),
    rest: new AbortController(),
    wake: new AbortController(),
    last: undefined,
    askedAtMs: shop.clock.nowMs(),
    feedIsOpen: false,
    isExhausted: false,
  };
  const amountMsat = rule?.amountMsat ?? boughtMsat;
  const note = (report: AccountReport): void => hearReport(watch, report);
  const refresh = (): Promise<AccountReport> => askNow(watch);
  const { pace, stop, rest } = watch;
  const topUps = createTopUps({
    shop,
    account,
    rule,
    amountMsat,
    pace,
    alreadyMsat,
    refresh,
    note,
    signal: AbortSignal.any([rest.signal, stop.signal]),
  });
  const hear = (notice: StreamNotice): void => hearNotice(watch, topUps, notice);
  const listener = {
    report: (report: AccountReport) => {
      note(report);
      topUps.consider(report);
    },
    notice: hear,
    open: (isOpen: boolean) => {
      watch.feedIsOpen = isOpen;
    },
  };
  if (balanceMsat !== undefined) listener.report({ balanceMsat, atMs: shop.clock.nowMs() });
  void followFeed(shop, account, listener, stop.signal);
  void poll(watch, topUps);
  return {
    account,
    balance: () => (watch.last === undefined ? undefined : toBalance(watch.last, pace)),
    refresh: () =>
      refresh().then(
        (report) => toBalance(report, pace),
        () => undefined,
      ),
    finalBalance: () =>
      askUntilBack(shop.clock, refresh, stop.signal).then(
        (report) => toBalance(report, pace),
        () => undefined,
      ),
    isExhausted: () => watch.isExhausted,
    hear,
    topUp: (wantedMsat) => topUps.add(wantedMsat),
    settled: () => topUps.settled(),
    windDown: () => {
      rest.abort();
      return topUps.settled();
    },
    totals: () => topUps.totals(),
    failure: () => topUps.failure(),
    stop: () => stop.abort(),
  };
}

function hearReport(watch: Watch, report: AccountReport): void {
  watch.pace.note(report);
  watch.last = report;
  watch.wake.abort();
  const { onBalance } = watch.options;
  if (onBalance === undefined || watch.stop.signal.aborted) return;
  try {
    onBalance(toBalance(report, watch.pace));
  } catch {
    // A listener must not lose a payment.
  }
}

function hearNotice(watch: Watch, topUps: TopUps, notice: StreamNotice): void {
  if (watch.stop.signal.aborted) return;
  // The same is said in the stream and in the feed.
  const isNews = notice === 'low' || watch.isExhausted !== (notice === 'exhausted');
  if (notice === 'exhausted' || notice === 'resumed') {
    watch.isExhausted = notice === 'exhausted';
    topUps.hint(notice);
  }
  if (isNews || notice === 'cut' || notice === 'revoked') watch.shop.emit({ type: 'notice', notice });
}

async function poll(watch: Watch, topUps: TopUps): Promise<void> {
  const { clock } = watch.shop;
  const { signal } = watch.stop;
  while (!signal.aborted) {
    const waitMs = untilNextQuestionMs(watch, topUps);
    watch.wake = new AbortController();
    await clock.sleep(Math.max(waitMs, 50), AbortSignal.any([signal, watch.wake.signal]));
    if (signal.aborted || untilNextQuestionMs(watch, topUps) > 0) continue;
    try {
      topUps.consider(await askNow(watch));
    } catch (error) {
      if (!(error instanceof AccountError) || error.kind === 'missing') return;
      // A token that is refused may be replaced: another stream of the account may top it up.
      if (error.kind === 'refused') await clock.sleep(FEED_SILENT_MS, signal);
    }
  }
}

/** Sooner than the silence of the feed demands, when the money should be running low by then: it is asked before paying. */
function untilNextQuestionMs(watch: Watch, topUps: TopUps): number {
  const { last, pace, rule, askedAtMs, feedIsOpen } = watch;
  const nowMs = watch.shop.clock.nowMs();
  const silentMs = nowMs - Math.max(askedAtMs, last?.atMs ?? 0);
  const untilSilent = (feedIsOpen ? FEED_SILENT_MS : POLL_MS) - silentMs;
  if (rule === undefined || last === undefined || topUps.failure() !== undefined) return untilSilent;
  const dueMs = topUpDueInMs(rule, last, pace, nowMs);
  return Math.min(untilSilent, Math.max(dueMs, LEAST_PAUSE_MS - (nowMs - askedAtMs)));
}

async function askNow(watch: Watch): Promise<AccountReport> {
  const { shop, account } = watch;
  watch.askedAtMs = shop.clock.nowMs();
  const report = await askOrRenew(shop, account);
  watch.askedAtMs = shop.clock.nowMs();
  hearReport(watch, report);
  return report;
}

/** A token that has expired is replaced by a newer one of its account, if anybody has topped it up. */
async function askOrRenew(shop: Shop, account: PaidAccount): Promise<AccountReport> {
  try {
    return await askAccount(shop, account);
  } catch (error) {
    const newer = await findNewer(shop, account.token).catch(() => undefined);
    if (newer === undefined || !(error instanceof AccountError) || error.kind !== 'refused') throw error;
    const report = await askAccount(shop, account, newer);
    account.token = newer;
    return report;
  }
}

function toBalance({ balanceMsat, atMs }: AccountReport, pace: Pace): Balance {
  const msatPerSec = pace.msatPerSec();
  if (msatPerSec === undefined) return { balanceMsat, atMs };
  const lastsMs = msatPerSec === 0 ? {} : { lastsMs: (balanceMsat / msatPerSec) * 1000 };
  return { balanceMsat, msatPerSec, ...lastsMs, atMs };
}
