import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import type { Meters } from '../../gateway/meter/meters.ts';
import type { Meter, MeterTerms } from '../../gateway/meter/terms.ts';
import { msat } from '../../node/msat.ts';
import { ACCOUNT, createRig, price, type Rig, settleTurns, startFlow, termsOf } from './rig.ts';

/*
 * How many streams an account may have, when they are charged once: counted by the store, over all processes.
 */

const TWO = { price: price('100 msat/second'), charge: 'once', maxStreams: 2 } as const;
const THREE = { ...TWO, maxStreams: 3 } as const;

let probes = 0;

/** How many live leases the account has: the store refuses one more beyond as many. */
async function placesTaken(store: Store): Promise<number> {
  for (let most = 1; ; most += 1) {
    probes += 1;
    const leaseId = `probe:${probes}`;
    const asked = { accountId: ACCOUNT, leaseId, amountMsat: msat(0), ttlSec: 1, maxLeases: most };
    const { kind } = await store.reserve(asked);
    if (kind === 'too-many-leases') continue;
    assert.equal(kind, 'reserved');
    await store.release({ accountId: ACCOUNT, leaseId, spendMsat: msat(0) });
    return most - 1;
  }
}

async function opened(rig: Rig, terms: Partial<MeterTerms>, at: Meters = rig.meters): Promise<string> {
  const outcome = await at.open(termsOf({ ...TWO, ...terms }));
  return outcome.kind;
}

type Gate = 'after reserve' | 'after commit' | 'before release';

/** A rig whose store makes callers wait at that place from `shut` on until `open`. */
async function gatedRig(gate: Gate) {
  let shut: PromiseWithResolvers<void> | undefined;
  const rig = await createRig({
    openStore: async (nowMs) => {
      const store = createMemoryStore({ nowMs });
      return {
        ...store,
        async reserve(asked) {
          const outcome = await store.reserve(asked);
          if (gate === 'after reserve') await shut?.promise;
          return outcome;
        },
        async commit(asked) {
          const outcomes = await store.commit(asked);
          if (gate === 'after commit') await shut?.promise;
          return outcomes;
        },
        async release(asked) {
          if (gate === 'before release') await shut?.promise;
          return store.release(asked);
        },
      };
    },
  });
  return {
    rig,
    shut: (): void => {
      shut = Promise.withResolvers();
    },
    open: (): void => shut?.resolve(),
  };
}

for (const kind of ['memory', 'SQLite'] as const) {
  test(`the streams of an account are counted at all processes together; the place of one that ends is free everywhere (${kind})`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-places-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const rig = await createRig({
      stepMs: 50,
      ...(kind === 'memory'
        ? {}
        : {
            openStore: (nowMs) =>
              openSqliteStore({ file: join(folder, 'store.db'), nowMs, spendDurability: 'normal' }),
          }),
    });
    t.after(() => rig.store.close());
    await rig.credit(ACCOUNT, 100_000);
    const here = await rig.open(TWO);
    const there = await rig.open(TWO, rig.others);
    for (const meter of [here, there]) startFlow(meter);
    for (const at of [rig.meters, rig.others]) await assert.rejects(rig.open(TWO, at), /too-many/);
    // Longer than a lease lives.
    await rig.run(15_000);
    for (const at of [rig.meters, rig.others]) await assert.rejects(rig.open(TWO, at), /too-many/);
    await there.end();
    const second = await rig.open(TWO);
    assert.equal(await placesTaken(rig.store), 2);
    for (const at of [rig.meters, rig.others]) await assert.rejects(rig.open(TWO, at), /too-many/);
    await here.end();
    assert.equal(await placesTaken(rig.store), 1);
    await rig.open(TWO, rig.others);
    await assert.rejects(rig.open(TWO), /too-many/);
    await second.end();
    assert.equal(await placesTaken(rig.store), 1);
  });

  test(`of many that come at once, at two processes, as many are let in as there are places (${kind})`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-places-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const rig = await createRig(
      kind === 'memory'
        ? {}
        : {
            openStore: (nowMs) =>
              openSqliteStore({ file: join(folder, 'store.db'), nowMs, spendDurability: 'normal' }),
          },
    );
    t.after(() => rig.store.close());
    await rig.credit(ACCOUNT, 100_000);
    await rig.open(THREE);
    const kinds = await Promise.all(
      Array.from({ length: 12 }, (_, at) => opened(rig, THREE, at % 2 === 0 ? rig.meters : rig.others)),
    );
    assert.equal(kinds.filter((one) => one === 'opened').length, 2, kinds.join());
    assert.equal(kinds.filter((one) => one === 'too-many').length, 10, kinds.join());
    assert.equal(await placesTaken(rig.store), 3);
  });
}

