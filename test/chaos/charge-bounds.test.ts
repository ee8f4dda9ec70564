import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sent } from './books.ts';
import { boundsOfAccount } from './charge-bounds.ts';
import { createTimeline, type Outage, type Timeline } from './timeline.ts';
import type { Served } from './upstream.ts';

const ANSWERED: Sent = {
  client: 1,
  id: 'c1-1',
  gateway: 0,
  service: 'call',
  accountId: 'aa',
  paymentHash: 'bb',
  idempotencyKey: undefined,
  intent: 'honest',
  sentAtMs: 1_000,
  headAtMs: 1_050,
  endedAtMs: 1_100,
  status: 200,
  fromUpstream: true,
  end: 'whole',
  bytes: 64,
  wantedBytes: 0,
  expectedBytes: 64,
  runs: [],
  holds: [],
};
const UNANSWERED: Sent = { ...ANSWERED, status: undefined, fromUpstream: false, end: 'none', bytes: 0 };

function withOutage(kind: Outage['kind'], fromMs: number, untilMs: number): Timeline {
  const clock = { ms: fromMs };
  const timeline = createTimeline(() => clock.ms);
  const end = timeline.begin('gateway-0', kind);
  clock.ms = untilMs;
  end();
  return timeline;
}

const QUIET = createTimeline(() => 0);
const KILLED = withOutage('killed', 1_080, 2_000);

/** The store was failed over to another Redis between these moments. */
function withFailover(fromMs: number, untilMs: number): Timeline {
  const clock = { ms: fromMs };
  const timeline = createTimeline(() => clock.ms);
  const end = timeline.begin('store', 'failed-over');
  clock.ms = untilMs;
  end();
  return timeline;
}

/** What the upstream did for them: from a moment before to a moment after the client saw it. */
function servedFor(sent: readonly Sent[]): readonly Served[] {
  return sent.map(({ id, service, accountId, headAtMs, endedAtMs }) => ({
    id,
    service,
    accountId,
    end: 'began',
    bytes: 0,
    fromMs: headAtMs - 50,
    untilMs: endedAtMs + 50,
  }));
}

function judge(
  sent: readonly Sent[],
  timeline: Timeline,
): readonly [least: number, most: number, why: string] {
  const { leastMsat, mostMsat, slacks } = boundsOfAccount(sent, timeline, servedFor(sent));
  return [leastMsat, mostMsat, slacks.map(({ slack }) => slack).join()];
}

test('a call that was answered cost its price, and one that was refused nothing', () => {
  assert.deepEqual(judge([ANSWERED], QUIET), [10_000, 10_000, '']);
  const refused: Sent = { ...ANSWERED, status: 402, fromUpstream: false };
  assert.deepEqual(judge([refused, ANSWERED, ANSWERED], QUIET), [20_000, 20_000, '']);
});

test('a call without an answer may have been charged when its gateway was killed, and is unexplained when nothing was', () => {
  assert.deepEqual(judge([UNANSWERED], KILLED), [0, 10_000, 'cut']);
  assert.deepEqual(judge([UNANSWERED], QUIET), [0, 10_000, 'unexplained']);
  assert.deepEqual(judge([{ ...UNANSWERED, gateway: 1 }], KILLED), [0, 10_000, 'unexplained']);
  assert.deepEqual(judge([{ ...UNANSWERED, end: 'left' }], QUIET), [0, 10_000, 'left']);
});

test('an answer that broke off was paid for, and must have a reason', () => {
  assert.deepEqual(judge([{ ...ANSWERED, end: 'broken' }], KILLED), [10_000, 10_000, '']);
  assert.deepEqual(judge([{ ...ANSWERED, end: 'broken' }], QUIET), [10_000, 10_000, 'unexplained']);
});

test('a failure of the upstream costs nothing, unless its gateway ended before the money went back', () => {
  const failed: Sent = { ...ANSWERED, status: 500 };
  assert.deepEqual(judge([failed], QUIET), [0, 0, '']);
  assert.deepEqual(judge([failed], withOutage('killed', 1_500, 2_000)), [0, 10_000, 'refund-lost']);
  assert.deepEqual(judge([failed], withOutage('killed', 9_000, 9_500)), [0, 0, '']);
  assert.deepEqual(judge([failed], withOutage('frozen', 1_500, 2_000)), [0, 0, '']);
});

