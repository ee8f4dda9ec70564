import { type Msat, msat } from '../node/msat.ts';
import type { AccountReport } from './account-report.ts';

/** When to top up by itself, and by how much. */
export interface TopUpRule {
  /** Top up when the money lasts for less than this at the present pace, ms. Default 15,000: a payment takes a few seconds. */
  readonly belowMs?: number;
  /** Top up when less than this is left, msat. Default: a fifth of `amountMsat` for what is not charged by time, else 0. */
  readonly belowMsat?: Msat;
  /** How much to add each time, msat. Default: what the first payment bought. */
  readonly amountMsat?: Msat;
}

/** How fast an account is being spent. */
export interface Pace {
  /** Takes in what was reported. */
  note(report: AccountReport): void;
  /** What prices and the gateway say, msat a second; `undefined` when they say nothing. */
  announced(): number | undefined;
  /** What was seen between reports, msat a second. A burst makes it large for a while. */
  seen(): number | undefined;
  /** The best guess, msat a second; `undefined` while nothing is known. */
  msatPerSec(): number | undefined;
}

const DEFAULT_BELOW_MS = 15_000;
/** Reports closer together than this say nothing about the pace: money is set aside in slices. */
const LEAST_INTERVAL_MS = 500;
/** Weight of the newest measurement. */
const NEWEST = 0.4;

/** A rule with nothing left open. */
export type FullRule = Required<TopUpRule>;

/**
 * Fills in what a rule leaves open.
 * @param boughtMsat - what the first payment bought
 * @param announced - msat a second of the price, if it is charged by time
 */
export function completeRule(rule: TopUpRule, boughtMsat: Msat, announced: number | undefined): FullRule {
  const { belowMs = DEFAULT_BELOW_MS, amountMsat = boughtMsat } = rule;
  // Without a price by time the pace is only what was seen, and that may have been rest.
  const belowMsat = rule.belowMsat ?? msat(announced === undefined ? Math.floor(amountMsat / 5) : 0);
  return { belowMs, belowMsat, amountMsat };
}

/**
 * Measures how fast an account is spent: by the price of the stream, by the gateway's word about all streams of the account, and by
 * what is seen between reports.
 * @param price - msat a second of the stream's own price, if it is charged by time
 */
export function createPace(price: number | undefined): Pace {
  let told: number | undefined;
  let seen: number | undefined;
  let last: AccountReport | undefined;
  return {
    note: (report) => {
      told = report.rateMsatPerSec ?? told;
      // After a top-up the measurement begins anew.
      if (last !== undefined && report.balanceMsat <= last.balanceMsat) {
        const elapsedMs = report.atMs - last.atMs;
        if (elapsedMs < LEAST_INTERVAL_MS) return;
        const measured = ((last.balanceMsat - report.balanceMsat) / elapsedMs) * 1000;
        seen = seen === undefined ? measured : seen + (measured - seen) * NEWEST;
      }
      last = report;
    },
    announced: () => (told === undefined ? price : Math.max(told, price ?? 0)),
    seen: () => seen,
    msatPerSec: () => (price === undefined ? (seen ?? told) : Math.max(told ?? 0, price)),
  };
}

/**
 * How long until the rule asks for a top-up, ms: 0 when it does so now, `Infinity` when nothing is being spent. What was only seen
 * asks for one only while there is less than a top-up would add: bursts pass, and a top-up is not followed by a second one at once.
 * @param nowMs - later than the report: what was spent since is estimated
 */
export function topUpDueInMs(rule: FullRule, report: AccountReport, pace: Pace, nowMs: number): number {
  const { belowMs, belowMsat, amountMsat } = rule;
  const announcedMsat = ((pace.announced() ?? 0) * belowMs) / 1000;
  const seenMsat = Math.min(((pace.seen() ?? 0) * belowMs) / 1000, amountMsat - 1);
  const perMs = (pace.msatPerSec() ?? 0) / 1000;
  const keepMsat = Math.max(belowMsat, announcedMsat, seenMsat);
  const spareMsat = report.balanceMsat - keepMsat - perMs * Math.max(0, nowMs - report.atMs);
  if (spareMsat <= 0) return 0;
  return perMs === 0 ? Infinity : spareMsat / perMs;
}
