import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { checkRecords } from '../../gateway/ledger/check-records.ts';
import { openSqliteRecords } from '../../gateway/ledger/sqlite/records.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { StoreError } from '../../gateway/ledger/store.ts';
import { run } from '../cli/operator.ts';
import { manualClock } from '../support/clock.ts';
import { fillStore } from './filled-store.ts';

async function filled(t: TestContext) {
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-records-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = path.join(dir, 'ledger.db');
  const clock = manualClock();
  const store = await openSqliteStore({ file, nowMs: clock.nowMs, spendDurability: 'normal' });
  await fillStore(store, clock);
  return { file, store, clock };
}

test('every row of a store that gateways use is read, and its books balance', async (t) => {
  const { file, store } = await filled(t);
  const records = openSqliteRecords(file, 'snapshot');
  const report = await checkRecords(records);
  assert.deepEqual(report.findings, []);
  assert.deepEqual(report.totals, await store.totals());
  assert.ok(report.totals.reservedMsat > 0 && report.offers > 0 && report.revocations > 0);
  await records.close();
  await store.close();
});

test('books that no verb leaves are named: sums, leases, credits from nowhere', async (t) => {
  const { file, store } = await filled(t);
  await store.close();
  const db = new DatabaseSync(file);
  db.exec('PRAGMA ignore_check_constraints = ON');
  db.exec('UPDATE accounts SET balance_msat = balance_msat + 7 WHERE ref = 1');
  db.exec('UPDATE leases SET reserved_msat = reserved_msat + 1');
  db.exec(
    `INSERT INTO credits SELECT '${'e'.repeat(64)}', account_id, 1, expires_at_sec FROM claims WHERE credit_msat > 0 LIMIT 1`,
  );
  db.close();
  const records = openSqliteRecords(file, 'snapshot');
  const { findings, wrong } = await checkRecords(records);
  await records.close();
  assert.equal(wrong, findings.length);
  const text = findings.join('\n');
  assert.match(
    text,
    /account \w+: credited .*, but spent, reserved, expired and balance are \d+ msat together/,
  );
  assert.match(text, /account \w+: reserved .*, but its leases hold/);
  assert.match(text, /account \w+: was credited for e{64}, which nobody claimed/);
});

test('a store that a gateway has open can not be had alone, though the gateway is idle', async (t) => {
  const { file, store } = await filled(t);
  assert.throws(
    () => openSqliteRecords(file, 'alone'),
    (error) => error instanceof StoreError && /is in use: stop every gateway on it first/.test(error.message),
  );
  await store.close();
  const records = openSqliteRecords(file, 'alone');
  const other = openSqliteStore({
    file,
    nowMs: Date.now,
    spendDurability: 'normal',
    busyTimeoutMs: 20,
  });
  await assert.rejects(other, /it is locked by another process/);
  await records.close();
});

test('a file that is not there is said, and not made', async (t) => {
  const { file, store } = await filled(t);
  await store.close();
  for (const lock of ['alone', 'snapshot'] as const) {
    assert.throws(() => openSqliteRecords(`${file}x`, lock), /There is no file .*ledger\.dbx\./);
  }
  assert.equal(existsSync(`${file}x`), false);
});

test('a store that was retired is another one: what was sold from it is void there', async (t) => {
  const { file, store, clock } = await filled(t);
  const generation = await store.generation();
  await store.close();
  const records = openSqliteRecords(file, 'alone');
  records.retire();
  await records.close();
  const again = await openSqliteStore({ file, nowMs: clock.nowMs, spendDurability: 'normal' });
  assert.notEqual(await again.generation(), generation);
  assert.deepEqual(await again.admitMasterKeys(['dd'.repeat(32)]), { kind: 'first' });
  await again.close();
});

test('sluice store backup copies a store in use, whole, and sluice store check looks at either', async (t) => {
  const { file, store } = await filled(t);
  const dir = path.dirname(file);
  const of = (name: string) => [
    '--store',
    `sqlite:${name}`,
    '--upstream',
    'http://127.0.0.1:1',
    '--price',
    '1 sat',
  ];
  const copied = await run(dir, ['store', 'backup', 'copy.db', ...of('ledger.db')]);
  assert.match(copied.stdout, /copy\.db is a copy of .*ledger\.db \(\d+ bytes\)\.\n[\s\S]*new-generation/);
  assert.equal(statSync(path.join(dir, 'copy.db')).mode & 0o777, 0o600);
  const totals = await store.totals();
  await store.close();
  for (const name of ['ledger.db', 'copy.db']) {
    const { stdout, code } = await run(dir, ['store', 'check', ...of(name), '--json']);
    assert.deepEqual(JSON.parse(stdout).totals, totals);
    assert.equal(code, 0);
  }
  await assert.rejects(run(dir, ['store', 'backup', 'copy.db', ...of('ledger.db')]), /is there already/);
});

test('sluice store check ends with 1 and names what is wrong', async (t) => {
  const { file, store } = await filled(t);
  await store.close();
  const db = new DatabaseSync(file);
  db.exec('UPDATE leases SET reserved_msat = reserved_msat + 1');
  db.close();
  const args = ['--store', 'sqlite:ledger.db', '--upstream', 'http://127.0.0.1:1', '--price', '1 sat'];
  const { stdout, code } = await run(path.dirname(file), ['store', 'check', ...args]);
  assert.equal(code, 1);
  assert.match(
    stdout,
    /WRONG in 1 places:\n {2}account 0*1: reserved 3500 msat, but its leases hold 3501 msat\n/,
  );
});

test('only SQLite is moved from, and only Redis to; both are said before anything is touched', async (t) => {
  const { file, store } = await filled(t);
  await store.close();
  const dir = path.dirname(file);
  const sale = ['--upstream', 'http://127.0.0.1:1', '--price', '1 sat'];
  await assert.rejects(
    run(dir, ['store', 'migrate', '--from', 'redis://127.0.0.1', '--to', 'redis://127.0.0.1:1', ...sale]),
    /--from: only SQLite can be moved from: sqlite:FILE/,
  );
  await assert.rejects(
    run(dir, ['store', 'migrate', '--from', 'sqlite:ledger.db', '--to', 'sqlite:other.db', ...sale]),
    /--to: only Redis can be moved to/,
  );
});
