import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '../../gateway/ledger/store.ts';
import { createMeters } from '../../gateway/meter/meters.ts';
import { ACCOUNT, createRig, price, SSE, startFlow, termsOf } from './rig.ts';

const RATE = price('100 msat/second');

test('while the store is away nothing passes beyond what is set aside, no slice is charged twice, and all goes on after', async () => {
  for (const weather of ['deaf', 'mute'] as const) {
    const rig = await createRig();
    await rig.credit(ACCOUNT, 10_000);
    const meter = await rig.open({ price: RATE });
    const flow = startFlow(meter, SSE);
    await rig.run(2_300);
    rig.weather = weather;
    await rig.run(4_000);
    flow.send('data: x\n\n');
    assert.equal(flow.paused, true);
    // Nobody is told to pay: the money is there.
    assert.equal(flow.text(), '');
    rig.weather = 'fine';
    await rig.run(1_100);
    assert.equal(flow.paused, false);
    assert.equal(flow.text(), 'data: x\n\n');
    await rig.run(2_000);
    const report = await meter.end();
    assert.equal(report.cutBy, undefined);
    assert.ok(report.heldMs >= 1_500, String(report.heldMs));
    assert.equal(report.billedMsat, Math.ceil(report.deliveredUnits * 100));
    assert.equal((await rig.account()).spent, report.billedMsat);
  }
});

test('a step without an answer is repeated as it was, under its number', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  startFlow(await rig.open({ price: RATE }));
  await rig.run(500);
  rig.weather = 'mute';
  await rig.run(2_000);
  const [first, ...again] = rig.calls.flat();
  assert.ok(again.length >= 2);
  for (const step of again) assert.deepEqual(step, first);
});

test('a store that stays away longer than the lease lives ends the stream, and the end is settled when it is back', async () => {
  const rig = await createRig({ leaseTtlSec: 6 });
  await rig.credit(ACCOUNT, 10_000);
  const meter = await rig.open({ price: RATE });
  const flow = startFlow(meter);
  await rig.run(2_300);
  rig.weather = 'deaf';
  await rig.run(8_000);
  assert.equal(flow.ended, 'cut');
  const report = await meter.end();
  assert.equal(report.cutBy, 'lease-lost');
  rig.weather = 'fine';
  await rig.retryUnsettled();
  const { reserved, spent, balance } = await rig.account();
  assert.deepEqual([reserved, spent + balance], [0, 10_000]);
  // At most what was ahead of the last answer is lost.
  assert.ok(report.deliveredUnits * 100 - spent <= 200);
});

test('a stream ends before the store may have ended its lease, which it counts in whole seconds', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  await rig.run(900);
  const flow = startFlow(await rig.open({ price: RATE }));
  rig.weather = 'deaf';
  // The tenth second after the one that it was opened in.
  await rig.run(9_100);
  assert.equal(flow.ended, 'cut');
  assert.equal((await rig.account()).reserved, 0);
});

test('a store that never answers pauses the stream, then ends it', async () => {
  const rig = await createRig({ leaseTtlSec: 6 });
  await rig.credit(ACCOUNT, 10_000);
  const flow = startFlow(await rig.open({ price: RATE }));
  await rig.run(500);
  rig.weather = 'hanging';
  await rig.run(2_500);
  assert.equal(flow.paused, true);
  assert.equal(flow.ended, undefined);
  await rig.run(6_000);
  assert.equal(flow.ended, 'cut');
});

test('a lease that the store no longer knows ends the stream', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const meter = await rig.open({ price: RATE });
  const flow = startFlow(meter);
  await rig.run(1_500);
  await rig.store.release({
    accountId: ACCOUNT,
    leaseId: 'lease:1',
    spendMsat: price('1 msat/second').amountMsat,
  });
  await rig.run(1_500);
  assert.equal(flow.ended, 'cut');
  assert.equal((await meter.end()).cutBy, 'lease-lost');
});