test('a place costs nothing: who joins a stream that has all of the credit set aside is let in', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  const meters = [await rig.open(TWO)];
  assert.equal((await rig.account()).balance, 0);
  meters.push(await rig.open(TWO));
  for (const meter of meters) startFlow(meter);
  await rig.run(500);
  const reports = await Promise.all(meters.map((meter) => meter.end()));
  assert.equal(
    reports.reduce((sum, { billedMsat }) => sum + billedMsat, 0),
    50,
  );
  assert.deepEqual(await rig.account(), { balance: 50, reserved: 0, spent: 50, credited: 100 });
});

test('whoever leaves first, as many places are kept as streams are left', async () => {
  for (const order of [
    [0, 1, 2],
    [1, 0, 2],
    [2, 1, 0],
  ]) {
    const rig = await createRig();
    await rig.credit(ACCOUNT, 100_000);
    const meters = [await rig.open(THREE), await rig.open(THREE), await rig.open(THREE)];
    const flows = meters.map((meter) => startFlow(meter));
    let left = 3;
    for (const at of order) {
      assert.equal(await placesTaken(rig.store), left);
      await meters[at]?.end();
      await settleTurns();
      left -= 1;
      await rig.run(12_000);
    }
    assert.equal(await placesTaken(rig.store), 0);
    assert.ok(flows.every(({ ended }) => ended === undefined));
  }
});

test('places are kept in the calls that are made anyway, and seldom', async () => {
  const counts: { calls: number; commits: number }[] = [];
  for (const streams of [1, 3]) {
    const rig = await createRig();
    await rig.credit(ACCOUNT, 100_000);
    for (let n = 0; n < streams; n += 1) startFlow(await rig.open(THREE));
    rig.calls.length = 0;
    await rig.run(30_000);
    assert.equal(await placesTaken(rig.store), streams);
    counts.push({ calls: rig.calls.length, commits: rig.calls.flat().length });
  }
  const [alone, three] = counts;
  assert.ok(alone !== undefined && three !== undefined);
  // Two places, renewed every third of ten seconds.
  assert.ok(three.commits - alone.commits <= 2 * 10, `${three.commits} for ${alone.commits}`);
  assert.ok(three.calls - alone.calls <= 10, `${three.calls} for ${alone.calls}`);
});

test('streams at two rates, and streams for bytes, take their places together', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000_000);
  await rig.open(THREE);
  await rig.open({ ...THREE, price: price('50 msat/second') });
  await rig.open({ ...THREE, price: price('1 msat/byte') }, rig.others);
  await assert.rejects(rig.open(THREE), /too-many/);
  await assert.rejects(rig.open({ ...THREE, price: price('50 msat/second') }, rig.others), /too-many/);
});

test('where any number may be open, those who join ask the store for nothing', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100_000);
  const any = { ...TWO, maxStreams: undefined };
  for (let n = 0; n < 20; n += 1) startFlow(await rig.open(any));
  assert.equal(await placesTaken(rig.store), 1);
});

for (const weather of ['deaf', 'mute'] as const) {
  test(`a place whose answer is lost (${weather}) is refused, and given back`, async () => {
    const rig = await createRig();
    await rig.credit(ACCOUNT, 100_000);
    startFlow(await rig.open(TWO));
    rig.weather = weather;
    await assert.rejects(rig.open(TWO), /deaf|mute/);
    rig.weather = 'fine';
    await rig.retryUnsettled();
    assert.equal(await placesTaken(rig.store), 1);
    startFlow(await rig.open(TWO));
    await assert.rejects(rig.open(TWO), /too-many/);
  });
}

test('when the stream that is joined ends meanwhile, the newcomer opens one of its own, in the one place that is left', async () => {
  const gated = await gatedRig('after reserve');
  const { rig } = gated;
  await rig.credit(ACCOUNT, 100_000);
  const first = await rig.open(TWO);
  startFlow(first);
  await rig.run(1_000);
  gated.shut();
  const joining = rig.open(TWO);
  await settleTurns();
  await first.end();
  gated.open();
  const second = await joining;
  assert.equal(await placesTaken(rig.store), 1);
  assert.equal((await rig.account()).reserved, 100);
  startFlow(second);
  await rig.run(1_000);
  assert.equal((await second.end()).cutBy, undefined);
  assert.deepEqual(await rig.account(), { balance: 99_800, reserved: 0, spent: 200, credited: 100_000 });
});

