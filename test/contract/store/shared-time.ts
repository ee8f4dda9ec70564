import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type Commit,
  type CommitOutcome,
  MAX_SPANS,
  type SharedTime,
  type Span,
  type Store,
} from '../../../gateway/ledger/store.ts';
import { type Msat, msat } from '../../../node/msat.ts';
import { ALICE, accountOf, assertStoreError, BOB, type ContractTest, fund, type Subject } from './subject.ts';

const KEY = 'film 100/1000';
/** Well before the clock of the tests, so that a day more is no matter. */
const START_MS = 1_893_000_000_000;

/** Time from and to, in ms of a test. */
function time(...spans: readonly Span[]): SharedTime {
  return { key: KEY, spans: spans.map(([from, to]) => [START_MS + from, START_MS + to]) };
}

interface Step {
  readonly leaseId: string;
  readonly slice: number;
  readonly spendMsat: number;
  readonly shared: SharedTime;
  readonly accountId?: string;
  readonly reserveMsat?: number;
}

function commitOf({ leaseId, slice, spendMsat, shared, accountId = ALICE, reserveMsat = 0 }: Step): Commit {
  const amounts = { spendMsat: msat(spendMsat), reserveMsat: msat(reserveMsat) };
  return { accountId, leaseId, slice, ttlSec: 1_000, shared, ...amounts };
}

async function commitOne(store: Store, step: Step): Promise<CommitOutcome> {
  const [outcome] = await store.commit([commitOf(step)]);
  assert.ok(outcome);
  return outcome;
}

function billedOf(outcome: CommitOutcome): Msat | undefined {
  return 'billedMsat' in outcome ? outcome.billedMsat : undefined;
}

/** Opens leases with so much set aside in each. */
async function openLeases(subject: Subject, leaseIds: readonly string[], amountMsat = 10_000): Promise<void> {
  await fund(subject, ALICE, amountMsat * leaseIds.length + 10_000);
  for (const leaseId of leaseIds) {
    const asked = { accountId: ALICE, leaseId, amountMsat: msat(amountMsat), ttlSec: 1_000 };
    assert.equal((await subject.store.reserve(asked)).kind, 'reserved');
  }
}

async function spentOf(store: Store): Promise<number> {
  return (await accountOf(store, ALICE)).spentMsat;
}

/** Length of the union, counted ms by ms. */
function unionOf(spans: readonly Span[]): number {
  const ms = new Set<number>();
  for (const [from, to] of spans) for (let at = from; at < to; at += 1) ms.add(at);
  return ms.size;
}

/** Time that leases of an account pay for together. */
export function sharedTimeContract(it: ContractTest): void {
  billingContract(it);
  roundingContract(it);
  repeatingContract(it);
  boundsContract(it);
}