test('what was refused while the store was dead was never charged, whatever became of its gateway', () => {
  const clock = { ms: 0 };
  const timeline = createTimeline(() => clock.ms);
  const isBack = timeline.begin('store', 'killed');
  clock.ms = 1_200;
  timeline.begin('gateway-0', 'killed')();
  clock.ms = 3_000;
  isBack();
  const refused: Sent = { ...ANSWERED, status: 503, fromUpstream: false };
  assert.deepEqual(judge([refused], timeline), [0, 0, '']);
  assert.deepEqual(judge([{ ...refused, sentAtMs: 300 }], timeline), [0, 10_000, 'refund-lost']);
});

test('a repetition under one key is free', () => {
  const left: Sent = { ...ANSWERED, idempotencyKey: 'k', end: 'left' };
  const again: Sent = { ...ANSWERED, idempotencyKey: 'k', sentAtMs: 3_000, endedAtMs: 3_100 };
  assert.deepEqual(judge([left, again], QUIET), [10_000, 10_000, '']);
  assert.deepEqual(judge([left, { ...again, idempotencyKey: 'other' }], QUIET), [20_000, 20_000, '']);
  assert.deepEqual(judge([left, again], KILLED), [10_000, 20_000, 'repeated-after-cut']);
  assert.deepEqual(judge([{ ...left, end: 'whole' }, again], QUIET), [10_000, 20_000, 'repeated-after-cut']);
  const late = { ...left, endedAtMs: 2_500 };
  assert.deepEqual(judge([late, again], QUIET), [10_000, 20_000, 'repeated-after-cut']);
});

test('one payment brings at most three answers under one key', () => {
  const left: Sent = { ...ANSWERED, idempotencyKey: 'k', end: 'left' };
  assert.deepEqual(judge([left, left, left], QUIET), [10_000, 10_000, '']);
  assert.deepEqual(judge([left, left, left, left], QUIET), [20_000, 20_000, '']);
});

test('a cheat costs nothing and buys nothing', () => {
  assert.deepEqual(judge([{ ...UNANSWERED, intent: 'cheat' }], QUIET), [0, 0, '']);
});

test('a stream costs its time within a slice, and its holds nothing', () => {
  const stream: Sent = {
    ...ANSWERED,
    service: 'live',
    end: 'left',
    endedAtMs: 11_050,
    runs: [[2_000, 7_000]],
  };
  assert.deepEqual(judge([stream], QUIET), [4_750, 11_500, 'slice']);
  assert.deepEqual(judge([{ ...stream, holds: [[7_000, 12_000]] }], QUIET), [4_750, 6_500, 'slice']);
  assert.deepEqual(judge([stream], KILLED), [2_500, 11_500, 'slice']);
});

test('a download costs its bytes', () => {
  const download: Sent = { ...ANSWERED, service: 'files', bytes: 20_050, expectedBytes: 20_050 };
  assert.deepEqual(judge([download], QUIET), [201, 201, '']);
  const left: Sent = { ...download, bytes: 5_000, end: 'left' };
  assert.deepEqual(judge([left], QUIET), [50, 201, 'cut']);
});

/** A stream that is charged once, of which something came from `fromMs` to `toMs` all the while. */
function shared(fromMs: number, toMs: number, change: Partial<Sent> = {}): Sent {
  const id = `shared ${fromMs} ${change.gateway}`;
  const times = { sentAtMs: fromMs, headAtMs: fromMs, endedAtMs: toMs };
  return { ...ANSWERED, id, service: 'shared', end: 'left', ...times, runs: [[fromMs, toMs]], ...change };
}

