import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LEAST_PAID_MS } from '../../gateway/meter/open-tab.ts';
import type { Meter } from '../../gateway/meter/terms.ts';
import { msat } from '../../node/msat.ts';
import { ACCOUNT, createRig, price, startFlow } from './rig.ts';

/*
 * `charge: once` over two processes on one store: what one process does with it alone is in once.test.ts.
 */

const ONCE = { price: price('100 msat/second'), charge: 'once' } as const;

test('streams at two processes pay once for the time that they have in common', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const one = await rig.open(ONCE);
  startFlow(one);
  await rig.run(2_000);
  const two = await rig.open(ONCE, rig.others);
  startFlow(two);
  await rig.run(3_000);
  const first = await one.end();
  await rig.run(2_000);
  const second = await two.end();
  const { spent, reserved } = await rig.account();
  assert.deepEqual([spent, reserved], [700, 0]);
  assert.equal(first.billedMsat + second.billedMsat, 700);
  assert.deepEqual([first.deliveredUnits, second.deliveredUnits], [5, 5]);
});

test('short streams at one process save nothing of a long one at another', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100_000);
  const long = await rig.open({ ...ONCE, sliceMs: 5_000 });
  startFlow(long);
  for (let n = 0; n < 20; n += 1) {
    const short = await rig.open(ONCE, rig.others);
    startFlow(short);
    await rig.run(50);
    await short.end();
    await rig.run(450);
  }
  await long.end();
  const { spent } = await rig.account();
  // The last of the short ones may have paid for its least time after the long one had ended.
  assert.ok(spent >= 1_000 && spent <= 1_000 + LEAST_PAID_MS / 10, `${spent}`);
});

test('whoever comes and goes at two processes, the union of their time is billed once', async () => {
  const step = fc.record({
    act: fc.constantFrom('open', 'start', 'end'),
    at: fc.nat(5),
    elsewhere: fc.boolean(),
    ms: fc.integer({ min: 0, max: 30 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const rig = await createRig({ stepMs: 50 });
      await rig.credit(ACCOUNT, 1_000_000);
      const open: { meter: Meter; started: boolean }[] = [];
      let unionMs = 0;
      let billed = 0;
      let pieces = 0;
      for (const { act, at, elsewhere, ms } of steps) {
        const stream = open[at];
        const wasOpen = open.some(({ started }) => started);
        if (act === 'open') {
          open.push({ meter: await rig.open(ONCE, elsewhere ? rig.others : rig.meters), started: false });
        } else if (act === 'start' && stream?.started === false) {
          startFlow(stream.meter);
          stream.started = true;
        } else if (act === 'end' && stream !== undefined) {
          open.splice(at, 1);
          billed += (await stream.meter.end()).billedMsat;
        }
        const isOpen = open.some(({ started }) => started);
        if (isOpen) unionMs += ms * 50;
        if (isOpen && !wasOpen) pieces += 1;
        await rig.run(ms * 50);
      }
      for (const { meter } of open) billed += (await meter.end()).billedMsat;
      const { spent, reserved } = await rig.account();
      assert.equal(reserved, 0);
      assert.ok(billed >= spent, `${billed} told, ${spent} taken`);
      // Each piece between which nobody was open has a least time of its own.
      const most = unionMs / 10 + (pieces * LEAST_PAID_MS) / 10;
      assert.ok(spent >= unionMs / 10 && spent <= most, `${spent} for ${unionMs} ms`);
    }),
    { numRuns: 80 },
  );
});

test('a stream that is only held, or only open, pays for nothing that another one has', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  await rig.open(ONCE);
  const other = await rig.open(ONCE, rig.others);
  await rig.run(3_000);
  assert.equal((await rig.account()).spent, 0);
  startFlow(other);
  await rig.run(1_000);
  await other.end();
  assert.equal((await rig.account()).spent, 100);
});

for (const weather of ['mute', 'deaf'] as const) {
  test(`while the store is ${weather}, nothing is billed twice, and no paid time is lost`, async () => {
    const rig = await createRig();
    await rig.credit(ACCOUNT, 100_000);
    const one = await rig.open(ONCE);
    const two = await rig.open(ONCE, rig.others);
    const flows = [startFlow(one), startFlow(two)];
    for (let n = 0; n < 5; n += 1) {
      await rig.run(630);
      rig.weather = weather;
      await rig.run(700);
      rig.weather = 'fine';
    }
    await rig.run(1_000);
    assert.deepEqual(
      flows.map(({ ended }) => ended),
      [undefined, undefined],
    );
    const reports = [await one.end(), await two.end()];
    const longest = Math.max(...reports.map(({ deliveredUnits }) => deliveredUnits));
    const { spent, reserved } = await rig.account();
    assert.equal(reserved, 0);
    assert.ok(spent >= longest * 100 && spent <= 765, `${spent} for ${longest} s of 7.65 s`);
  });
}

test('the last money of an account is enough for both, and no more than it is billed', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000);
  const flows = [startFlow(await rig.open(ONCE)), startFlow(await rig.open(ONCE, rig.others))];
  await rig.run(9_000);
  assert.equal(flows.filter(({ paused }) => paused).length < 2, true);
  await rig.run(12_000);
  assert.deepEqual(
    flows.map(({ ended }) => ended),
    ['cut', 'cut'],
  );
  const { spent, balance, reserved } = await rig.account();
  assert.equal(spent + balance, 1_000);
  assert.equal(reserved, 0);
  assert.ok(spent >= 900, `${spent}`);
});

test('what a process that died had set aside goes back, and the time of the other is billed once', async () => {
  const rig = await createRig({ leaseTtlSec: 5 });
  await rig.credit(ACCOUNT, 10_000);
  const one = await rig.open(ONCE);
  startFlow(one);
  // A process that set a slice aside and was never heard of again.
  await rig.store.reserve({ accountId: ACCOUNT, leaseId: 'dead', ttlSec: 5, amountMsat: msat(100) });
  await rig.run(8_000);
  await one.end();
  assert.deepEqual(await rig.account(), { balance: 9_200, reserved: 0, spent: 800, credited: 10_000 });
});

test('a process that stood still is not behind the others: what it delivers then is billed beside what they had delivered', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const one = await rig.open(ONCE);
  startFlow(one);
  await rig.run(2_000);
  rig.freeze(4_000);
  const two = await rig.open(ONCE, rig.others);
  startFlow(two);
  await rig.run(4_000);
  await two.end();
  await rig.run(3_000);
  await one.end();
  const { spent, reserved } = await rig.account();
  assert.equal(reserved, 0);
  assert.ok(spent >= 890 && spent <= 900, `${spent} for 9 s`);
});

test('streams at a process that stood still and at another one pay once for the time after it, too', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const one = await rig.open(ONCE);
  startFlow(one);
  await rig.run(2_000);
  rig.freeze(4_000);
  await rig.run(4_000);
  const two = await rig.open(ONCE, rig.others);
  startFlow(two);
  await rig.run(3_000);
  await one.end();
  await two.end();
  const { spent, reserved } = await rig.account();
  assert.equal(reserved, 0);
  // What was set aside when it froze counts as delivered.
  assert.ok(spent >= 490 && spent <= 640, `${spent} for 5 s`);
});
