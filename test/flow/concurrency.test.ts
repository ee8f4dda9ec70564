import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createConcurrencyGate } from '../../gateway/flow/concurrency.ts';

test('no more tasks run at once than allowed, and all of them run in order', async () => {
  const gate = createConcurrencyGate();
  let running = 0;
  let most = 0;
  const order: number[] = [];
  const task = async (n: number) => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setImmediate(resolve));
    order.push(n);
    running -= 1;
    return n;
  };
  const results = await Promise.all(Array.from({ length: 20 }, (_, n) => gate.run(3, () => task(n))));
  assert.equal(most, 3);
  assert.deepEqual(order, [...Array(20).keys()]);
  assert.deepEqual(results, [...Array(20).keys()]);
});

test('a full queue refuses at once', async () => {
  const gate = createConcurrencyGate();
  let open = () => {};
  const door = new Promise<void>((resolve) => {
    open = resolve;
  });
  const waiting = Array.from({ length: 17 }, () => gate.run(1, () => door));
  assert.equal(await gate.run(1, () => door), 'full');
  open();
  await Promise.all(waiting);
  assert.equal(await gate.run(1, async () => 'room again'), 'room again');
});

test('a task that fails gives its place back', async () => {
  const gate = createConcurrencyGate();
  await assert.rejects(gate.run(1, () => Promise.reject(new Error('no'))));
  assert.equal(await gate.run(1, async () => 'next'), 'next');
});