function billingContract(it: ContractTest): void {
  it('two leases pay once for the time that they have in common', async (subject) => {
    const { store } = subject;
    await openLeases(subject, ['a', 'b']);
    const first = await commitOne(store, {
      leaseId: 'a',
      slice: 1,
      spendMsat: 100,
      shared: time([0, 1_000]),
    });
    assert.deepEqual(first, { kind: 'committed', balanceMsat: 10_000, reservedMsat: 9_900, billedMsat: 100 });
    const second = await commitOne(store, {
      leaseId: 'b',
      slice: 1,
      spendMsat: 100,
      reserveMsat: 50,
      shared: time([400, 1_400]),
    });
    assert.deepEqual(second, { kind: 'committed', balanceMsat: 9_950, reservedMsat: 10_010, billedMsat: 40 });
    const third = await commitOne(store, {
      leaseId: 'a',
      slice: 2,
      spendMsat: 40,
      shared: time([1_000, 1_400]),
    });
    assert.equal(billedOf(third), 0);
    const released = await store.release({
      accountId: ALICE,
      leaseId: 'b',
      spendMsat: msat(20),
      shared: time([1_400, 1_600]),
    });
    assert.deepEqual(released, { kind: 'released', balanceMsat: 19_940, billedMsat: 20 });
    assert.equal(await spentOf(store), 160);
  });

  it('time that is told late is billed all the same, where nobody paid for it', async (subject) => {
    const { store } = subject;
    await openLeases(subject, ['a', 'b']);
    for (const [slice, from] of [100, 400, 800].entries()) {
      const shared = time([from, from + 50]);
      await commitOne(store, { leaseId: 'b', slice: slice + 1, spendMsat: 5, shared });
    }
    const late = await commitOne(store, { leaseId: 'a', slice: 1, spendMsat: 100, shared: time([0, 1_000]) });
    assert.equal(billedOf(late), 85);
    assert.equal(await spentOf(store), 100);
  });

  it('accounts and keys each pay for themselves, and so does a step without spans', async (subject) => {
    const { store } = subject;
    await openLeases(subject, ['a', 'b']);
    await fund(subject, BOB, 10_000);
    await store.reserve({ accountId: BOB, leaseId: 'a', amountMsat: msat(1_000), ttlSec: 1_000 });
    const step = { leaseId: 'a', slice: 1, spendMsat: 100, shared: time([0, 1_000]) };
    assert.equal(billedOf(await commitOne(store, step)), 100);
    assert.equal(billedOf(await commitOne(store, { ...step, accountId: BOB })), 100);
    const other = { ...step.shared, key: 'film 50/1000' };
    assert.equal(billedOf(await commitOne(store, { ...step, slice: 2, shared: other })), 100);
    assert.equal(billedOf(await commitOne(store, { ...step, slice: 3, shared: time() })), 100);
    assert.equal(billedOf(await commitOne(store, { ...step, slice: 4 })), 0);
  });

  it('whatever leases tell in whatever order, the union is billed: never more, and less only by rounding', async (subject) => {
    const { store } = subject;
    const span = fc.tuple(fc.nat(300), fc.integer({ min: 1, max: 60 }));
    const step = fc.record({ lease: fc.nat(2), span, again: fc.boolean(), together: fc.boolean() });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 25 }),
        fc.integer({ min: 1, max: 9 }),
        async (steps, rate) => {
          round += 1;
          const key = `key ${round}`;
          const leaseIds = ['a', 'b', 'c'].map((name) => `${name} ${round}`);
          await openLeases(subject, leaseIds, 60 * 9 * 50);
          const before = await spentOf(store);
          const told: Span[] = [];
          const slices = [0, 0, 0];
          for (const {
            lease,
            span: [from, length],
            again,
            together,
          } of steps) {
            slices[lease] = (slices[lease] ?? 0) + 1;
            told.push([from, from + length]);
            const commit = commitOf({
              leaseId: leaseIds[lease] ?? '',
              slice: slices[lease] ?? 0,
              spendMsat: length * rate,
              shared: { ...time([from, from + length]), key },
            });
            await store.commit([commit]);
            // The answer was lost.
            if (again) assert.equal((await store.commit([commit]))[0]?.kind, 'repeated');
            if (together) {
              // Another tells of the same time in one call with a repetition.
              const next = (lease + 1) % 3;
              slices[next] = (slices[next] ?? 0) + 1;
              await store.commit([
                commit,
                { ...commit, leaseId: leaseIds[next] ?? '', slice: slices[next] ?? 0 },
              ]);
            }
          }
          const billed = (await spentOf(store)) - before;
          // At a whole rate a ms, the part of an amount is whole too.
          assert.equal(billed, unionOf(told) * rate);
          for (const leaseId of leaseIds)
            await store.release({ accountId: ALICE, leaseId, spendMsat: msat(0) });
        },
      ),
      { numRuns: 15 },
    );
  });

  it('parts of an msat add up', async (subject) => {
    const { store } = subject;
    await openLeases(subject, ['a', 'b']);
    await commitOne(store, { leaseId: 'a', slice: 1, spendMsat: 1, shared: time([0, 10]) });
    const half = await commitOne(store, { leaseId: 'b', slice: 1, spendMsat: 3, shared: time([5, 15]) });
    assert.equal(billedOf(half), 1);
    // Nor is it lost: it comes to one with the next.
    const next = await commitOne(store, { leaseId: 'a', slice: 2, spendMsat: 3, shared: time([10, 20]) });
    assert.equal(billedOf(next), 2);
  });
}

function roundingContract(it: ContractTest): void {
  it('two that take turns pay the price of one, also where a step costs less than an msat', async (subject) => {
    const { store } = subject;
    await openLeases(subject, ['a', 'b']);
    // 1 msat in 1,500 ms; each step tells 1,000 ms, of which the other has told the first half.
    const costOf = (ms: number) => Math.ceil(ms / 1_500);
    const slices = { a: 0, b: 0 };
    for (let from = 0; from < 30_000; from += 500) {
      const leaseId = from % 1_000 === 0 ? 'a' : 'b';
      slices[leaseId] += 1;
      const own = slices[leaseId] * 1_000;
      const spendMsat = costOf(own) - costOf(own - 1_000);
      await commitOne(store, {
        leaseId,
        slice: slices[leaseId],
        spendMsat,
        shared: time([from, from + 1_000]),
      });
    }
    const spent = await spentOf(store);
    assert.ok(spent >= 20 && spent <= 22, `${spent}`);
  });
}

