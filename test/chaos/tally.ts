import type { Books, Bought, Sent } from './books.ts';
import { lengthOf } from './bounds-together.ts';
import { type Check, paidOf, sum } from './evidence.ts';
import type { Timeline } from './timeline.ts';

/** What happened in a run, in numbers: for people, and to see that a run that found nothing has tried everything. */
export interface Tally {
  readonly callsAnswered: number;
  readonly callsRepeated: number;
  readonly passUses: number;
  readonly downloads: number;
  readonly streams: number;
  /** During which something came all the while. */
  readonly streamedSec: number;
  /** Streams that were held for want of money. */
  readonly streamsHeld: number;
  /** Of these, those that are charged once for all of an account. */
  readonly shared: number;
  /** Payments of more than was asked for. */
  readonly overpaid: number;
  /** Paid payments onto accounts that had been paid for before. */
  readonly topUps: number;
  /** Of these, those that nobody presented: the gateways had to hear of them. */
  readonly topUpsHeard: number;
  readonly cheats: number;
  readonly contests: number;
  /** Answers that broke off, or never came. */
  readonly cut: number;
}

/** Counts. */
export function tallyOf(books: Books): Tally {
  const { sent } = books;
  const served = sent.filter(({ status, fromUpstream }) => status === 200 && fromUpstream);
  const isCall = ({ service }: Sent): boolean => service === 'call' || service === 'bundle';
  const streams = served.filter(({ service }) => service === 'live' || service === 'shared');
  const paid = paidOf(books);
  const byKey = Map.groupBy(
    sent.filter((one) => isCall(one) && one.idempotencyKey !== undefined && one.accountId !== ''),
    ({ idempotencyKey, accountId }) => `${idempotencyKey} ${accountId}`,
  );
  return {
    callsAnswered: served.filter((one) => isCall(one) && one.end === 'whole').length,
    callsRepeated: [...byKey.values()].filter(({ length }) => length > 1).length,
    passUses: served.filter(({ service }) => service === 'pass').length,
    downloads: served.filter(({ service }) => service === 'files').length,
    streams: streams.length,
    streamedSec: Math.round(sum(streams.map(({ runs }) => lengthOf(runs))) / 1000),
    shared: streams.filter(({ service }) => service === 'shared').length,
    overpaid: paid.filter(({ creditMsat, amountMsat }) => creditMsat > 0 && amountMsat > creditMsat).length,
    streamsHeld: streams.filter(({ holds }) => holds.length > 0).length,
    topUps: [...Map.groupBy(paid, ({ accountId }: Bought) => accountId).values()].reduce(
      (sum, { length }) => sum + length - 1,
      0,
    ),
    topUpsHeard: paid.filter(({ intention }) => intention === 'wait').length,
    cheats: sent.filter(({ intent }) => intent === 'cheat').length,
    contests: sent.filter(({ intent }) => intent === 'contest').length,
    cut: sent.filter(({ end }) => end === 'broken' || end === 'none').length,
  };
}

/** A run in which nothing happened proves nothing. */
export function checkEverythingTried(books: Books, timeline: Timeline): Check {
  const tally = tallyOf(books);
  const counts = Object.entries({ ...tally, outages: timeline.outages.length });
  // On a quiet machine a short run may meet neither.
  const mayBeNone = new Set(['cut', 'streamsHeld']);
  return {
    title: 'everything was tried at least once',
    found: counts.map(([name, count]) => `${name} ${count}`).join(', '),
    faults: counts
      .filter(([name, count]) => count === 0 && !mayBeNone.has(name))
      .map(([name]) => `${name}: none`),
  };
}
