import type { Sent } from './books.ts';
import {
  lengthOf,
  type SharedStream,
  type Stretch,
  timeTogether,
  union,
  without,
} from './bounds-together.ts';
import type { Target } from './schedule.ts';
import type { Outage, Timeline } from './timeline.ts';
import type { Served } from './upstream.ts';
import { PRICES } from './world.ts';

/**
 * Why it is not known to the client whether a request was charged. Each is a case that the documentation allows:
 * `cut`: its gateway was killed, stopped or frozen before the answer's head came, so that it may or may not have been charged.
 * `left`: the client went away before the head came, by its own will.
 * `refund-lost`: it was refused or failed, and its gateway ended before the store could take the money back; or it was metered, and its
 * lease ended before gateway and store were there together to settle it.
 * `repeated-after-cut`: the gateway may have believed that it had delivered the answer, and then a repetition is charged.
 * `forgotten`: the store was failed over to another Redis, which may not have had the last debits and refunds: they are weak writes.
 * `slice`: the last moments of a stream: at most a slice, and what was set aside when its gateway ended.
 * `unexplained`: none of these. There must be none.
 */
export type Slack =
  | 'cut'
  | 'left'
  | 'refund-lost'
  | 'repeated-after-cut'
  | 'forgotten'
  | 'slice'
  | 'unexplained';

/** What requests of one account can have cost, msat: at the least and at the most. */
export interface Bounds {
  readonly leastMsat: number;
  readonly mostMsat: number;
  /** Where the difference comes from, with the requests that it comes from. */
  readonly slacks: readonly { readonly slack: Slack; readonly id: string; readonly msat: number }[];
}

/** A refund or a void is tried again each second: with so much time it was made, ms. */
const SETTLED_AFTER_MS = 3_000;
/** A lease lives for so long at least when its delivery ends, ms: ten seconds, less those since it was renewed. */
const LEASE_LEFT_MS = 6_000;
/** Streams are charged ahead in slices of this, ms, and for a quarter of one at the least. */
const SLICE_MS = 1_000;
const LEAST_PAID_MS = 250;
/** Delivered and not yet committed when a gateway ends: the slice that runs, the one that was set aside ahead, and a tick. */
const UNCOMMITTED_MS = 2.5 * SLICE_MS;
/** What is delivered and not billed at an end that nothing disturbs: the moments between two ticks, ms. */
const ORDERLY_MS = 250;
/** How much later than the client a gateway sees that a client went, ms, on a machine that is busy. */
const NOTICE_MS = 1_500;
/** Whoever goes sooner than this, ms, is seen to go before the rest of an answer comes that clients leave in the middle. */
const SOON_MS = 500;
/** A replica is behind by less than this, ms: what waits for the replicas' acknowledgement is written all the time. */
const BEHIND_MS = 3_000;
/** Free repetitions of one paid attempt. */
const FREE_RETRIES = 2;

/**
 * What all the requests of one account can have cost. Requests that repeat each other under one key are judged together.
 * @param served - what the upstream did for them
 */
export function boundsOfAccount(
  sent: readonly Sent[],
  timeline: Timeline,
  served: readonly Served[],
): Bounds {
  const [shared = [], apart = []] = [true, false].map((isShared) =>
    sent.filter(({ service, intent }) => (service === 'shared' && intent !== 'cheat') === isShared),
  );
  const groups = Map.groupBy(apart, (one, at) => (isKeyed(one) ? `key ${one.idempotencyKey}` : `own ${at}`));
  const all = [...groups.values()].map((group) => boundsOfRepetitions(group, timeline));
  if (shared.length > 0) all.push(boundsOfShared(shared, timeline, served));
  return {
    leastMsat: all.reduce((sum, { leastMsat }) => sum + leastMsat, 0),
    mostMsat: all.reduce((sum, { mostMsat }) => sum + mostMsat, 0),
    slacks: all.flatMap(({ slacks }) => slacks),
  };
}

/** The key counts for what is paid by the call; what is metered has no free repetitions. */
function isKeyed({ service, idempotencyKey }: Sent): boolean {
  return idempotencyKey !== undefined && (service === 'call' || service === 'bundle');
}

