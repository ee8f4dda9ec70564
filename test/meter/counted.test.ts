import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCOUNT, createRig, price, SSE, startFlow } from './rig.ts';

const PER_BYTE = price('1 msat/byte');

function bytesSent(flow: { readonly sent: readonly Buffer[] }): number {
  return flow.sent.reduce((sum, { length }) => sum + length, 0);
}

test('bytes are billed as they pass, and what was set aside beyond them is given back', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000_000);
  const meter = await rig.open({ price: price('10 msat/KB') });
  assert.equal((await rig.account()).reserved, 656);
  const flow = startFlow(meter);
  for (let chunk = 0; chunk < 5; chunk += 1) {
    flow.send(Buffer.alloc(12_345));
    await rig.run(300);
  }
  const report = await meter.end();
  assert.deepEqual(report, { billedMsat: 618, deliveredUnits: 61_725, heldMs: 0, cutBy: undefined });
  assert.deepEqual(await rig.account(), { balance: 999_382, reserved: 0, spent: 618, credited: 1_000_000 });
});

test('a fast stream touches the store a few times a second, not for each chunk', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000_000_000);
  const meter = await rig.open({ price: price('10 msat/KB') });
  const flow = startFlow(meter);
  for (let chunk = 0; chunk < 4_000; chunk += 1) {
    flow.send(Buffer.alloc(65_536));
    if (chunk % 4 === 3) await rig.run(10);
  }
  await rig.run(100);
  assert.equal(bytesSent(flow), 4_000 * 65_536);
  assert.ok(rig.calls.length < 80, `${rig.calls.length} calls in 10 s`);
  assert.equal((await meter.end()).billedMsat, Math.ceil((4_000 * 65_536) / 100));
});

test('a chunk that is not paid for does not leave, however little is missing', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const meter = await rig.open({ price: PER_BYTE });
  const flow = startFlow(meter);
  flow.send(Buffer.alloc(9_000));
  flow.send(Buffer.alloc(1_001));
  await rig.run(2_000);
  assert.equal(bytesSent(flow), 9_000);
  assert.deepEqual(
    rig.notices.map(({ kind }) => kind),
    ['exhausted'],
  );
  await rig.credit(ACCOUNT, 1);
  rig.meters.credited(ACCOUNT);
  await rig.run(0);
  assert.equal(bytesSent(flow), 10_001);
  flow.send(Buffer.alloc(1));
  await rig.run(8_000);
  assert.equal(flow.ended, 'cut');
  assert.equal(bytesSent(flow), 10_001);
  assert.deepEqual(await rig.account(), { balance: 0, reserved: 0, spent: 10_001, credited: 10_001 });
});

test('a stream for bytes opens with little credit, but not with none to speak of', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_024);
  const meter = await rig.open({ price: PER_BYTE });
  assert.equal(meter.affords(1_024), true);
  assert.equal(meter.affords(1_025), false);
  await assert.rejects(rig.open({ price: PER_BYTE }), /insufficient/);
  await meter.end();
  await assert.rejects(rig.open({ price: PER_BYTE, firstUnits: 1_025 }), /insufficient/);
});

test('bytes that wait in our own buffers are not billed, and a slow reader pays when it has read', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000_000);
  let unsent = 0;
  const meter = await rig.open({ price: PER_BYTE, unsentBytes: () => unsent });
  const flow = startFlow(meter);
  flow.send(Buffer.alloc(40_000));
  unsent = 30_000;
  await rig.run(5_000);
  assert.equal((await rig.account()).spent, 10_000);
  unsent = 5_000;
  await rig.run(5_000);
  assert.equal((await rig.account()).spent, 35_000);
  assert.equal((await meter.end()).billedMsat, 35_000);
});

test('uploads are counted when requests are, wait for money too, and a known total corrects the count', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 10_000);
  const meter = await rig.open({ price: PER_BYTE, count: 'both' });
  const calls: string[] = [];
  meter.upload.open({ pause: () => calls.push('pause'), resume: () => calls.push('resume') });
  meter.upload.chunk(Buffer.alloc(6_000));
  const flow = startFlow(meter);
  flow.send(Buffer.alloc(3_000));
  meter.upload.chunk(Buffer.alloc(2_000));
  await rig.run(1_500);
  assert.ok(calls.length > 0 && calls.every((call) => call === 'pause'));
  assert.equal(flow.paused, true);
  await rig.credit(ACCOUNT, 5_000);
  rig.meters.credited(ACCOUNT);
  await rig.run(10);
  assert.equal(calls.at(-1), 'resume');
  assert.equal((await meter.end()).billedMsat, 11_000);

  const only = await rig.open({ price: PER_BYTE });
  only.upload.chunk(Buffer.alloc(9_999));
  startFlow(only).send(Buffer.alloc(500));
  assert.equal((await only.end({ units: 300 })).billedMsat, 300);
});

