import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { createUnsettled, type Unsettled } from '../../gateway/flow/unsettled.ts';
import { StoreError } from '../../gateway/ledger/store.ts';

const opened: Unsettled[] = [];
afterEach(() => {
  for (const unsettled of opened.splice(0)) unsettled.close();
});

function open() {
  const clock = { ms: 0 };
  const givenUp: unknown[] = [];
  const unsettled = createUnsettled({
    nowMs: () => clock.ms,
    keepMs: 600_000,
    onGivenUp: (error) => givenUp.push(error),
  });
  opened.push(unsettled);
  return { clock, givenUp, unsettled };
}

test('a refund that the store could not take is repeated until it holds', async () => {
  const { unsettled, givenUp } = open();
  const store = { away: true, refunds: 0 };
  const refund = async () => {
    if (store.away) throw new StoreError('unavailable', 'away');
    store.refunds += 1;
  };
  await unsettled.settle(refund);
  await unsettled.retry();
  assert.equal(unsettled.size(), 1);
  store.away = false;
  await unsettled.retry();
  await unsettled.retry();
  assert.deepEqual([store.refunds, unsettled.size(), givenUp.length], [1, 0, 0]);
});

test('a refund that met a store without its data is repeated when the data is back', async () => {
  const { unsettled, givenUp } = open();
  const store = { isEmpty: true, refunds: 0 };
  await unsettled.settle(async () => {
    if (store.isEmpty) throw new StoreError('mismatch', 'it has lost its data');
    store.refunds += 1;
  });
  await unsettled.retry();
  store.isEmpty = false;
  await unsettled.retry();
  assert.deepEqual([store.refunds, unsettled.size(), givenUp.length], [1, 0, 0]);
});

test('what can never hold is given up at once and said', async () => {
  const { unsettled, givenUp } = open();
  await unsettled.settle(() => Promise.reject(new StoreError('invalid', 'a bug')));
  assert.deepEqual([unsettled.size(), givenUp.length], [0, 1]);
});

test('a verb whose key the store may have forgotten is given up and said', async () => {
  const { unsettled, givenUp, clock } = open();
  let tries = 0;
  await unsettled.settle(() => {
    tries += 1;
    return Promise.reject(new StoreError('unavailable', 'away'));
  });
  clock.ms = 600_000;
  await unsettled.retry();
  assert.deepEqual([unsettled.size(), givenUp.length], [0, 1]);
  assert.equal(tries, 1, 'not tried again: it might have been done, and would be done twice');
});

test('what still waits when the gateway stops is given up and said', async () => {
  const { unsettled, givenUp } = open();
  await unsettled.settle(() => Promise.reject(new StoreError('unavailable', 'away')));
  unsettled.close();
  unsettled.close();
  assert.deepEqual([unsettled.size(), givenUp.length], [0, 1]);
});