function boundsOfRepetitions(group: readonly Sent[], timeline: Timeline): Bounds {
  const each = group.map((sent) => boundsOfOne(sent, timeline));
  const [only] = each;
  if (each.length === 1 && only !== undefined) return only;
  const price = Math.max(...each.map((one) => one.mostMsat));
  // So many answers can one payment bring at the most.
  const served = each.filter((one) => one.leastMsat > 0).length;
  const leastMsat = price * Math.ceil(served / (FREE_RETRIES + 1));
  const chargeable = group.filter((_, at) => (each[at]?.mostMsat ?? 0) > 0);
  // What was delivered whole, or may have been taken for it, is charged again when it is asked for again.
  const delivered = chargeable.slice(0, -1).filter((sent) => mayHaveBeenDelivered(sent, timeline));
  const usedUp = Math.floor(Math.max(0, chargeable.length - 1) / (FREE_RETRIES + 1));
  const most = Math.min(chargeable.length, chargeable.length === 0 ? 0 : 1 + delivered.length + usedUp);
  const unexplained = each.flatMap(({ slacks }) => slacks.filter(({ slack }) => slack === 'unexplained'));
  const id = group[0]?.id ?? '';
  const mostMsat = most * price;
  if (mostMsat === leastMsat) return { leastMsat, mostMsat, slacks: unexplained };
  const slack = most > 1 ? 'repeated-after-cut' : (each.flatMap(({ slacks }) => slacks)[0]?.slack ?? 'cut');
  return { leastMsat, mostMsat, slacks: [...unexplained, { slack, id, msat: mostMsat - leastMsat }] };
}

/** The gateway counts as delivered what it could pass to the kernel whole, before the client was seen to go. */
function mayHaveBeenDelivered(sent: Sent, timeline: Timeline): boolean {
  if (sent.end === 'whole' || wasHit(sent, timeline) || mayBeForgotten(sent, timeline)) return true;
  return sent.end === 'left' && sent.endedAtMs - sent.sentAtMs >= SOON_MS;
}

function boundsOfOne(sent: Sent, timeline: Timeline): Bounds {
  if (sent.intent === 'cheat') return exactly(0);
  switch (sent.service) {
    case 'call':
    case 'bundle':
      return boundsOfCall(sent, timeline);
    case 'live':
      return boundsOfStream(sent, timeline);
    case 'files':
      return boundsOfDownload(sent, timeline);
    default:
      return exactly(0);
  }
}

function boundsOfCall(sent: Sent, timeline: Timeline): Bounds {
  const price = PRICES.call;
  if (sent.status === undefined) return between(sent, 0, price, whyNoHead(sent, timeline));
  // Paid for, whether or not all of it arrived: the docs refund what failed before its first byte.
  if (sent.fromUpstream && sent.status === 200) {
    if (!isExplained(sent, timeline)) return between(sent, price, price, 'unexplained');
    return mayBeForgotten(sent, timeline) ? between(sent, 0, price, 'forgotten') : exactly(price);
  }
  const isRefund = sent.status >= 500 && isRefundAtRisk(sent, timeline);
  return isRefund ? between(sent, 0, price, 'refund-lost') : exactly(0);
}

/** Streams that are charged once: for the time in which at least one of them was delivered. */
function boundsOfShared(sent: readonly Sent[], timeline: Timeline, served: readonly Served[]): Bounds {
  const { leastMs, mostMs } = timeTogether(sent.flatMap((one) => sharedStreamOf(one, timeline, served)));
  // Each for itself is the most that they can cost, and tells what is not known, and why.
  const each = sent.map((one) => boundsOfStream(one, timeline));
  const eachMsat = each.reduce((sum, { mostMsat }) => sum + mostMsat, 0);
  const [leastMsat, mostMsat] = [costOfMs(leastMs), Math.min(eachMsat, costOfMs(mostMs))];
  return { leastMsat, mostMsat, slacks: each.flatMap(({ slacks }) => slacks) };
}

/** What is known of a stream; nothing of one that was refused. */
function sharedStreamOf(sent: Sent, timeline: Timeline, served: readonly Served[]): SharedStream[] {
  if (sent.status !== undefined && !sent.fromUpstream) return [];
  // A client sees later than its gateway that the hold is over.
  const held = sent.holds.map(([fromMs, untilMs]): Stretch => [fromMs, untilMs - NOTICE_MS]);
  const may = served
    .filter(({ id }) => id === sent.id)
    .flatMap(({ fromMs, untilMs }) => without([fromMs, untilMs + LEAST_PAID_MS], held));
  return [{ may, surely: billedRuns(sent, timeline), lostMs: lostMsOf(sent, timeline) }];
}

/** When a stream surely ran, without what the store may have forgotten. */
function billedRuns({ runs }: Sent, timeline: Timeline): readonly Stretch[] {
  const holes = timeline.outages
    .filter(isFailover)
    .map(({ fromMs, untilMs }): Stretch => [fromMs - BEHIND_MS, untilMs]);
  return runs.flatMap((run) => without(run, union(holes)));
}

/** What of a stream may be delivered and not billed, ms. */
function lostMsOf(sent: Sent, timeline: Timeline): number {
  return isLeaseAtRisk(sent, timeline) ? UNCOMMITTED_MS : ORDERLY_MS;
}

