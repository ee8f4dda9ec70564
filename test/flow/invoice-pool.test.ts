import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InvoicePoolConfig } from '../../config/config.ts';
import { createConcurrencyGate } from '../../gateway/flow/concurrency.ts';
import { createInvoicePool, type PoolDeps } from '../../gateway/flow/invoice-pool.ts';
import { type InvoiceTerms, invoiceMaker } from '../../gateway/flow/make-invoice.ts';
import { sats } from '../../node/msat.ts';
import { type Invoice, type InvoiceState, type LightningNode, NodeError } from '../../node/node.ts';
import { createSimnet, GATEWAY_WALLET } from '../../node/simnet/simnet.ts';
import { createSimulatedNode } from '../../node/simulated.ts';
import { testConfig } from '../support/config.ts';

const TERMS: InvoiceTerms = { amountMsat: sats(10), memo: 'Test: quote', expirySec: 600 };
const OTHER: InvoiceTerms = { ...TERMS, amountMsat: sats(20) };
const GOOD_MS = 300_000;

type Change = Partial<Pick<LightningNode, 'createInvoice' | 'cancelInvoice' | 'lookupInvoice'>>;

/** A pool over the simulated node, by a clock that stands still. */
function open(
  pool: InvoicePoolConfig = { size: 4, refillBelow: 4 },
  change: (real: LightningNode) => Change = () => ({}),
) {
  const clock = { ms: 1_800_000_000_000 };
  const nowMs = () => clock.ms;
  const simnet = createSimnet({ nowMs });
  const real = createSimulatedNode(simnet, GATEWAY_WALLET);
  const made: Invoice[] = [];
  const changed = { ...real, ...change(real) };
  const node: LightningNode = {
    ...changed,
    async createInvoice(request, options) {
      const invoice = await changed.createInvoice(request, options);
      made.push(invoice);
      return invoice;
    },
  };
  const config: { pool: InvoicePoolConfig | undefined } = { pool };
  const events: string[] = [];
  const deps: PoolDeps = {
    node,
    make: invoiceMaker({ node, nodeInfo: () => real.info(), tagMemo: (memo) => `${memo} [tag]`, nowMs }),
    gate: createConcurrencyGate(),
    limits: () => ({
      ...testConfig([]).challenge,
      ...(config.pool !== undefined && { invoicePool: config.pool }),
    }),
    nowMs,
    onDraw: (result) => events.push(result),
    onDropped: (reason, invoices) => events.push(`${reason} ${invoices}`),
    onFailed: (reason) => events.push(`failed ${reason}`),
  };
  const subject = createInvoicePool(deps);
  /** Draws so often, each time with all that follows. */
  const ask = async (times: number, terms = TERMS): Promise<(Invoice | undefined)[]> => {
    const drawn: (Invoice | undefined)[] = [];
    for (let n = 0; n < times; n += 1) {
      drawn.push(subject.draw(terms));
      await settled();
    }
    return drawn;
  };
  const stateOf = (invoice: Invoice | undefined): Promise<InvoiceState | undefined> =>
    real.lookupInvoice(invoice?.paymentHash ?? '');
  return { pool: subject, clock, simnet, made, events, config, deps, ask, stateOf };
}

