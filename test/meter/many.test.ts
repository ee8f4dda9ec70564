import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { ResponseTap } from '../../gateway/proxy/response-tap.ts';
import { ACCOUNT, createRig, price, startFlow } from './rig.ts';

const RATE = price('100 msat/second');

test('ten thousand streams run on one wheel, settle together, and every one pays exactly its time', async () => {
  const rig = await createRig({ stepMs: 100 });
  const accounts = Array.from({ length: 10_000 }, (_, at) => `cc${at.toString(16).padStart(6, '0')}`);
  for (const accountId of accounts) await rig.credit(accountId, 1_000_000);
  const meters = await Promise.all(accounts.map((accountId) => rig.open({ price: RATE, accountId })));
  meters.forEach((meter) => void startFlow(meter));
  await rig.run(3_000);
  // They began together, so they are due together: one call a slice, and not one a stream.
  assert.ok(rig.calls.length <= 6, `${rig.calls.length} calls`);
  assert.equal(rig.calls[0]?.length, 10_000);
  const billed = await Promise.all(meters.map(async (meter) => (await meter.end()).billedMsat));
  assert.ok(billed.every((amount) => amount === 300));
  const { spentMsat, reservedMsat } = await rig.store.totals();
  assert.deepEqual([spentMsat, reservedMsat], [3_000_000, 0]);
  await rig.run(1_000);
  assert.equal(rig.meters.size(), 0);
});

test('a tick asks the store only for the streams that are due', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000_000);
  for (let at = 0; at < 10; at += 1) {
    startFlow(await rig.open({ price: RATE }));
    await rig.run(100);
  }
  rig.calls.length = 0;
  await rig.run(1_000);
  assert.equal(rig.calls.flat().length, 10);
  assert.ok(rig.calls.every((commits) => commits.length <= 2));
});

test('on SQLite, what a killed gateway had set aside comes back when its leases expire, and nothing is taken twice', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-meter-'));
  const file = join(folder, 'store.db');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const rig = await createRig({
    openStore: (nowMs) => openSqliteStore({ file, nowMs, spendDurability: 'normal' }),
    stepMs: 50,
  });
  t.after(() => rig.store.close());
  await rig.credit(ACCOUNT, 100_000);
  const dying = await Promise.all([1, 2, 3].map(() => rig.open({ price: RATE })));
  for (const meter of dying) startFlow(meter);
  await rig.run(4_500);
  const before = await rig.account();
  assert.ok(before.reserved > 0 && before.spent >= 900 && before.spent <= 1_350);
  // As after kill -9: no more verbs come from this gateway; another one opens the same file.
  rig.weather = 'hanging';
  const next = await openSqliteStore({
    file,
    nowMs: () => 1_893_456_000_000 + rig.nowMs(),
    spendDurability: 'normal',
  });
  t.after(() => next.close());
  await rig.run(12_000);
  await next.purge();
  const after = await rig.account();
  assert.deepEqual(after, { ...before, reserved: 0, balance: 100_000 - before.spent });
});

test('a meter is a tap that the forward step takes', async () => {
  const rig = await createRig();
  await rig.credit(ACCOUNT, 1_000);
  const meter = await rig.open({ price: RATE });
  const tap: ResponseTap = meter.tap;
  tap.close();
  assert.equal((await meter.end()).billedMsat, 0);
});

test('metrics hear of every stream, hold, cut and msat', async () => {
  const heard: string[] = [];
  let billed = 0;
  const rig = await createRig({
    observe: {
      opened: (service) => heard.push(`opened ${service}`),
      held: (service) => heard.push(`held ${service}`),
      cut: (service, by) => heard.push(`cut ${service} ${by}`),
      ended: (service, accountId, unit, report) =>
        heard.push(`ended ${service} ${accountId} ${unit} ${report.billedMsat}`),
      billed: (_service, unit, amountMsat) => {
        assert.equal(unit, 'second');
        billed += amountMsat;
      },
    },
  });
  await rig.credit(ACCOUNT, 150);
  startFlow(await rig.open({ price: RATE }));
  await rig.run(10_000);
  assert.deepEqual(heard, ['opened live', 'held live', 'cut live unpaid', 'ended live aa11 second 150']);
  assert.equal(billed, 150);
});
