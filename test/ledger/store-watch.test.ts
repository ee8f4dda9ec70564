import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '../../gateway/ledger/store.ts';
import { storeWatch } from '../../gateway/ledger/store-watch.ts';

function rig(passGraceMs = 300_000) {
  const state = { failure: undefined as StoreError | undefined, nowMs: 1_000_000 };
  const told: (string | undefined)[] = [];
  const watch = storeWatch({
    store: {
      verify: async () => {
        if (state.failure !== undefined) throw state.failure;
      },
    },
    nowMs: () => state.nowMs,
    passGraceMs,
    onMismatch: (error) => told.push(error?.message),
  });
  return { watch, state, told };
}

test('another store is told once, stops what needs no store, and is over when the right one is back', async () => {
  const { watch, state, told } = rig();
  await watch.refresh();
  watch.requireStanding();
  state.failure = new StoreError('mismatch', 'it is empty');
  await watch.refresh();
  await watch.refresh();
  assert.deepEqual(told, ['it is empty']);
  assert.equal(watch.mismatch()?.code, 'mismatch');
  assert.throws(() => watch.requireStanding(), /it is empty/);
  // Away is not back.
  state.failure = new StoreError('unavailable', 'away');
  await assert.rejects(watch.refresh(), /away/);
  assert.equal(watch.mismatch()?.code, 'mismatch');
  state.failure = undefined;
  await watch.refresh();
  assert.deepEqual(told, ['it is empty', undefined]);
  watch.requireStanding();
});

test('a silent store lets passes go on for the configured time and no longer', () => {
  const { watch, state } = rig(60_000);
  state.nowMs += 60_000;
  watch.requireStanding();
  state.nowMs += 1;
  assert.throws(
    () => watch.requireStanding(),
    (error) => error instanceof StoreError && error.code === 'unavailable',
  );
  watch.answered();
  watch.requireStanding();
});
