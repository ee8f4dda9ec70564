import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createAwakeTimers } from '../../gateway/cluster/awake-timers.ts';
import { watchSilence } from '../../gateway/cluster/watch-silence.ts';

function openWatch(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 0;
  const said: string[] = [];
  const watch = watchSilence(
    createAwakeTimers(1_000, () => nowMs),
    30_000,
    {
      onQuiet: (silentMs) => void said.push(`quiet ${silentMs}`),
      onSilent: (silentMs) => void said.push(`silent ${silentMs}`),
    },
  );
  const run = (sec: number): void => {
    for (let passed = 0; passed < sec; passed += 1) {
      nowMs += 1_000;
      t.mock.timers.tick(1_000);
    }
  };
  return { watch, said, run };
}

test('silence is said at half of the time, and once more when all of it is over', (t) => {
  const { said, run } = openWatch(t);
  run(14);
  assert.deepEqual(said, []);
  run(1);
  assert.deepEqual(said, ['quiet 15000']);
  run(14);
  assert.deepEqual(said, ['quiet 15000']);
  run(1);
  assert.deepEqual(said, ['quiet 15000', 'silent 30000']);
  run(100);
  assert.equal(said.length, 2);
});

test('who is heard of has all of the time again, also after it was missed', (t) => {
  const { watch, said, run } = openWatch(t);
  for (let times = 0; times < 10; times += 1) {
    run(14);
    watch.heard();
  }
  assert.deepEqual(said, []);
  run(29);
  watch.heard();
  assert.deepEqual(said, ['quiet 15000']);
  run(29);
  assert.deepEqual(said, ['quiet 15000', 'quiet 15000']);
  run(1);
  assert.equal(said.at(-1), 'silent 30000');
});

test('nothing is waited for once it is gone', (t) => {
  const { watch, said, run } = openWatch(t);
  watch.end();
  watch.heard();
  run(60);
  assert.deepEqual(said, []);
});

test('what is read of one that was given up brings it no second end', (t) => {
  const { watch, said, run } = openWatch(t);
  run(30);
  watch.heard();
  run(60);
  assert.deepEqual(said, ['quiet 15000', 'silent 30000']);
});
