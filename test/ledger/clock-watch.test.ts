import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clockWatch, MAX_CLOCK_AHEAD_SEC } from '../../gateway/ledger/clock-watch.ts';

test('a store that is ahead by more than a minute is told once, and again when it is right', async () => {
  const clocks = { store: 1_000, ours: 1_000 };
  const told: (number | undefined)[] = [];
  const watch = clockWatch(
    { clock: async () => clocks.store },
    () => clocks.ours * 1000,
    (aheadSec) => told.push(aheadSec),
  );
  const at = async (store: number) => {
    clocks.store = store;
    await watch.refresh();
    return watch.aheadSec();
  };
  assert.equal(await at(1_000), 0);
  assert.equal(await at(900), 0, 'a store that is behind takes whatever we sell');
  assert.equal(await at(1_000 + MAX_CLOCK_AHEAD_SEC), MAX_CLOCK_AHEAD_SEC);
  assert.deepEqual(told, []);
  assert.equal(await at(1_100), 100);
  assert.equal(await at(1_200), 200);
  clocks.ours = 1_195;
  assert.equal(await at(1_200), 5);
  assert.deepEqual(told, [100, undefined]);
});

test('it is known the moment that our own clock goes back, before the next look', async () => {
  const clocks = { store: 1_000, ours: 1_000 };
  const watch = clockWatch(
    { clock: async () => clocks.store },
    () => clocks.ours * 1000,
    () => {},
  );
  clocks.store = 90_000;
  clocks.ours = 90_000;
  await watch.refresh();
  assert.equal(watch.aheadSec(), 0);
  clocks.ours = 1_001;
  assert.equal(watch.aheadSec(), 88_999);
});
