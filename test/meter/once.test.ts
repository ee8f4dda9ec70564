import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LEAST_PAID_MS } from '../../gateway/meter/open-tab.ts';
import type { Meter } from '../../gateway/meter/terms.ts';
import { ACCOUNT, createRig, price, startFlow } from './rig.ts';

const ONCE = { price: price('100 msat/second'), charge: 'once' } as const;

test('streams that are charged once pay for the time in which at least one of them is open', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const one = await rig.open(ONCE);
  startFlow(one);
  await rig.run(2_000);
  const two = await rig.open(ONCE);
  startFlow(two);
  await rig.run(1_000);
  const first = await one.end();
  await rig.run(2_000);
  const second = await two.end();
  assert.equal((await rig.account()).spent, 500);
  assert.equal(first.billedMsat + second.billedMsat, 500);
  assert.deepEqual([first.deliveredUnits, second.deliveredUnits], [3, 3]);
  assert.equal((await rig.account()).reserved, 0);
});

test('whoever comes and goes, the sum of their bills is the union of their time', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          act: fc.constantFrom('open', 'start', 'end'),
          at: fc.nat(5),
          ms: fc.integer({ min: 0, max: 30 }),
        }),
        { maxLength: 30 },
      ),
      async (steps) => {
        const rig = await createRig({ stepMs: 50 });
        await rig.credit(ACCOUNT, 1_000_000);
        const open: { meter: Meter; started: boolean }[] = [];
        let unionMs = 0;
        let billed = 0;
        for (const { act, at, ms } of steps) {
          const stream = open[at];
          if (act === 'open') open.push({ meter: await rig.open(ONCE), started: false });
          else if (act === 'start' && stream?.started === false) {
            startFlow(stream.meter);
            stream.started = true;
          } else if (act === 'end' && stream !== undefined) {
            open.splice(at, 1);
            billed += (await stream.meter.end()).billedMsat;
          }
          if (open.some(({ started }) => started)) unionMs += ms * 50;
          await rig.run(ms * 50);
        }
        for (const { meter } of open) billed += (await meter.end()).billedMsat;
        const { spent, reserved } = await rig.account();
        assert.equal(reserved, 0);
        assert.equal(billed, spent);
        // The pieces between which nobody was open may be leases of their own, each with a ceiling and a least time of its own.
        assert.ok(
          spent >= unionMs / 10 && spent <= unionMs / 10 + steps.length * (1 + LEAST_PAID_MS / 10),
          `${spent} for ${unionMs} ms`,
        );
      },
    ),
    { numRuns: 120 },
  );
});

test('two that open at the same moment share one lease', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const both = await Promise.all([rig.open(ONCE), rig.open(ONCE)]);
  assert.equal((await rig.account()).reserved, 100);
  for (const meter of both) startFlow(meter);
  await rig.run(1_000);
  for (const meter of both) await meter.end();
  assert.equal((await rig.account()).spent, 100);
});

test('all that share a charge are held, resumed and ended together; a newcomer is asked to pay', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  const meters = [await rig.open(ONCE), await rig.open(ONCE)];
  const flows = meters.map((meter) => startFlow(meter));
  await rig.run(2_000);
  assert.deepEqual(
    flows.map(({ paused }) => paused),
    [true, true],
  );
  await assert.rejects(rig.open(ONCE), /insufficient/);
  await rig.credit(ACCOUNT, 100);
  rig.meters.credited(ACCOUNT);
  await rig.run(0);
  assert.deepEqual(
    flows.map(({ paused }) => paused),
    [false, false],
  );
  await rig.run(8_000);
  assert.deepEqual(
    flows.map(({ ended }) => ended),
    ['cut', 'cut'],
  );
  const reports = await Promise.all(meters.map((meter) => meter.end()));
  assert.equal(
    reports.reduce((sum, { billedMsat }) => sum + billedMsat, 0),
    200,
  );
});

test('no more streams are open at once than the service allows, charged each or once', async () => {
  for (const charge of ['each', 'once'] as const) {
    const rig = await createRig();
    await rig.credit(ACCOUNT, 10_000);
    const terms = { price: ONCE.price, charge, maxStreams: 2 };
    const first = await rig.open(terms);
    await rig.open(terms);
    await assert.rejects(rig.open(terms), /too-many/);
    assert.equal(rig.meters.size('live'), 2);
    await first.end();
    await rig.open(terms);
    assert.equal(rig.meters.size(), 2);
  }
});

test('streams for bytes, and streams at another rate, are never charged together', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000_000);
  const bytes = { price: price('1 msat/byte'), charge: 'once' } as const;
  const meters = [
    await rig.open(bytes),
    await rig.open(bytes),
    await rig.open(ONCE),
    await rig.open({ ...ONCE, price: price('50 msat/second') }),
  ];
  for (const meter of meters) startFlow(meter).send(Buffer.alloc(10));
  await rig.run(1_000);
  for (const meter of meters) await meter.end();
  assert.equal((await rig.account()).spent, 10 + 10 + 100 + 50);
});
