import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNT, createRig, price, SSE, startFlow } from './rig.ts';

const RATE = price('100 msat/second');

test('a second is paid as it passes, and the last one to the moment of the end', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const meter = await rig.open({ price: RATE });
  startFlow(meter);
  await rig.run(3_250);
  const report = await meter.end();
  assert.deepEqual(report, { billedMsat: 325, deliveredUnits: 3.25, heldMs: 0, cutBy: undefined });
  assert.deepEqual(await rig.account(), { balance: 9_675, reserved: 0, spent: 325, credited: 10_000 });
  await rig.run(5_000);
  assert.equal((await rig.account()).spent, 325);
  assert.equal(rig.meters.size(), 0);
});

test('the time before the response is not charged, unless the charge is from the request on', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100_000);
  const live = await rig.open({ price: RATE });
  const poll = await rig.open({ price: RATE, chargeFrom: 'request' });
  await rig.run(20_000);
  startFlow(live);
  startFlow(poll);
  await rig.run(1_000);
  assert.equal((await live.end()).billedMsat, 100);
  assert.equal((await poll.end()).billedMsat, 2_100);
});

test('nothing is opened with less than a slice of credit', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 99);
  await assert.rejects(rig.open({ price: RATE }), /insufficient/);
  await assert.rejects(rig.open({ price: RATE, accountId: 'bb' }), /unknown-account/);
  rig.revoked.add(ACCOUNT);
  await assert.rejects(rig.open({ price: RATE }), /revoked/);
});

test('credit is used to its last msat, then the stream is held and told, and goes on when credit comes', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 250);
  const meter = await rig.open({ price: RATE });
  const flow = startFlow(meter, SSE);
  flow.send('data: 1\n\n');
  await rig.run(2_490);
  assert.equal(flow.paused, false);
  await rig.run(200);
  assert.equal(flow.paused, true);
  flow.send('data: unpaid\n\n');
  assert.deepEqual(await rig.account(), { balance: 0, reserved: 0, spent: 250, credited: 250 });
  assert.match(flow.text(), /event: payment-need-topup\ndata: \{.*\}\n\n$/);
  await rig.run(2_000);
  await rig.credit(ACCOUNT, 1_000);
  rig.meters.credited(ACCOUNT);
  await rig.run(0);
  assert.equal(flow.paused, false);
  assert.match(flow.text(), /unpaid/);
  await rig.run(1_000);
  const report = await meter.end();
  assert.equal(report.billedMsat, 350);
  assert.equal(report.deliveredUnits, 3.5);
  assert.ok(report.heldMs >= 2_000 && report.heldMs < 2_400, String(report.heldMs));
});
