import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createThrottleShare, readTaken, type Taken } from '../../gateway/cluster/share-throttles.ts';

const LIMITS = { burst: 4, perMinute: 60 };

/** So many processes that hear each other. */
function openShares(count: number) {
  const clock = { ms: 0 };
  const told: Taken[] = [];
  const shares = Array.from({ length: count }, (_, from) =>
    createThrottleShare(
      () => clock.ms,
      (taken) => {
        told.push(taken);
        for (const [at, share] of shares.entries()) if (at !== from) share.hear(taken);
      },
    ),
  );
  const throttles = shares.map((share) => share.throttle('challenges'));
  const take = (at: number, client = 'a') => throttles[at]?.take(client, LIMITS).kind;
  return { clock, told, shares, throttles, take };
}

test('what a client takes from one process is gone from the others', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { take, told } = openShares(3);
  assert.deepEqual([take(0), take(0), take(1), take(0, 'b')], ['ok', 'ok', 'ok', 'ok']);
  t.mock.timers.tick(20);
  assert.equal(told.length, 2);
  assert.equal(take(2), 'ok');
  t.mock.timers.tick(20);
  assert.deepEqual([take(0), take(1), take(2)], ['wait', 'wait', 'wait']);
  assert.equal(take(2, 'b'), 'ok');
});

test('a client that asks everybody at once owes afterwards what it took beyond its burst', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { take, clock } = openShares(2);
  for (let n = 0; n < 4; n += 1) assert.deepEqual([take(0), take(1)], ['ok', 'ok']);
  t.mock.timers.tick(20);
  // Eight were taken and four are allowed: the next comes when five have come back.
  clock.ms = 4_000;
  assert.deepEqual([take(0), take(1)], ['wait', 'wait']);
  clock.ms = 5_000;
  assert.equal(take(0), 'ok');
  t.mock.timers.tick(20);
  assert.equal(take(1), 'wait');
});

test('a crowd is told of before its time, in bounded parts', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { take, told } = openShares(2);
  for (let n = 0; n < 2_500; n += 1) take(0, `client ${n}`);
  assert.deepEqual(
    told.map(({ length }) => length),
    [1_000, 1_000],
  );
  assert.ok(told.every((taken) => readTaken(taken) !== undefined));
});

test('what is no such list is read as none, whatever it is', () => {
  for (const bad of [
    [['challenges', 'a', 0]],
    [['challenges', 'a', 1.5]],
    [['others', 'a', 1]],
    [['challenges', 'a'.repeat(65), 1]],
    [['challenges', 'a', 1, 2]],
    'challenges',
    Array.from({ length: 1_001 }, () => ['challenges', 'a', 1]),
  ]) {
    assert.equal(readTaken(bad), undefined);
  }
  fc.assert(
    fc.property(fc.anything(), (value) => {
      const taken = readTaken(value);
      assert.ok(taken === undefined || Array.isArray(value));
    }),
  );
});
