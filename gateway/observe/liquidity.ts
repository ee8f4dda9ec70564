import { formatMsat, type Msat } from '../../node/msat.ts';
import type { LightningNode, Liquidity } from '../../node/node.ts';
import type { Log } from './log.ts';

/** One price that the gateway sells at. */
export interface SoldPrice {
  readonly service: string;
  readonly amountMsat: Msat;
}

/** What {@link createLiquidityWatch} needs. */
export interface LiquidityOptions {
  readonly node: Pick<LightningNode, 'receivable'>;
  /** What is sold now. */
  readonly prices: () => readonly SoldPrice[];
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  readonly nowMs: () => number;
  /** Between polls, ms. */
  readonly intervalMs?: number;
  /** A poll that takes longer tells nothing, ms. */
  readonly deadlineMs?: number;
}

/** What the node can receive, polled in the background. What is not known refuses nothing. */
export interface LiquidityWatch {
  /** Polls now and then every quarter of a minute. Resolves after the first poll. */
  start(): Promise<void>;
  /** Polls once; polls asked for at the same time are one. */
  check(): Promise<void>;
  stop(): void;
  /** undefined: the node can't tell, or has not told lately. */
  latest(): Liquidity | undefined;
  /** Services whose price is more than can be received. */
  unsellable(): readonly string[];
  /** Why nothing at all can be sold, in words; undefined when something can, or nothing is known. */
  soldOut(): string | undefined;
  /** Somebody is refused: asks the node again, at most once in two seconds, so that the refusal ends soon. */
  recheck(): void;
}

const INTERVAL_MS = 15_000;
const DEADLINE_MS = 5_000;
/** What is older than so many polls is not known any more. */
const STALE_AFTER_INTERVALS = 3;
const RECHECK_AFTER_MS = 2_000;
/** While it goes on the alarm is said again after, ms. */
const REPEAT_ALARM_MS = 10 * 60_000;

const REMEDY =
  'Open a channel to the node from elsewhere (buy inbound capacity from a liquidity provider), pay something out over its channels, ' +
  'or bring the peers of inactive channels back';

/** Makes the watch of one gateway. */
export function createLiquidityWatch(options: LiquidityOptions): LiquidityWatch {
  const { node, log, nowMs, intervalMs = INTERVAL_MS, deadlineMs = DEADLINE_MS } = options;
  let seen: { readonly liquidity: Liquidity; readonly atMs: number } | undefined;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let saidUntold = false;
  let said = { unsellable: '', atMs: 0 };

  const latest = (): Liquidity | undefined => {
    if (seen === undefined || nowMs() - seen.atMs > STALE_AFTER_INTERVALS * intervalMs) return undefined;
    return seen.liquidity;
  };
  const tooDear = (): readonly SoldPrice[] => {
    const most = latest()?.largestReceivableMsat;
    return most === undefined ? [] : options.prices().filter(({ amountMsat }) => amountMsat > most);
  };

  const sayAlarm = (liquidity: Liquidity): void => {
    const services = tooDear().map(({ service }) => service);
    const unsellable = services.join(', ');
    const changed = unsellable !== said.unsellable;
    if (!changed && (unsellable === '' || nowMs() - said.atMs < REPEAT_ALARM_MS)) return;
    said = { unsellable, atMs: nowMs() };
    const now = describe(liquidity);
    if (unsellable === '') log.info('the node can receive the price of every service again', now);
    else log.error(`NO INBOUND CAPACITY: no payment for ${unsellable} can arrive. ${REMEDY}.`, now);
  };

  const poll = async (): Promise<void> => {
    if (node.receivable === undefined) return;
    askedAtMs = nowMs();
    try {
      const signal = AbortSignal.timeout(deadlineMs);
      const liquidity = await node.receivable({ signal });
      seen = { liquidity, atMs: nowMs() };
      saidUntold = false;
      sayAlarm(liquidity);
    } catch (error) {
      // That the node is down is health's to say. What was seen last holds until it is stale.
      if (!saidUntold) {
        log.warn('the node does not tell what it can receive; no price is refused for it', { err: error });
      }
      saidUntold = true;
    }
  };

  const check = (): Promise<void> => {
    running ??= poll().finally(() => {
      running = undefined;
    });
    return running;
  };

  return {
    async start() {
      if (node.receivable === undefined) return;
      timer ??= setInterval(() => void check(), intervalMs).unref();
      await check();
    },
    check,
    stop: () => clearInterval(timer),
    latest,
    unsellable: () => tooDear().map(({ service }) => service),
    soldOut() {
      const most = latest()?.largestReceivableMsat;
      const prices = options.prices();
      if (most === undefined || prices.length === 0 || prices.some(({ amountMsat }) => amountMsat <= most)) {
        return undefined;
      }
      return `The node can receive at most ${formatMsat(most)}, and everything sold here costs more. ${REMEDY}.`;
    },
    recheck() {
      if (nowMs() - askedAtMs >= RECHECK_AFTER_MS) void check();
    },
  };
}

function describe(now: Liquidity): Record<string, number> {
  const { inboundMsat, largestReceivableMsat, activeChannels, inactiveChannels, peers } = now;
  return { inboundMsat, largestReceivableMsat, activeChannels, inactiveChannels, peers };
}