test('when the stream that is joined runs out of credit meanwhile, the newcomer is asked to pay and takes no place', async () => {
  const gated = await gatedRig('after reserve');
  const { rig } = gated;
  await rig.credit(ACCOUNT, 100);
  startFlow(await rig.open(TWO));
  await rig.run(900);
  gated.shut();
  const joining = opened(rig, TWO);
  await rig.run(600);
  gated.open();
  assert.equal(await joining, 'insufficient');
  assert.equal(await placesTaken(rig.store), 1);
});

for (const maxStreams of [2, undefined]) {
  const limit = maxStreams === undefined ? 'any number of streams' : `at most ${maxStreams}`;
  const terms = { ...TWO, maxStreams };

  /** Joins a stream whose slice is used up, while the answer about the next one is held back. @returns how that ended */
  async function joinInBetween(creditMsat: number) {
    const gated = await gatedRig('after commit');
    const { rig } = gated;
    await rig.credit(ACCOUNT, creditMsat);
    startFlow(await rig.open(terms));
    gated.shut();
    await rig.run(1_500);
    const joining = opened(rig, terms);
    await rig.run(100);
    gated.open();
    return { joined: await joining, places: await placesTaken(rig.store) };
  }

  test(`who joins while the next slice is on its way waits for it, and is not asked to pay (${limit})`, async () => {
    assert.deepEqual(await joinInBetween(100_000), { joined: 'opened', places: maxStreams ?? 1 });
  });

  test(`who joins while the next slice is on its way is asked to pay when there is none (${limit})`, async () => {
    assert.deepEqual(await joinInBetween(100), { joined: 'insufficient', places: 1 });
  });

  test(`who joins while the store does not answer is told so, and not to pay (${limit})`, async () => {
    const rig = await createRig();
    await rig.credit(ACCOUNT, 100_000);
    startFlow(await rig.open(terms));
    rig.weather = 'deaf';
    await rig.run(1_500);
    const joining = opened(rig, terms);
    const refused = assert.rejects(joining, { code: 'unavailable' });
    await rig.run(2_000);
    await refused;
    rig.weather = 'fine';
    await rig.run(2_000);
    await rig.retryUnsettled();
    assert.equal(await opened(rig, terms), 'opened');
  });

  test(`who joins while the next slice is on its way, and the others leave, opens a stream of its own (${limit})`, async () => {
    const gated = await gatedRig('after commit');
    const { rig } = gated;
    await rig.credit(ACCOUNT, 100_000);
    const first = await rig.open(terms);
    startFlow(first);
    gated.shut();
    await rig.run(1_500);
    const joining = opened(rig, terms);
    await settleTurns();
    const leaving = first.end();
    await settleTurns();
    gated.open();
    assert.equal(await joining, 'opened');
    await leaving;
    assert.equal(await placesTaken(rig.store), 1);
  });
}

test('a place that was answered after its time is taken anew', async () => {
  const gated = await gatedRig('after reserve');
  const { rig } = gated;
  await rig.credit(ACCOUNT, 100_000);
  startFlow(await rig.open(TWO));
  gated.shut();
  const joining = rig.open(TWO);
  await rig.run(12_000);
  gated.open();
  startFlow(await joining);
  assert.equal(await placesTaken(rig.store), 2);
  await rig.run(12_000);
  assert.equal(await placesTaken(rig.store), 2);
});

test('who reconnects before the store has heard of the end is not refused for it', async () => {
  const gated = await gatedRig('before release');
  const { rig } = gated;
  await rig.credit(ACCOUNT, 100_000);
  for (const terms of [{ ...TWO, maxStreams: 1 }, { ...TWO, charge: 'each', maxStreams: 1 } as const]) {
    const first = await rig.open(terms);
    startFlow(first);
    gated.shut();
    const ending = first.end();
    const again = rig.open(terms);
    await settleTurns();
    gated.open();
    await (await again).end();
    await ending;
    assert.equal(await placesTaken(rig.store), 0);
  }
});

test('a gateway that closes gives all places back, also the one that is being taken', async () => {
  const gated = await gatedRig('after reserve');
  const { rig } = gated;
  await rig.credit(ACCOUNT, 100_000);
  const flows = [startFlow(await rig.open(THREE)), startFlow(await rig.open(THREE))];
  gated.shut();
  const joining = rig.open(THREE);
  await settleTurns();
  const closing = rig.meters.close();
  gated.open();
  await assert.rejects(joining, /closed/);
  await closing;
  assert.deepEqual(
    flows.map(({ ended }) => ended),
    ['cut', 'cut'],
  );
  assert.equal(await placesTaken(rig.store), 0);
});

