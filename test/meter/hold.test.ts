import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNT, createRig, price, SSE, startFlow } from './rig.ts';

const RATE = price('100 msat/second');

test('a plain response that nobody pays for is reset after the hold, and its chunk never leaves', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  const meter = await rig.open({ price: RATE });
  const flow = startFlow(meter);
  await rig.run(1_200);
  flow.send('unpaid');
  await rig.run(4_600);
  assert.equal(flow.ended, undefined);
  await rig.run(600);
  assert.equal(flow.ended, 'cut');
  assert.equal(flow.text(), '');
  const report = await meter.end();
  assert.equal(report.cutBy, 'unpaid');
  assert.equal(report.billedMsat, 100);
  assert.equal((await rig.account()).reserved, 0);
});

test('an event stream ends with session-timeout between two events, and is reset in the middle of one', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 200);
  const whole = startFlow(await rig.open({ price: RATE }), SSE);
  const half = startFlow(await rig.open({ price: RATE }), SSE);
  whole.send('data: a\n\n');
  half.send('data: a\n');
  await rig.run(8_000);
  assert.equal(whole.ended, 'finished');
  assert.match(
    whole.text(),
    /event: session-timeout\ndata: \{"type":"session-timeout","cutBy":"unpaid"\}\n\n$/,
  );
  assert.equal(half.ended, 'cut');
  assert.equal(half.text(), 'data: a\n');
});

test('a notice stands before the chunk that waits, not after it', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  const flow = startFlow(await rig.open({ price: RATE }), SSE);
  flow.send('data: a\n\n');
  await rig.run(1_000);
  flow.send('data: half');
  await rig.run(100);
  assert.match(flow.text(), /^data: a\n\nevent: payment-need-topup\n/);
  assert.equal(flow.paused, true);
});

test('a response with a length is told nothing, because nothing can be put into it', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  const flow = startFlow(await rig.open({ price: RATE }), [...SSE, 'Content-Length', '900']);
  await rig.run(8_000);
  assert.equal(flow.text(), '');
  assert.equal(flow.ended, 'cut');
});

test('credit whose announcement was lost is found within a second', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  const flow = startFlow(await rig.open({ price: RATE }));
  await rig.run(2_000);
  assert.equal(flow.paused, true);
  await rig.credit(ACCOUNT, 1_000);
  await rig.run(1_100);
  assert.equal(flow.paused, false);
});

test('credit that came before the hold was over counts, even when nobody said so', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  const meter = await rig.open({ price: RATE, holdMs: 1_500 });
  const flow = startFlow(meter);
  let exhaustedAtMs: number | undefined;
  while (exhaustedAtMs === undefined) {
    await rig.run(10);
    if (rig.notices.some(({ kind }) => kind === 'exhausted')) exhaustedAtMs = rig.nowMs();
  }
  await rig.run(1_480);
  await rig.credit(ACCOUNT, 1_000);
  await rig.run(200);
  assert.equal(flow.paused, false);
  assert.equal(flow.ended, undefined);
  await meter.end();
});

test('credit while the last question is on its way resumes the stream, or stays on the account whole', async () => {
  for (const beforeCutMs of [0, 20, 50, 100, 200]) {
    const rig = await createRig();
    await rig.credit(ACCOUNT, 100);
    const meter = await rig.open({ price: RATE, holdMs: 1_000 });
    const flow = startFlow(meter);
    while (!rig.notices.some(({ kind }) => kind === 'exhausted')) await rig.run(10);
    await rig.run(1_000 - beforeCutMs);
    await rig.credit(ACCOUNT, 500);
    rig.meters.credited(ACCOUNT);
    await rig.run(300);
    assert.equal(flow.ended === undefined, !flow.paused);
    const report = await meter.end();
    const { balance, spent, reserved } = await rig.account();
    assert.equal(reserved, 0);
    assert.equal(spent, report.billedMsat);
    assert.equal(balance, 600 - report.billedMsat);
  }
});

test('two streams that race for the last second get it once between them', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_500);
  const one = await rig.open({ price: RATE });
  const two = await rig.open({ price: RATE });
  const flows = [startFlow(one), startFlow(two)];
  await rig.run(20_000);
  assert.deepEqual(
    flows.map(({ ended }) => ended),
    ['cut', 'cut'],
  );
  const [first, second] = [await one.end(), await two.end()];
  assert.equal(first.billedMsat + second.billedMsat, (await rig.account()).spent);
  assert.ok((await rig.account()).spent <= 1_500);
  // What is left is less than a slice: not enough for either of them to go on.
  assert.ok((await rig.account()).balance < 100);
  assert.equal(first.deliveredUnits * 100, first.billedMsat);
  assert.equal(second.deliveredUnits * 100, second.billedMsat);
});

test('the client is warned once each time that its credit falls below the mark', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 6_000);
  const meter = await rig.open({ price: RATE, warnMs: 30_000 });
  const flow = startFlow(meter, SSE);
  const warnings = () => rig.notices.filter(({ kind }) => kind === 'low').length;
  await rig.run(28_000);
  assert.equal(warnings(), 0);
  await rig.run(5_000);
  assert.equal(warnings(), 1);
  assert.match(flow.text(), /event: payment-low\n/);
  await rig.run(5_000);
  assert.equal(warnings(), 1);
  await rig.credit(ACCOUNT, 2_000);
  rig.meters.credited(ACCOUNT);
  await rig.run(2_000);
  assert.equal(warnings(), 1);
  await rig.run(15_000);
  assert.equal(warnings(), 2);
  await meter.end();
});

test('a hold of no length ends the stream at once', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  const flow = startFlow(await rig.open({ price: RATE, holdMs: 0 }));
  await rig.run(1_300);
  assert.equal(flow.ended, 'cut');
});

test('a long poll whose credit runs out before the answer is held from its head on, and cut after the hold', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  const held = await rig.open({ price: RATE, chargeFrom: 'request', holdMs: 3_000 });
  await rig.run(2_000);
  const flow = startFlow(held);
  assert.equal(flow.paused, true);
  await rig.run(3_000);
  assert.equal(flow.ended, 'cut');
  await rig.credit(ACCOUNT, 100);
  const late = await rig.open({ price: RATE, chargeFrom: 'request', holdMs: 1_000 });
  await rig.run(5_000);
  assert.equal(late.cutBy, 'unpaid');
  assert.equal(startFlow(late).ended, 'cut');
});

test('no notice ever stands inside an event, wherever a hold falls', async () => {
  const events = 'data: {"a":1}\n\nid: 2\ndata: two\ndata: lines\n\ndata: 3\n\n';
  for (let split = 1; split < events.length; split += 1) {
    const rig = await createRig();
    await rig.credit(ACCOUNT, 100);
    const meter = await rig.open({ price: RATE, warnMs: 60_000 });
    const flow = startFlow(meter, SSE);
    flow.send(events.slice(0, split));
    await rig.run(1_200);
    flow.send(events.slice(split));
    await rig.credit(ACCOUNT, 1_000);
    rig.meters.credited(ACCOUNT);
    await rig.run(2_000);
    const ours = /event: payment-[a-z-]+\ndata: \{[^\n]*\}\n\n/g;
    assert.equal(flow.text().replaceAll(ours, ''), events, `split at ${split}`);
    // Cut out with their blank lines, each of them stood at the beginning of a line of its own, after a blank one.
    for (const { index } of flow.text().matchAll(ours)) {
      const before = flow.text().slice(0, index);
      assert.ok(before === '' || before.endsWith('\n\n'), JSON.stringify(before));
    }
    await meter.end();
  }
});