/** The simulated node answers within a few turns of the loop. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('without a pool in the configuration nothing is made ahead', async () => {
  const { ask, made, events, config, pool } = open();
  config.pool = undefined;
  assert.deepEqual(await ask(10), Array(10).fill(undefined));
  assert.deepEqual([made.length, events.length, pool.count()], [0, 0, 0]);
  await pool.close();
});

test('who asks once costs no invoice ahead; who asks on is served from the pool, which is refilled', async () => {
  const { ask, made, pool } = open();
  await ask(1);
  assert.equal(made.length, 0);
  await ask(1);
  assert.equal(made.length, 1);
  const drawn = await ask(20);
  assert.ok(drawn.every((invoice) => invoice !== undefined));
  assert.equal(new Set(drawn).size, 20);
  assert.equal(pool.count(), 4);
  assert.equal(made.length, 24);
  await pool.close();
});

test('no more is made than was asked for, and the stock', async () => {
  const { ask, made, pool, clock } = open({ size: 50, refillBelow: 25 });
  let asked = 0;
  let direct = 0;
  for (const times of [3, 1, 7, 40, 2]) {
    const drawn = await ask(times);
    asked += times;
    direct += drawn.filter((invoice) => invoice === undefined).length;
    // What is not drawn ages, and does not come back by itself.
    clock.ms += GOOD_MS + 1;
    pool.sweep();
    await settled();
    assert.equal(pool.count(), 0);
    assert.ok(made.length + direct <= 2 * asked, `${made.length} + ${direct} for ${asked}`);
  }
  const before = made.length;
  for (let n = 0; n < 5; n += 1) {
    await ask(1);
    clock.ms += GOOD_MS + 1;
    pool.sweep();
  }
  assert.equal(made.length, before, 'one now and then gets one of its own each time');
  await pool.close();
});

test('it is refilled in one go when it falls below refillBelow', async () => {
  const { ask, made, pool } = open({ size: 6, refillBelow: 2 });
  await ask(2);
  while (pool.count() < 6) await ask(1);
  const full = made.length;
  await ask(4);
  assert.deepEqual([pool.count(), made.length], [2, full]);
  await ask(1);
  assert.deepEqual([pool.count(), made.length], [6, full + 5]);
  await pool.close();
});

test('draws at the same time never share an invoice', async () => {
  const { ask, pool } = open({ size: 20, refillBelow: 20 });
  await ask(2);
  while (pool.count() < 20) await ask(1);
  const drawn = Array.from({ length: 30 }, () => pool.draw(TERMS));
  const hits = drawn.filter((invoice) => invoice !== undefined);
  assert.equal(hits.length, 20);
  assert.equal(new Set(hits.map(({ paymentHash }) => paymentHash)).size, 20);
  await settled();
  const again = Array.from({ length: 20 }, () => pool.draw(TERMS)).filter((one) => one !== undefined);
  assert.equal(new Set([...hits, ...again].map(({ paymentHash }) => paymentHash)).size, 20 + again.length);
  await pool.close();
});

test('what has less than half of its time left is not shown, and is cancelled at the node', async () => {
  const { ask, pool, clock, events, stateOf, made } = open();
  await ask(4);
  const stock = pool.count();
  assert.ok(stock > 1);
  const [first] = made.slice(-stock);
  clock.ms += GOOD_MS;
  assert.ok((await ask(1))[0] !== undefined, 'at the half it is still good');
  clock.ms += 1_000;
  events.length = 0;
  const [late] = await ask(1);
  assert.ok(late === undefined || late.expiresAtSec * 1000 - clock.ms >= GOOD_MS);
  assert.ok(events.some((event) => event.startsWith('aged')));
  pool.sweep();
  await settled();
  const kinds = await Promise.all(made.map(stateOf));
  assert.ok(kinds.some((state) => state?.kind === 'cancelled'));
  assert.ok(first);
  await pool.close();
});

test('a node that is away: the pool serves until it is empty, then asks no more than once a second', async () => {
  const { ask, pool, simnet, clock, events } = open();
  await ask(8);
  assert.equal(pool.count(), 4);
  simnet.configure({ offline: true });
  events.length = 0;
  const drawn = await ask(6);
  assert.deepEqual(
    drawn.map((invoice) => invoice !== undefined),
    [true, true, true, true, false, false],
  );
  assert.equal(events.filter((event) => event === 'failed unreachable').length, 1);
  clock.ms += 1_000;
  pool.sweep();
  await settled();
  pool.sweep();
  await settled();
  assert.equal(events.filter((event) => event === 'failed unreachable').length, 2);
  simnet.configure({ offline: false });
  clock.ms += 2_000;
  pool.sweep();
  await settled();
  assert.equal(pool.count(), 4);
  await pool.close();
});

test('an invoice that was made for a challenge tells that the node is back', async () => {
  const { ask, pool, simnet } = open();
  await ask(8);
  simnet.configure({ offline: true });
  await ask(5);
  simnet.configure({ offline: false });
  pool.answered();
  await settled();
  assert.equal(pool.count(), 4);
  await pool.close();
});

test('a node that comes back and has forgotten its invoices: what it made before is dropped, what it made since is kept', async () => {
  let forgotten = false;
  const { ask, pool, events, made } = open({ size: 6, refillBelow: 3 }, (real) => ({
    lookupInvoice: async (hash, options) => (forgotten ? undefined : real.lookupInvoice(hash, options)),
  }));
  await ask(12);
  const stock = pool.count();
  forgotten = true;
  pool.doubt();
  pool.sweep();
  await settled();
  assert.ok(events.includes(`forgotten ${stock}`));
  const old = new Set(made.slice(0, -pool.count()).map(({ paymentHash }) => paymentHash));
  const [fresh] = await ask(1);
  assert.ok(fresh === undefined || !old.has(fresh.paymentHash));
  await pool.close();
});

test('a node that comes back and knows its invoices keeps them, whichever were drawn meanwhile', async () => {
  const { ask, pool, events } = open();
  await ask(8);
  events.length = 0;
  pool.doubt();
  pool.sweep();
  pool.draw(TERMS);
  await settled();
  assert.deepEqual(events, ['hit']);
  assert.equal(pool.count(), 4);
  await pool.close();
});

test('an invoice that is not what was asked drops everything: there may be another node', async () => {
  let lying = false;
  const { ask, pool, events } = open(undefined, (real) => ({
    createInvoice: (request, options) =>
      real.createInvoice(lying ? { ...request, amountMsat: sats(1) } : request, options),
  }));
  await ask(8);
  lying = true;
  await ask(1);
  assert.equal(pool.count(), 0);
  assert.ok(events.includes('failed bad-invoice') && events.includes('forgotten 3'));
  await pool.close();
});

test('a reload drops what is no longer sold, also what is being made for it, and cuts the rest to size', async () => {
  const gate = Promise.withResolvers<void>();
  let slow = false;
  const { ask, pool, events, config, made, stateOf } = open({ size: 4, refillBelow: 4 }, (real) => ({
    createInvoice: async (request, options) => {
      if (slow) await gate.promise;
      return real.createInvoice(request, options);
    },
  }));
  await ask(8);
  await ask(8, OTHER);
  slow = true;
  pool.draw(TERMS);
  await settled();
  events.length = 0;
  config.pool = { size: 2, refillBelow: 1 };
  pool.retain([OTHER]);
  assert.deepEqual(events.toSorted(), ['reload 2', 'reload 3']);
  assert.equal(pool.count(), 2);
  gate.resolve();
  await settled();
  assert.ok(events.length > 2 && events.slice(2).every((event) => event.startsWith('reload')));
  assert.equal(pool.count(), 2);
  pool.sweep();
  await settled();
  const kinds = await Promise.all(made.map(stateOf));
  assert.ok(kinds.filter((state) => state?.kind === 'cancelled').length >= 6);
  config.pool = undefined;
  pool.retain([OTHER]);
  assert.equal(pool.count(), 0);
  await pool.close();
});

test('closing cancels what is left, and what is still being made', async () => {
  const gate = Promise.withResolvers<void>();
  let slow = false;
  const { ask, pool, made, stateOf } = open(undefined, (real) => ({
    createInvoice: async (request, options) => {
      if (slow) await gate.promise;
      return real.createInvoice(request, options);
    },
  }));
  const drawn = await ask(8);
  slow = true;
  drawn.push(pool.draw(TERMS));
  await settled();
  const closed = pool.close();
  gate.resolve();
  await closed;
  assert.equal(pool.count(), 0);
  assert.equal(pool.draw(TERMS), undefined);
  const shown = new Set(drawn.map((invoice) => invoice?.paymentHash));
  for (const invoice of made) {
    const expected = shown.has(invoice.paymentHash) ? 'open' : 'cancelled';
    assert.equal((await stateOf(invoice))?.kind, expected);
  }
});

test('a node that hangs does not keep a gateway from stopping', async (t) => {
  const { pool, ask } = open(undefined, () => ({ cancelInvoice: () => new Promise(() => {}) }));
  await ask(8);
  // The seconds that it would wait.
  t.mock.method(AbortSignal, 'timeout', () => {
    const aborter = new AbortController();
    setImmediate(() => aborter.abort());
    return aborter.signal;
  });
  await pool.close();
});

test('what is made ahead takes half of the node at most, and nothing while a challenge waits', async () => {
  let running = 0;
  let most = 0;
  const gate = Promise.withResolvers<void>();
  let slow = false;
  const { ask, pool, deps } = open({ size: 40, refillBelow: 40 }, (real) => ({
    createInvoice: async (request, options) => {
      running += 1;
      most = Math.max(most, running);
      if (slow) await gate.promise;
      running -= 1;
      return real.createInvoice(request, options);
    },
  }));
  await ask(2);
  while (pool.count() < 30) await ask(1);
  slow = true;
  most = 0;
  Array.from({ length: 30 }, () => pool.draw(TERMS));
  await settled();
  assert.equal(most, 8);
  let challenges = 0;
  const direct = Array.from({ length: 8 }, () =>
    deps.gate.run(16, async () => {
      challenges += 1;
    }),
  );
  await Promise.all(direct);
  assert.equal(challenges, 8);
  gate.resolve();
  await settled();
  await pool.close();
});

test('the prices kept are bounded: the one that nobody asked for longest makes room', async () => {
  const { ask, pool, events } = open({ size: 2, refillBelow: 2 });
  for (let price = 1; price <= 260; price += 1) {
    await ask(3, { ...TERMS, memo: `Test: ${price}` });
  }
  assert.ok(events.some((event) => event.startsWith('crowded')));
  assert.ok(pool.count() <= 512);
  await pool.close();
});

test('a node that times out while it refills is left alone for a while', async () => {
  let asked = 0;
  let dead = false;
  const { ask, pool, events } = open(undefined, (real) => ({
    createInvoice: async (request, options) => {
      asked += 1;
      if (dead) throw new NodeError('timeout', 'the node did not answer');
      return real.createInvoice(request, options);
    },
  }));
  await ask(8);
  dead = true;
  asked = 0;
  await ask(20);
  assert.ok(asked <= 2, `${asked}`);
  assert.equal(events.filter((event) => event === 'failed timeout').length, 1);
  await pool.close();
});
