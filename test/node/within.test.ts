import assert from 'node:assert/strict';
import { test } from 'node:test';
import { within } from '../../node/within.ts';

test('what comes in time is the answer, a failure too, and nothing waits for the limit then', async () => {
  assert.equal(await within(2 ** 30, Promise.resolve(1), 'late'), 1);
  await assert.rejects(within(2 ** 30, Promise.reject(new Error('no')), 'late'), /^Error: no$/);
});

test('what takes too long is late, and how it ends then is heard by nobody', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { promise, reject } = Promise.withResolvers<number>();
  const answer = within(1_000, promise, 'late');
  t.mock.timers.tick(1_000);
  assert.equal(await answer, 'late');
  // Were it not held, it would fail this test as an unhandled rejection.
  reject(new Error('much later'));
  await new Promise(setImmediate);
});