test('streams that are charged once cost the time that they have together, at any gateways', () => {
  assert.deepEqual(judge([shared(2_000, 12_000)], QUIET), [9_350, 10_750, 'slice']);
  const three = [shared(2_000, 12_000), shared(2_000, 12_000, { gateway: 1 }), shared(5_000, 8_000)];
  assert.deepEqual(judge(three, QUIET).slice(0, 2), [9_350, 11_550]);
  // Each for itself they would be charged 23 s.
  assert.ok(boundsOfAccount(three, QUIET, servedFor(three)).mostMsat < 12_000);
});

test('streams that are charged once, one after the other, cost what they cost together', () => {
  const two = [shared(2_000, 12_000), shared(20_000, 30_000, { gateway: 1 })];
  assert.deepEqual(judge(two, QUIET).slice(0, 2), [18_700, 21_500]);
  const killed = withOutage('killed', 11_000, 14_000);
  assert.deepEqual(judge(two, killed).slice(0, 2), [16_450, 21_500]);
});

test('of streams that are charged once, what is held at all of them costs nothing', () => {
  const holds = [[4_000, 8_000]] satisfies Sent['holds'];
  const held = shared(2_000, 12_000, {
    holds,
    runs: [
      [2_000, 4_000],
      [8_000, 12_000],
    ],
  });
  assert.deepEqual(judge([held], QUIET).slice(0, 2), [5_350, 7_500]);
  const [least, most] = judge([held, shared(2_000, 12_000, { gateway: 1 })], QUIET);
  assert.deepEqual([least, most], [9_350, 11_150]);
});

test('a call may be free, and a failed one charged, when the store was failed over near it; before and after that neither', () => {
  const failed: Sent = { ...ANSWERED, status: 500 };
  for (const near of [withFailover(500, 1_010), withFailover(1_090, 9_000), withFailover(4_000, 9_000)]) {
    assert.deepEqual(judge([ANSWERED], near), [0, 10_000, 'forgotten']);
    assert.deepEqual(judge([failed], near), [0, 10_000, 'refund-lost']);
  }
  assert.deepEqual(judge([ANSWERED], withFailover(5_000, 9_000)), [10_000, 10_000, '']);
  for (const far of [withFailover(100, 900), withFailover(8_000, 9_000)])
    assert.deepEqual(judge([ANSWERED, failed], far), [10_000, 10_000, '']);
});

test('a repetition may be charged when the store may have forgotten the first try', () => {
  const left: Sent = { ...ANSWERED, idempotencyKey: 'k', end: 'left' };
  const again: Sent = { ...left, end: 'whole', sentAtMs: 9_000, endedAtMs: 9_100 };
  assert.deepEqual(judge([left, again], QUIET), [10_000, 10_000, '']);
  assert.deepEqual(judge([left, again], withFailover(3_000, 6_000)), [10_000, 20_000, 'repeated-after-cut']);
});

test('of a stream, the time around a failover may be forgotten, and no other', () => {
  const stream = shared(2_000, 22_000, { service: 'live' });
  assert.deepEqual(judge([stream], QUIET), [19_750, 21_500, 'slice']);
  assert.deepEqual(judge([stream], withFailover(10_000, 12_000)), [12_500, 21_500, 'slice']);
  assert.deepEqual(judge([{ ...stream, end: 'broken' }], withFailover(10_000, 12_000)), [
    12_500,
    21_500,
    'slice',
  ]);
  assert.deepEqual(judge([{ ...stream, end: 'broken' }], QUIET), [19_750, 21_500, 'unexplained']);
});

test('a download may be free when its gateway, or the store, was away until its lease had ended', () => {
  const download: Sent = { ...ANSWERED, service: 'files', bytes: 20_050, expectedBytes: 20_050 };
  const clock = { ms: 1_100 };
  const timeline = createTimeline(() => clock.ms);
  const away = (target: 'store' | 'gateway-0', fromMs: number, untilMs: number): void => {
    clock.ms = fromMs;
    const isBack = timeline.begin(target, 'frozen');
    clock.ms = untilMs;
    isBack();
  };
  away('store', 1_200, 3_500);
  assert.deepEqual(judge([download], timeline), [201, 201, '']);
  away('gateway-0', 4_000, 8_000);
  assert.deepEqual(judge([download], timeline), [0, 201, 'refund-lost']);
});
