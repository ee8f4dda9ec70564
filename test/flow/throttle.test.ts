import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createThrottle } from '../../gateway/flow/throttle.ts';

const LIMITS = { burst: 3, perMinute: 6 };

function throttleAt(startMs: number) {
  const clock = { ms: startMs };
  const throttle = createThrottle(() => clock.ms);
  return { clock, take: (key = 'a') => throttle.take(key, LIMITS) };
}

test('a client gets its burst, then is told when to come back', () => {
  const { take } = throttleAt(0);
  for (let n = 0; n < 3; n += 1) assert.equal(take().kind, 'ok');
  assert.deepEqual(take(), { kind: 'wait', retryAfterSec: 10 });
});

test('one token comes back after a sixth of a minute, and no more than the burst ever', () => {
  const { clock, take } = throttleAt(0);
  for (let n = 0; n < 3; n += 1) take();
  clock.ms = 10_000;
  assert.equal(take().kind, 'ok');
  assert.equal(take().kind, 'wait');
  clock.ms = 3_600_000;
  for (let n = 0; n < 3; n += 1) assert.equal(take().kind, 'ok');
  assert.equal(take().kind, 'wait');
});

test('clients do not share a bucket', () => {
  const { take } = throttleAt(0);
  for (let n = 0; n < 4; n += 1) take('a');
  assert.equal(take('b').kind, 'ok');
});

test('a clock that jumps backwards gives nothing and takes nothing', () => {
  const { clock, take } = throttleAt(60_000);
  for (let n = 0; n < 3; n += 1) take();
  clock.ms = 0;
  assert.equal(take().kind, 'wait');
  clock.ms = 10_000;
  assert.equal(take().kind, 'ok');
});