function boundsOfStream(sent: Sent, timeline: Timeline): Bounds {
  if (sent.status === undefined) {
    const openMs = sent.endedAtMs - sent.sentAtMs;
    return between(sent, 0, costOfMs(Math.min(openMs, SLICE_MS) + NOTICE_MS), whyNoHead(sent, timeline));
  }
  if (!sent.fromUpstream) return exactly(0);
  const openMs = sent.endedAtMs - sent.headAtMs - lengthOf(sent.holds);
  const most = costOfMs(Math.max(openMs, LEAST_PAID_MS) + NOTICE_MS);
  const least = costOfMs(Math.max(0, lengthOf(billedRuns(sent, timeline)) - lostMsOf(sent, timeline)));
  // A lease that was forgotten ends its stream.
  const isKnown = isExplained(sent, timeline) || mayBeForgotten(sent, timeline);
  return between(sent, least, most, isKnown ? 'slice' : 'unexplained');
}

function boundsOfDownload(sent: Sent, timeline: Timeline): Bounds {
  if (sent.status === undefined)
    return between(sent, 0, costOfBytes(sent.wantedBytes), whyNoHead(sent, timeline));
  if (!sent.fromUpstream || sent.status !== 200) return exactly(0);
  const whole = costOfBytes(sent.expectedBytes);
  const isLost = isLeaseAtRisk(sent, timeline);
  if (sent.end === 'whole') return isLost ? between(sent, 0, whole, 'refund-lost') : exactly(whole);
  const least = isLost ? 0 : costOfBytes(sent.bytes);
  return between(
    sent,
    least,
    whole,
    isExplained(sent, timeline) || mayBeForgotten(sent, timeline) ? 'cut' : 'unexplained',
  );
}

function exactly(msat: number): Bounds {
  return { leastMsat: msat, mostMsat: msat, slacks: [] };
}

function between({ id }: Sent, leastMsat: number, mostMsat: number, slack: Slack): Bounds {
  return { leastMsat, mostMsat, slacks: [{ slack, id, msat: mostMsat - leastMsat }] };
}

function whyNoHead(sent: Sent, timeline: Timeline): Slack {
  if (sent.end === 'left') return 'left';
  return wasHit(sent, timeline) ? 'cut' : 'unexplained';
}

/** An answer that broke off has a reason that is known. */
function isExplained(sent: Sent, timeline: Timeline): boolean {
  return sent.end !== 'broken' || wasHit(sent, timeline);
}

/** Something was done to its gateway while it was under way. */
function wasHit({ gateway, sentAtMs, endedAtMs }: Sent, timeline: Timeline): boolean {
  return timeline.during(targetOf(gateway), sentAtMs, endedAtMs).length > 0;
}

/** Its gateway ended before it had a quiet moment, with the store, in which the charge was settled. */
function isRefundAtRisk({ gateway, sentAtMs, endedAtMs }: Sent, timeline: Timeline): boolean {
  if (isStoreDead(timeline, sentAtMs, endedAtMs)) return false;
  // The refund may be forgotten where the charge was not.
  if (failoversNear(timeline, sentAtMs, endedAtMs + SETTLED_AFTER_MS).length > 0) return true;
  const target = targetOf(gateway);
  const endMs = timeline.endAfter(target, sentAtMs);
  if (endMs === undefined) return false;
  return endMs <= endedAtMs || timeline.calmMs(['store', target], endedAtMs, endMs) < SETTLED_AFTER_MS;
}

/** What was delivered and not yet settled may not be billed: what is metered is set aside under a lease, which ends. */
function isLeaseAtRisk(sent: Sent, timeline: Timeline): boolean {
  const { gateway, endedAtMs } = sent;
  if (isRefundAtRisk(sent, timeline) || wasHit(sent, timeline) || mayBeForgotten(sent, timeline)) return true;
  const endMs = endedAtMs + LEASE_LEFT_MS;
  return timeline.calmMs(['store', targetOf(gateway)], endedAtMs, endMs) < SETTLED_AFTER_MS;
}

/** What was charged for it may be forgotten: the store was failed over before that had reached the replicas. */
export function mayBeForgotten({ sentAtMs, endedAtMs }: Sent, timeline: Timeline): boolean {
  return failoversNear(timeline, sentAtMs, endedAtMs).length > 0;
}

/** Failovers that may forget what was written between these moments. */
export function failoversNear(timeline: Timeline, fromMs: number, untilMs: number): readonly Outage[] {
  return timeline.during('store', fromMs, untilMs + BEHIND_MS).filter(isFailover);
}

function isFailover({ target, kind }: Outage): boolean {
  return target === 'store' && kind === 'failed-over';
}

/** The store was dead from before a request came until it had been refused: no verb of it can have reached the store. */
function isStoreDead(timeline: Timeline, fromMs: number, untilMs: number): boolean {
  return timeline
    .during('store', fromMs, untilMs)
    .some((away) => away.kind === 'killed' && away.fromMs + SOON_MS < fromMs && away.untilMs > untilMs);
}

function targetOf(gateway: number): Target {
  return `gateway-${gateway}`;
}

function costOfMs(ms: number): number {
  return Math.ceil((ms * PRICES.live) / 1_000);
}

function costOfBytes(bytes: number): number {
  return Math.ceil((bytes * PRICES.files) / 1_000);
}
