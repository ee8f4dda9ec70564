import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTimeline } from './timeline.ts';

function timelineAt(clock: { ms: number }) {
  return createTimeline(() => clock.ms);
}

test('an outage counts from the moment when it began until the process was seen to answer', () => {
  const clock = { ms: 100 };
  const timeline = timelineAt(clock);
  const end = timeline.begin('gateway-0', 'killed');
  clock.ms = 900;
  assert.equal(timeline.during('gateway-0', 5_000, 6_000).length, 1, 'it is still away');
  end();
  assert.equal(timeline.during('gateway-0', 0, 99).length, 0);
  assert.equal(timeline.during('gateway-0', 0, 100).length, 1);
  assert.equal(timeline.during('gateway-0', 901, 902).length, 0);
  assert.equal(timeline.during('gateway-1', 0, 1_000).length, 0);
});

test('a process that is frozen does not end', () => {
  const clock = { ms: 100 };
  const timeline = timelineAt(clock);
  timeline.begin('gateway-0', 'frozen')();
  assert.equal(timeline.endAfter('gateway-0', 0), undefined);
  clock.ms = 500;
  timeline.begin('gateway-0', 'restarted')();
  assert.equal(timeline.endAfter('gateway-0', 0), 500);
  assert.equal(timeline.endAfter('gateway-0', 501), undefined);
});

test('a calm time is one in which nobody that matters was away', () => {
  const clock = { ms: 1_000 };
  const timeline = timelineAt(clock);
  const end = timeline.begin('store', 'killed');
  clock.ms = 3_000;
  end();
  assert.equal(timeline.calmMs(['store'], 0, 10_000), 7_000);
  assert.equal(timeline.calmMs(['gateway-1'], 0, 10_000), 10_000);
  clock.ms = 5_000;
  timeline.begin('gateway-1', 'frozen')();
  assert.equal(timeline.calmMs(['store', 'gateway-1'], 0, 10_000), 5_000);
  assert.equal(timeline.calmMs(['store', 'gateway-1'], 1_500, 2_500), 0);
});