test('reported units are billed as the running total says, and settled to the last word', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000_000);
  const TOKENS = price('3 sat/1k tokens');
  const meter = await rig.open({ price: TOKENS, firstUnits: 4_000 });
  assert.equal((await rig.account()).reserved, 12_000);
  startFlow(meter);
  assert.equal(meter.report(1_500), true);
  await rig.run(4_000);
  assert.equal((await rig.account()).spent, 4_500);
  assert.equal(meter.report(1_200), true);
  assert.equal((await meter.end({ units: 1_700 })).billedMsat, 5_100);

  const abandoned = await rig.open({ price: TOKENS, firstUnits: 100 });
  abandoned.report(70);
  assert.equal((await abandoned.end()).billedMsat, 210);
  const less = await rig.open({ price: TOKENS, firstUnits: 4_000 });
  assert.equal((await less.end({ units: 10_000_000 })).billedMsat, 12_000);
  assert.equal((await rig.account()).spent, 5_100 + 210 + 12_000);
});

test('events are paid whole: the one that is cut off in the middle is not', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000);
  const meter = await rig.open({ price: price('10 msat/event') });
  const flow = startFlow(meter, SSE);
  flow.send(': hello\n\ndata: 1\n\nid: 7\ndata: 2\ndata: 2\n\nretry: 5\n\n');
  flow.send('data: 3');
  const report = await meter.end();
  assert.equal(report.billedMsat, 20);
  assert.equal(report.deliveredUnits, 2);
});

test('the content of an event that is not paid for does not leave, even without its end', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 30);
  const meter = await rig.open({ price: price('10 msat/event') });
  const flow = startFlow(meter, SSE);
  for (let event = 0; event < 3; event += 1) flow.send(`data: ${event}\n\n`);
  flow.send('data: secret');
  await rig.run(10_000);
  assert.doesNotMatch(flow.text(), /secret/);
  assert.equal(flow.ended, 'finished');
  assert.equal((await meter.end()).billedMsat, 30);
});

test('events that nobody can count are not delivered', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000);
  const meter = await rig.open({ price: price('10 msat/event') });
  const flow = startFlow(meter, [...SSE, 'content-encoding', 'gzip']);
  assert.equal(flow.ended, 'cut');
  assert.equal((await meter.end()).cutBy, 'uncountable');
});

test('a paced response takes its time, whatever it costs', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000_000);
  const meter = await rig.open({ price: price('100 msat/second'), paceBytesPerSec: 100_000 });
  const flow = startFlow(meter);
  for (let chunk = 0; chunk < 100; chunk += 1) flow.send(Buffer.alloc(10_000));
  await rig.run(5_000);
  const half = bytesSent(flow);
  assert.ok(half >= 480_000 && half <= 590_000, String(half));
  await rig.run(5_000);
  assert.equal(bytesSent(flow), 1_000_000);
  const report = await meter.end();
  assert.ok(report.billedMsat === 1_000, String(report.billedMsat));
});

test('a chunk that waits for its time is not billed when the client leaves before it', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000_000);
  const meter = await rig.open({ price: PER_BYTE, paceBytesPerSec: 1_000 });
  const flow = startFlow(meter);
  flow.send(Buffer.alloc(70_000));
  flow.send(Buffer.alloc(50_000));
  await rig.run(1_000);
  assert.equal(bytesSent(flow), 70_000);
  assert.equal((await meter.end()).billedMsat, 70_000);
});

test('an event that waits for its time is not billed, and neither is one too few', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000_000);
  const meter = await rig.open({ price: price('10 msat/event'), paceBytesPerSec: 1_000 });
  const flow = startFlow(meter, SSE);
  flow.send(`data: 1\n\ndata: ${'x'.repeat(70_000)}\n\n`);
  flow.send('data: 3\n\ndata: half');
  await rig.run(1_000);
  assert.doesNotMatch(flow.text(), /3/);
  assert.equal((await meter.end()).billedMsat, 20);
});

test('a foreseen total must be covered before its chunk leaves, and is billed only when it is reported', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 100);
  const meter = await rig.open({ price: price('1 msat/token'), firstUnits: 60 });
  const flow = startFlow(meter, SSE);
  assert.equal(meter.foresee(50), true);
  flow.send('data: a\n\ndata: b');
  assert.equal(meter.foresee(130), false);
  flow.send('bb\n\n');
  await rig.run(1_000);
  // In the middle of an event there is no place for a notice.
  assert.equal(flow.text(), 'data: a\n\ndata: b');
  await rig.credit(ACCOUNT, 100);
  rig.meters.credited(ACCOUNT);
  await rig.run(0);
  assert.equal(flow.text(), 'data: a\n\ndata: bbb\n\n');
  await rig.run(3_000);
  assert.equal((await rig.account()).spent, 0);
  assert.equal((await meter.end({ units: 120 })).billedMsat, 120);
});
