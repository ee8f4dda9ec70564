import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createAwakeTimers } from '../../gateway/cluster/awake-timers.ts';

const LOOK_EVERY_MS = 1_000;

/** Timers on a clock that a test moves. */
function openTimers(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 0;
  const timers = createAwakeTimers(LOOK_EVERY_MS, () => nowMs);
  const rang: string[] = [];
  return {
    rang,
    ring: (name: string, delayMs: number) => timers.after(delayMs, () => void rang.push(name)),
    /** This process runs: it looks at the clock as often as it should. */
    run(ms: number) {
      for (let passed = 0; passed < ms; passed += LOOK_EVERY_MS) {
        nowMs += LOOK_EVERY_MS;
        t.mock.timers.tick(LOOK_EVERY_MS);
      }
    },
    /** The clock goes on without it, and then it looks. */
    standStill(ms: number) {
      nowMs += ms;
      t.mock.timers.tick(LOOK_EVERY_MS);
    },
    /** The clock goes on, and it does not look. */
    pass(ms: number) {
      nowMs += ms;
    },
  };
}

test('a timer rings once, when its time is over and not before', (t) => {
  const { ring, rang, run } = openTimers(t);
  ring('late', 5_000);
  ring('early', 2_000);
  run(1_000);
  assert.deepEqual(rang, []);
  run(1_000);
  assert.deepEqual(rang, ['early']);
  run(2_000);
  assert.deepEqual(rang, ['early']);
  run(10_000);
  assert.deepEqual(rang, ['early', 'late']);
});

test('one that begins between two looks has all of its time', (t) => {
  const { ring, rang, run, pass } = openTimers(t);
  ring('first', 60_000);
  pass(900);
  ring('second', 2_000);
  run(1_000);
  run(1_000);
  // 2,000 ms after it began, and the look before that was 100 ms too early.
  assert.deepEqual(rang, []);
  run(1_000);
  assert.deepEqual(rang, ['second']);
});

test('time in which the process stood still counts as one look, however long it was', (t) => {
  const { ring, rang, run, standStill } = openTimers(t);
  ring('one', 10_000);
  run(3_000);
  standStill(3_600_000);
  standStill(3_600_000);
  run(4_000);
  assert.deepEqual(rang, []);
  run(1_000);
  assert.deepEqual(rang, ['one']);
});

test('what begins after a pause, and before the next look, has all of its time', (t) => {
  const { ring, rang, run, pass } = openTimers(t);
  const other = ring('other', 1_000_000);
  pass(3_600_000);
  ring('one', 2_000);
  other.again();
  run(2_000);
  assert.deepEqual(rang, []);
  run(1_000);
  assert.deepEqual(rang, ['one']);
});

test('one that starts anew has all of its time again, also when it rang; one that was cancelled never rings', (t) => {
  const { ring, rang, run } = openTimers(t);
  const again = ring('again', 3_000);
  const cancelled = ring('cancelled', 3_000);
  run(2_000);
  again.again();
  cancelled.cancel();
  cancelled.again();
  run(2_000);
  assert.deepEqual(rang, []);
  run(1_000);
  assert.deepEqual(rang, ['again']);
  // None was left, so that nobody has looked since.
  run(10_000);
  again.again();
  run(2_000);
  assert.deepEqual(rang, ['again']);
  run(1_000);
  assert.deepEqual(rang, ['again', 'again']);
});

test('one that rings may end another which is over at the same look', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 0;
  const timers = createAwakeTimers(LOOK_EVERY_MS, () => nowMs);
  const rang: string[] = [];
  timers.after(500, () => {
    rang.push('first');
    second.cancel();
  });
  const second = timers.after(500, () => void rang.push('second'));
  nowMs = LOOK_EVERY_MS;
  t.mock.timers.tick(LOOK_EVERY_MS);
  assert.deepEqual(rang, ['first']);
});