test('an account that is revoked loses its streams, and holds no place', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100_000);
  const flows = [startFlow(await rig.open(TWO)), startFlow(await rig.open(TWO))];
  rig.revoked.add(ACCOUNT);
  await rig.run(500);
  assert.deepEqual(
    flows.map(({ ended }) => ended),
    ['cut', 'cut'],
  );
  rig.revoked.clear();
  assert.equal(await placesTaken(rig.store), 0);
});

test('a place that the store has lost costs one stream, the latest: there are never more than places', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100_000);
  const meters = [await rig.open(THREE), await rig.open(THREE), await rig.open(THREE)];
  const flows = meters.map((meter) => startFlow(meter));
  // The second to join.
  await rig.store.release({ accountId: ACCOUNT, leaseId: 'lease:2', spendMsat: msat(0) });
  await rig.run(4_000);
  assert.deepEqual(
    flows.map(({ ended }) => ended),
    [undefined, undefined, 'cut'],
  );
  assert.equal((await meters[2]?.end())?.cutBy, 'lease-lost');
  assert.equal(await placesTaken(rig.store), 2);
  await rig.run(12_000);
  assert.equal(await placesTaken(rig.store), 2);
});

test('a place that could not be renewed in its time is given up, though the money of the stream lasts', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100_000);
  const meters = [await rig.open(TWO), await rig.open(TWO)];
  const flows = meters.map((meter) => startFlow(meter));
  // Just before the place is renewed; the slices were paid until then.
  await rig.run(3_200);
  rig.weather = 'deaf';
  await rig.run(7_000);
  rig.weather = 'fine';
  await rig.run(2_000);
  assert.deepEqual(
    flows.map(({ ended, paused }) => ended ?? paused),
    [false, 'cut'],
  );
  await rig.retryUnsettled();
  assert.equal(await placesTaken(rig.store), 1);
});

test('streams that wait for credit keep their places, and a process that died loses its own', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  for (const meter of [await rig.open({ ...THREE, holdMs: 60_000 }), await rig.open(THREE)]) startFlow(meter);
  // A process of which nobody heard again.
  await rig.store.reserve({ accountId: ACCOUNT, leaseId: 'dead', ttlSec: 10, amountMsat: msat(0) });
  assert.equal(await placesTaken(rig.store), 3);
  await rig.run(30_000);
  assert.equal(await placesTaken(rig.store), 2);
});

/** The store counts in whole seconds: what is opened late in one lives so much shorter. */
const LATE = [
  { act: 'run', ms: 383 },
  { act: 'open', elsewhere: false },
  { act: 'weather', weather: 'deaf' },
  { act: 'run', ms: 9_617 },
  { act: 'weather', weather: 'fine' },
  { act: 'open', elsewhere: true },
] as const;

test('whatever happens at two processes, an account never has more streams than it may, nor a place for none', async () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ act: fc.constant('open' as const), elsewhere: fc.boolean() }) },
    { weight: 4, arbitrary: fc.record({ act: fc.constant('end' as const), at: fc.nat(3) }) },
    {
      weight: 3,
      arbitrary: fc.record({ act: fc.constant('run' as const), ms: fc.integer({ min: 10, max: 7_000 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        act: fc.constant('weather' as const),
        weather: fc.constantFrom('fine' as const, 'fine' as const, 'deaf' as const, 'mute' as const),
      }),
    },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.array(step, { minLength: 4, maxLength: 25 }),
      async (maxStreams, steps) => {
        const rig = await createRig({ stepMs: 50 });
        await rig.credit(ACCOUNT, 1_000_000);
        let open: Meter[] = [];
        for (const one of steps) {
          if (one.act === 'open') {
            const at = one.elsewhere ? rig.others : rig.meters;
            const outcome = await at.open(termsOf({ ...TWO, maxStreams })).catch(() => undefined);
            if (outcome?.kind === 'opened') {
              startFlow(outcome.meter);
              open.push(outcome.meter);
            }
          } else if (one.act === 'end') await open.splice(one.at, 1)[0]?.end();
          else if (one.act === 'run') await rig.run(one.ms);
          else rig.weather = one.weather;
          open = open.filter(({ cutBy }) => cutBy === undefined);
          assert.ok(open.length <= maxStreams, `${open.length} of ${maxStreams}`);
        }
        rig.weather = 'fine';
        await rig.run(1_100);
        await rig.retryUnsettled();
        open = open.filter(({ cutBy }) => cutBy === undefined);
        assert.equal(await placesTaken(rig.store), open.length);
        for (const meter of open) await meter.end();
        await rig.retryUnsettled();
        assert.equal(await placesTaken(rig.store), 0);
        assert.equal((await rig.account()).reserved, 0);
      },
    ),
    { numRuns: 100, examples: [[1, [...LATE]]] },
  );
});
