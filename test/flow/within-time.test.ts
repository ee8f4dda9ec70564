import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withinTime } from '../../gateway/flow/within-time.ts';

test('a task that ends in time gives its result, and its signal never aborts', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { result, signal } = await withinTime(50, async (signal) => ({ result: 7, signal }));
  assert.equal(result, 7);
  context.mock.timers.tick(1_000);
  assert.equal(signal.aborted, false);
});

test('a task that fails in time leaves no timer behind', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  let seen: AbortSignal | undefined;
  const failing = withinTime(50, async (signal) => {
    seen = signal;
    throw new Error('no');
  });
  await assert.rejects(failing, /no/);
  context.mock.timers.tick(1_000);
  assert.equal(seen?.aborted, false);
});

test('when the time is over the signal aborts', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const aborted = withinTime(50, (signal) => {
    const { promise, resolve } = Promise.withResolvers<string>();
    signal.addEventListener('abort', () => resolve('over'));
    return promise;
  });
  context.mock.timers.tick(50);
  assert.equal(await aborted, 'over');
});