test('a gateway that dies mid-stream loses no more than the slice that was set aside, and takes nothing twice', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  startFlow(await rig.open({ price: RATE }));
  await rig.run(5_400);
  rig.weather = 'hanging';
  const dead = await rig.account();
  assert.ok(dead.spent >= 400 && dead.spent <= 540, String(dead.spent));
  await rig.run(15_000);
  await rig.store.purge();
  assert.deepEqual(await rig.account(), { ...dead, reserved: 0, balance: 10_000 - dead.spent });
});

test('a revoked account loses its streams within a second, whether the store or the ledger says it first', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100_000);
  const quiet = await rig.open({ price: price('1 msat/KB') });
  const flows = [startFlow(quiet), startFlow(await rig.open({ price: RATE }))];
  await rig.run(1_500);
  rig.revoked.add(ACCOUNT);
  await rig.run(400);
  assert.deepEqual(
    flows.map(({ ended }) => ended),
    ['cut', 'cut'],
  );
  assert.equal((await quiet.end()).cutBy, 'revoked');

  const other = await createRig();
  await other.credit(ACCOUNT, 100_000);
  const meter = await other.open({ price: RATE });
  const flow = startFlow(meter);
  await other.run(1_500);
  await other.store.revoke(ACCOUNT, 2_000_000_000);
  await other.run(1_000);
  assert.equal(flow.ended, 'cut');
  const report = await meter.end();
  assert.equal(report.cutBy, 'revoked');
  assert.equal((await other.account()).spent, report.billedMsat);
});

test('a clock that jumps bills no more than what was set aside, and gives nothing away', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000_000);
  const meter = await rig.open({ price: RATE });
  const flow = startFlow(meter);
  await rig.run(2_000);
  rig.jump(3_600_000);
  await rig.run(2_000);
  assert.equal(flow.ended, undefined);
  rig.jump(-7_200_000);
  await rig.run(2_000);
  const report = await meter.end();
  assert.equal(report.cutBy, undefined);
  assert.ok(report.billedMsat >= 590 && report.billedMsat <= 750, String(report.billedMsat));
});

test('a jump of the clock does not end a hold', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  const flow = startFlow(await rig.open({ price: RATE, holdMs: 10_000 }));
  await rig.run(2_000);
  rig.jump(3_600_000);
  await rig.run(1_000);
  assert.equal(flow.ended, undefined);
  await rig.run(8_000);
  assert.equal(flow.ended, 'cut');
});

test('when the first slice gets no answer the stream is not opened, and what it set aside is given back', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000);
  rig.weather = 'mute';
  await assert.rejects(rig.open({ price: RATE }), (error) => error instanceof StoreError);
  rig.weather = 'fine';
  await rig.run(0);
  await rig.retryUnsettled();
  assert.deepEqual(await rig.account(), { balance: 1_000, reserved: 0, spent: 0, credited: 1_000 });
});

test('a client gone in the middle of a slice pays to that moment, once, however often the end is reported', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000);
  const meter = await rig.open({ price: RATE });
  startFlow(meter);
  await rig.run(1_330);
  meter.tap.close();
  await rig.run(5_000);
  const [one, two] = await Promise.all([meter.end(), meter.end()]);
  assert.equal(one, two);
  assert.equal(one.billedMsat, 133);
  assert.deepEqual(await rig.account(), { balance: 867, reserved: 0, spent: 133, credited: 1_000 });
});

test('an upstream that fails before its answer costs nothing', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000);
  const meter = await rig.open({ price: RATE, chargeFrom: 'request' });
  await rig.run(400);
  assert.equal((await meter.end({ waive: true })).billedMsat, 0);
  const refused = await rig.open({ price: RATE, charges: (status) => status < 500 });
  const flow = startFlow(refused, [], 503);
  flow.send('sorry');
  await rig.run(3_000);
  assert.equal(flow.text(), 'sorry');
  assert.equal((await refused.end()).billedMsat, 0);
  assert.deepEqual(await rig.account(), { balance: 1_000, reserved: 0, spent: 0, credited: 1_000 });
});