function repeatingContract(it: ContractTest): void {
  it('a slice that is repeated bills nothing, whatever was paid for since', async (subject) => {
    const { store } = subject;
    await openLeases(subject, ['a', 'b']);
    const step = { leaseId: 'a', slice: 1, spendMsat: 100, shared: time([0, 1_000]) };
    await commitOne(store, step);
    await commitOne(store, { leaseId: 'b', slice: 1, spendMsat: 100, shared: time([500, 1_500]) });
    const again = await commitOne(store, step);
    assert.deepEqual(again, { kind: 'repeated', balanceMsat: 10_000, reservedMsat: 9_900 });
    const release = { accountId: ALICE, leaseId: 'a', spendMsat: msat(50), shared: time([1_500, 2_000]) };
    await store.release(release);
    assert.deepEqual(await store.release(release), { kind: 'gone' });
    assert.equal(await spentOf(store), 200);
  });

  it('a lease that is gone pays for nothing, and marks nothing as paid', async (subject) => {
    const { store, clock } = subject;
    await openLeases(subject, ['a', 'b']);
    await store.reserve({ accountId: ALICE, leaseId: 'short', amountMsat: msat(1_000), ttlSec: 5 });
    clock.advanceSec(5);
    const step = { spendMsat: 100, slice: 1, shared: time([0, 1_000]) };
    assert.deepEqual(await commitOne(store, { ...step, leaseId: 'short' }), { kind: 'gone' });
    assert.equal(billedOf(await commitOne(store, { ...step, leaseId: 'a' })), 100);
    clock.advanceSec(600);
    assert.equal(billedOf(await commitOne(store, { ...step, leaseId: 'b' })), 0);
  });

  it('what a refused call names is not paid for', async (subject) => {
    const { store } = subject;
    await openLeases(subject, ['a', 'b'], 100);
    const step = { leaseId: 'a', slice: 1, spendMsat: 100, shared: time([0, 1_000]) };
    const tooMuch = commitOf({ ...step, leaseId: 'b', spendMsat: 101 });
    await assertStoreError('invalid', store.commit([commitOf(step), tooMuch]));
    assert.equal(billedOf(await commitOne(store, { ...step, leaseId: 'b' })), 100);
  });

  it('a revoked account pays for its last slice only what nobody paid for', async (subject) => {
    const { store, clock } = subject;
    await openLeases(subject, ['a', 'b']);
    await commitOne(store, { leaseId: 'a', slice: 1, spendMsat: 100, shared: time([0, 1_000]) });
    await store.revoke(ALICE, clock.nowSec() + 1_000);
    const last = await commitOne(store, {
      leaseId: 'b',
      slice: 1,
      spendMsat: 100,
      shared: time([100, 1_100]),
    });
    assert.deepEqual(last, { kind: 'revoked', billedMsat: 10 });
    assert.equal(await spentOf(store), 110);
  });

  it('paid time is there when the store was opened again', async (subject) => {
    const { store, backend } = subject;
    if (!backend.persistent) return;
    await openLeases(subject, ['a', 'b']);
    await commitOne(store, { leaseId: 'a', slice: 1, spendMsat: 100, shared: time([0, 400], [600, 1_000]) });
    await store.close();
    const again = await backend.open();
    subject.reopened(again);
    const second = await commitOne(again, {
      leaseId: 'b',
      slice: 1,
      spendMsat: 100,
      shared: time([0, 1_000]),
    });
    assert.equal(billedOf(second), 20);
  });
}

function boundsContract(it: ContractTest): void {
  it('of more stretches than are remembered, the nearest become one', async (subject) => {
    const { store } = subject;
    await openLeases(subject, ['a', 'b'], 100_000);
    // One gap of 1 ms among gaps of 10 ms.
    const spans = Array.from({ length: MAX_SPANS }, (_, n): Span => [n * 20, n * 20 + (n === 7 ? 19 : 10)]);
    await commitOne(store, { leaseId: 'a', slice: 1, spendMsat: 649, shared: time(...spans) });
    const more = time([MAX_SPANS * 20, MAX_SPANS * 20 + 10]);
    assert.equal(
      billedOf(await commitOne(store, { leaseId: 'a', slice: 2, spendMsat: 10, shared: more })),
      10,
    );
    const gap = time([7 * 20 + 19, 8 * 20]);
    assert.equal(billedOf(await commitOne(store, { leaseId: 'b', slice: 1, spendMsat: 1, shared: gap })), 0);
    const all = time([0, MAX_SPANS * 20 + 10]);
    const rest = await commitOne(store, { leaseId: 'b', slice: 2, spendMsat: 1_290, shared: all });
    assert.equal(billedOf(rest), 1_290 - 649 - 10 - 1);
  });

  it('spans out of order, too many, or without a key are refused', async (subject) => {
    const { store } = subject;
    await openLeases(subject, ['a']);
    const bad: readonly SharedTime[] = [
      time([5, 4]),
      time([0, 10], [9, 12]),
      { key: KEY, spans: [[-1, 5]] },
      { key: KEY, spans: [[0.5, 5]] },
      { key: KEY, spans: [[0, Number.NaN]] },
      { key: '', spans: [] },
      { key: 'x'.repeat(129), spans: [] },
      time(...Array.from({ length: MAX_SPANS + 1 }, (_, n): Span => [n * 2, n * 2 + 1])),
    ];
    for (const shared of bad) {
      await assertStoreError('invalid', commitOne(store, { leaseId: 'a', slice: 1, spendMsat: 1, shared }));
      const release = { accountId: ALICE, leaseId: 'a', spendMsat: msat(1), shared };
      await assertStoreError('invalid', store.release(release));
    }
    assert.equal(await spentOf(store), 0);
  });

  it('the clock of shared time is that of the store', async ({ store, clock }) => {
    assert.equal(await store.clockMs(ALICE), clock.nowMs());
    clock.advanceSec(7);
    assert.equal(await store.clockMs(ALICE), clock.nowMs());
    await assertStoreError('invalid', store.clockMs('nobody'));
  });
}
