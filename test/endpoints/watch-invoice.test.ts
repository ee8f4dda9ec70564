import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  createInvoiceWatcher,
  type WatcherOptions,
  type WatchRequest,
} from '../../gateway/endpoints/watch-invoice.ts';
import { msat } from '../../node/msat.ts';
import type { InvoiceState } from '../../node/node.ts';

const HASH = 'ab'.repeat(32);
const SETTLED: InvoiceState = {
  kind: 'settled',
  preimage: '11'.repeat(32),
  paidMsat: msat(1000),
  settledAtSec: 1,
};

function setup(t: TestContext, options: Partial<WatcherOptions> = {}) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const node = {
    state: { kind: 'open' } as InvoiceState | undefined,
    error: undefined as unknown,
    lookups: 0,
  };
  const watcher = createInvoiceWatcher({
    lookupInvoice: async () => {
      node.lookups += 1;
      if (node.error !== undefined) throw node.error;
      return node.state;
    },
    ...options,
  });
  const ask = (request: Partial<WatchRequest> = {}) =>
    watcher.watch({
      paymentHash: HASH,
      waitMs: 60_000,
      client: '192.0.2.1',
      signal: new AbortController().signal,
      ...request,
    });
  return { node, watcher, ask, tick: (ms: number) => tick(t, ms) };
}

/** Moves the clock in small steps and lets what is due run in between. */
async function tick(t: TestContext, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    t.mock.timers.tick(50);
    for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
  }
}

test('a hundred waiters of one invoice cost one look-up at a time', async (t) => {
  const { node, ask, watcher, tick } = setup(t);
  const waits = Array.from({ length: 100 }, (_, index) => ask({ client: `c${index}` }));
  await tick(50);
  assert.equal(node.lookups, 1);
  assert.equal(watcher.waiting, 100);
  await tick(250);
  assert.equal(node.lookups, 2);
  node.state = SETTLED;
  await tick(1000);
  assert.equal(node.lookups, 3);
  for (const outcome of await Promise.all(waits))
    assert.deepEqual(outcome, { kind: 'state', state: SETTLED });
  assert.equal(watcher.waiting, 0);
});

test('the node is asked ever more rarely, at most every two seconds', async (t) => {
  const { node, ask, tick } = setup(t);
  const wait = ask();
  await tick(60_000);
  assert.deepEqual(await wait, { kind: 'state', state: { kind: 'open' } });
  // 0, 0.25, 0.75, 1.75, 3.75, then every 2 s.
  assert.ok(node.lookups >= 30 && node.lookups <= 34, String(node.lookups));
  await tick(10_000);
  assert.ok(node.lookups <= 34, 'nobody waits, nobody asks');
});

test('a settlement reported by the feed answers at once', async (t) => {
  const { node, ask, watcher, tick } = setup(t);
  const wait = ask();
  await tick(5000);
  const before = node.lookups;
  node.state = SETTLED;
  watcher.wake(HASH);
  assert.deepEqual(await wait, { kind: 'state', state: SETTLED });
  assert.equal(node.lookups, before + 1);
});

test('a settlement that arrives during a look-up which missed it is not lost', async (t) => {
  const answers: ((state: InvoiceState) => void)[] = [];
  const { ask, watcher } = setup(t, {
    lookupInvoice: () => new Promise((resolve) => answers.push(resolve)),
  });
  const wait = ask();
  watcher.wake(HASH);
  answers[0]?.({ kind: 'open' });
  for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
  answers[1]?.(SETTLED);
  assert.deepEqual(await wait, { kind: 'state', state: SETTLED });
});

test('asking without a wait answers what the node says, and a loop of it does not reach the node', async (t) => {
  const { node, ask, watcher, tick } = setup(t);
  for (let turn = 0; turn < 50; turn += 1) {
    assert.deepEqual(await ask({ waitMs: 0 }), { kind: 'state', state: { kind: 'open' } });
  }
  assert.equal(node.lookups, 1);
  node.state = SETTLED;
  watcher.wake(HASH);
  assert.deepEqual(await ask({ waitMs: 0 }), { kind: 'state', state: SETTLED });
  await tick(300);
  await ask({ waitMs: 0 });
  assert.equal(node.lookups, 3);
});

test('clients that come and go do not make the node busier', async (t) => {
  const { node, ask, watcher } = setup(t, {});
  for (let turn = 0; turn < 20; turn += 1) {
    const aborter = new AbortController();
    const wait = ask({ signal: aborter.signal });
    aborter.abort();
    assert.deepEqual(await wait, { kind: 'gone' });
  }
  assert.ok(node.lookups <= 2, String(node.lookups));
  assert.equal(watcher.waiting, 0);
});

test('an unknown hash is answered without waiting', async (t) => {
  const { node, ask } = setup(t);
  node.state = undefined;
  assert.deepEqual(await ask(), { kind: 'unknown' });
});

test('a node that fails for a moment is asked again, and its failure is the answer only at the end', async (t) => {
  const { node, ask, tick } = setup(t);
  node.error = new Error('down');
  const wait = ask({ waitMs: 10_000 });
  await tick(1000);
  node.error = undefined;
  node.state = SETTLED;
  await tick(2000);
  assert.equal((await wait).kind, 'state');
  await tick(1000);
  node.error = new Error('down');
  const second = ask({ waitMs: 5000 });
  await tick(5000);
  assert.equal((await second).kind, 'failed');
});

test('waiters are bounded in all and for one client', async (t) => {
  const { ask, watcher } = setup(t, { maxWaiters: 3, maxWaitersPerClient: 2 });
  const waits = [ask(), ask(), ask({ client: 'other' })];
  assert.deepEqual(await ask(), { kind: 'busy' });
  assert.deepEqual(await ask({ client: 'third' }), { kind: 'busy' });
  for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
  watcher.close();
  for (const outcome of await Promise.all(waits))
    assert.deepEqual(outcome, { kind: 'state', state: { kind: 'open' } });
  assert.deepEqual(await ask(), { kind: 'busy' });
});