test("one stream's failing code does not keep the others from being charged", async () => {
  const failures: unknown[] = [];
  const rig = await createRig({ observe: { failed: (error) => failures.push(error) } });
  await rig.credit(ACCOUNT, 100);
  await rig.credit('bb22', 10_000);
  const flow = startFlow(
    await rig.open({
      price: RATE,
      onNotice: () => {
        throw new Error('a bug');
      },
    }),
  );
  const other = await rig.open({ price: RATE, accountId: 'bb22' });
  startFlow(other);
  await rig.run(10_000);
  assert.equal(failures.length, 2);
  assert.equal(flow.ended, 'cut');
  assert.equal((await other.end()).billedMsat, 1_000);
});

test('a step that the store finds impossible ends its own stream and no other', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const meters = createMeters({
    ledger: {
      ...rig.store,
      commit: (commits) =>
        rig.store.commit(commits.map((step) => (step.leaseId === 'l2' ? { ...step, leaseId: '' } : step))),
      isRevoked: () => false,
      nextKey: (() => {
        let keys = 0;
        return () => `l${++keys}`;
      })(),
    },
    nowMs: () => rig.nowMs(),
    unsettled: {
      settle: (verb) =>
        verb().then(
          () => {},
          () => {},
        ),
    },
    setTimer: (act) => {
      ticks.push(act);
      return () => {};
    },
  });
  const ticks: (() => void)[] = [];
  const opened = await Promise.all([1, 2, 3].map(() => meters.open(termsOf({ price: RATE }))));
  const streams = opened.map((each) => {
    if (each.kind !== 'opened') throw new Error(each.kind);
    return { meter: each.meter, flow: startFlow(each.meter) };
  });
  for (let step = 0; step < 20; step += 1) {
    await rig.run(100);
    for (const tick of ticks.splice(0)) tick();
  }
  await rig.run(0);
  assert.deepEqual(
    streams.map(({ flow }) => flow.ended),
    [undefined, 'cut', undefined],
  );
  await meters.close();
});

test('when the gateway stops, every stream ends and is settled', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const meters = await Promise.all([rig.open({ price: RATE }), rig.open({ price: RATE })]);
  for (const meter of meters) startFlow(meter);
  await rig.run(1_000);
  await rig.meters.close();
  assert.deepEqual(await rig.account(), { balance: 9_800, reserved: 0, spent: 200, credited: 10_000 });
  for (const meter of meters) assert.equal((await meter.end()).cutBy, 'closing');
  await assert.rejects(rig.open({ price: RATE }), /closed/);
});

test('whoever is told of a hold may report more units, or end the stream, from inside', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  const TOKENS = price('1 msat/token');
  const kinds: string[] = [];
  const reporting = await rig.open({
    price: TOKENS,
    firstUnits: 50,
    onNotice: ({ kind }) => {
      kinds.push(kind);
      if (kind === 'exhausted') reporting.report(120);
    },
  });
  startFlow(reporting);
  assert.equal(reporting.report(110), false);
  await rig.run(500);
  await rig.credit(ACCOUNT, 50);
  rig.meters.credited(ACCOUNT);
  await rig.run(500);
  assert.deepEqual(kinds, ['exhausted', 'resumed']);
  assert.equal((await reporting.end()).billedMsat, 120);

  const ending = await rig.open({
    price: TOKENS,
    firstUnits: 30,
    onNotice: () => void ending.end({ units: 35 }),
  });
  ending.report(40);
  await rig.run(2_000);
  assert.equal((await ending.end()).billedMsat, 30);
  assert.deepEqual(await rig.account(), { balance: 0, reserved: 0, spent: 150, credited: 150 });
});
