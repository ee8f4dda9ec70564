import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNT, createRig, price, startFlow } from './rig.ts';

const RATE = price('100 msat/second');

test('a connection that ends at its first chunk is paid for a quarter of a second, and says what was delivered', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  for (let n = 1; n <= 20; n += 1) {
    const meter = await rig.open({ price: RATE });
    startFlow(meter).send('x');
    await rig.run(10);
    const report = await meter.end();
    assert.deepEqual(report, { billedMsat: 25, deliveredUnits: 0.01, heldMs: 0, cutBy: undefined });
    assert.equal((await rig.account()).spent, n * 25);
  }
  assert.equal((await rig.account()).reserved, 0);
});

test('one that lasts longer pays for what it took, to the moment', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  for (const [ms, billedMsat] of [
    [240, 25],
    [250, 25],
    [260, 26],
  ] as const) {
    const meter = await rig.open({ price: RATE });
    startFlow(meter);
    await rig.run(ms);
    assert.equal((await meter.end()).billedMsat, billedMsat);
  }
});

test('a long poll that is answered at once is paid for a quarter of a second', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const meter = await rig.open({ price: RATE, chargeFrom: 'request' });
  startFlow(meter);
  assert.equal((await meter.end()).billedMsat, 25);
});

test('nothing is paid when nothing was delivered, or what was delivered is not charged for', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const unanswered = await rig.open({ price: RATE });
  await rig.run(5_000);
  assert.equal((await unanswered.end()).billedMsat, 0);
  const failed = await rig.open({ price: RATE, chargeFrom: 'request' });
  await rig.run(10);
  assert.equal((await failed.end({ waive: true })).billedMsat, 0);
  const free = await rig.open({ price: RATE, charges: (status) => status < 500 });
  startFlow(free, [], 503);
  await rig.run(10);
  assert.equal((await free.end()).billedMsat, 0);
  assert.equal((await rig.account()).spent, 0);
});

test('with slices shorter than that, it is one slice: no more than was set aside', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10);
  const meter = await rig.open({ price: RATE, sliceMs: 100, holdMs: 0 });
  startFlow(meter);
  assert.equal((await meter.end()).billedMsat, 10);
});

test('streams that are charged once pay it once for the time that they have together', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const terms = { price: RATE, charge: 'once' } as const;
  const meters = [await rig.open(terms), await rig.open(terms), await rig.open(terms)];
  for (const meter of meters) startFlow(meter);
  await rig.run(30);
  const reports = await Promise.all(meters.map((meter) => meter.end()));
  assert.equal(
    reports.reduce((sum, { billedMsat }) => sum + billedMsat, 0),
    25,
  );
  assert.equal((await rig.account()).spent, 25);
});
