import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, open, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { assertBalanced, assertStoreError, hash } from '../contract/store/subject.ts';
import { temporaryFolder } from './sqlite-backend.ts';

const CHILD = join(import.meta.dirname, 'sqlite-child.ts');

function openStore(file: string): Promise<Store> {
  return openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
}

/** Runs a test on a path in a folder of its own. */
function fileTest(title: string, body: (file: string) => Promise<void>): void {
  test(title, async () => {
    const folder = await temporaryFolder();
    try {
      await body(join(folder.path, 'store.db'));
    } finally {
      await folder.remove();
    }
  });
}

/** A closed store with 500 payments in it. */
async function writeStore(file: string): Promise<void> {
  const store = await openStore(file);
  await payInto(store, 500);
  await store.close();
}

async function payInto(store: Store, payments: number): Promise<void> {
  const expiresAtSec = Math.floor(Date.now() / 1000) + 3_600;
  await Promise.all(
    Array.from({ length: payments }, (_, n) =>
      store.redeem({
        paymentHash: hash(n),
        accountId: hash(n),
        service: 'quote',
        creditMsat: msat(1_000),
        expiresAtSec,
      }),
    ),
  );
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}

fileTest(
  'a new store, its log and its index are for their owner only, in a folder made for them',
  async (file) => {
    const nested = join(file, '..', 'data', 'deep', 'store.db');
    const store = await openStore(nested);
    await payInto(store, 1);
    for (const path of [nested, `${nested}-wal`, `${nested}-shm`]) assert.equal(await modeOf(path), 0o600);
    assert.equal(await modeOf(join(file, '..', 'data')), 0o700);
    await store.close();
  },
);

fileTest('a store that others could read is closed to them', async (file) => {
  await writeStore(file);
  await chmod(file, 0o644);
  await (await openStore(file)).close();
  assert.equal(await modeOf(file), 0o600);
});

fileTest('an empty file becomes a store', async (file) => {
  await writeFile(file, '');
  const store = await openStore(file);
  assert.match(await store.generation(), /^[0-9a-f]{32}$/);
  await store.close();
});

fileTest('a file that is no database is refused as corrupt and left as it is', async (file) => {
  const content = 'these are the accounts of somebody else\n'.repeat(500);
  await writeFile(file, content);
  await assertStoreError('corrupt', openStore(file));
  assert.equal(await readFile(file, 'utf8'), content);
});

fileTest('the database of another program is refused as corrupt and left as it is', async (file) => {
  const other = new DatabaseSync(file);
  other.exec('CREATE TABLE albums (title TEXT); PRAGMA user_version = 1');
  other.close();
  const before = await readFile(file);
  const error = await assertStoreError('corrupt', openStore(file));
  assert.match(error.message, /is not a Sluice store/);
  assert.deepEqual(await readFile(file), before);
});

fileTest('a store of a newer version is refused, and the message says which', async (file) => {
  await writeStore(file);
  const db = new DatabaseSync(file);
  db.exec('PRAGMA user_version = 99');
  db.close();
  const error = await assertStoreError('corrupt', openStore(file));
  assert.match(error.message, /newer Sluice \(store version 99, this one knows 4\)/);
});

fileTest('a store of the first version is brought up, with what it holds', async (file) => {
  await writeStore(file);
  const db = new DatabaseSync(file);
  db.exec(`DROP INDEX leases_open; DROP TABLE paid_time; ALTER TABLE attempts DROP COLUMN attempt_id; PRAGMA user_version = 1;
    INSERT INTO attempts SELECT 'old', ref, 'f', 0, 'undelivered', 0, 2000000000, 2000000000 FROM accounts LIMIT 1`);
  const [name] = db
    .prepare('SELECT account_id FROM account_names WHERE ref = (SELECT account_ref FROM attempts)')
    .all();
  db.close();
  const store = await openStore(file);
  const accountId = String(name?.['account_id']);
  const attempt = { accountId, key: 'old', attemptId: 'new', fingerprint: 'f', inFlightSec: 1 };
  assert.equal((await store.beginAttempt({ ...attempt, amountMsat: msat(0) })).kind, 'free');
  await store.close();
});

fileTest('a store whose pages were overwritten is corrupt', async (file) => {
  await writeStore(file);
  const { size } = await stat(file);
  const handle = await open(file, 'r+');
  await handle.write(Buffer.alloc(size - 8_192, 0xa5), 0, size - 8_192, 8_192);
  await handle.close();
  await assertStoreError('corrupt', openAndRead(file));
});

fileTest('a store that was cut short is corrupt', async (file) => {
  await writeStore(file);
  await truncate(file, 20_000);
  await assertStoreError('corrupt', openAndRead(file));
});

/** Damage may show when the store is opened, or only when the damaged part is read. */
async function openAndRead(file: string): Promise<void> {
  const store = await openStore(file);
  try {
    for (let n = 0; n < 500; n += 1) await store.account(hash(n));
    await store.totals();
  } finally {
    await store.close();
  }
}

fileTest('a path that can not hold a file is unavailable, and the message names it', async (file) => {
  await mkdir(file);
  const error = await assertStoreError('unavailable', openStore(file));
  assert.ok(error.message.includes(file));
  await writeFile(join(file, 'plain'), '');
  await assertStoreError('unavailable', openStore(join(file, 'plain', 'store.db')));
});

fileTest('a file that may not be written is unavailable', async (file) => {
  await writeStore(file);
  await chmod(join(file, '..'), 0o755);
  await chmod(file, 0o444);
  await asOrdinaryUser(async () => {
    const error = await assertStoreError('unavailable', openStore(file));
    assert.match(error.message, /can't be opened for writing/);
  });
});

/** Root may write everything, so a test that runs as root lays that down for a while. */
async function asOrdinaryUser(body: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) return body();
  process.seteuid?.(65_534);
  try {
    await body();
  } finally {
    process.seteuid?.(0);
  }
}

const canRaiseLimits = spawnSync('prlimit', ['--version']).status === 0;

test('a full disk is unavailable, keeps what was acknowledged, and sales go on when there is room again', {
  skip: canRaiseLimits ? false : 'needs prlimit, of util-linux',
}, async () => {
  const folder = await temporaryFolder();
  const file = join(folder.path, 'store.db');
  try {
    // No file of the child may grow past 3,000 blocks: to SQLite, that is a disk without room.
    const command = 'ulimit -S -f 3000; exec "$0" "$@"';
    const child = spawn('sh', ['-c', command, process.execPath, CHILD, file, 'fill'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const credited: number[] = [];
    let failure: unknown;
    for await (const line of createInterface({ input: child.stdout })) {
      const [what, n, code] = JSON.parse(line);
      if (what === 'credited') credited.push(n);
      if (what !== 'failed') continue;
      failure = code;
      spawnSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited']);
      child.stdin.end('room\n');
    }
    assert.deepEqual(await exited, [0, null]);
    assert.equal(failure, 'unavailable');
    assert.ok(credited.length > 10);
    const store = await openStore(file);
    await assertBalanced(store);
    assert.equal((await store.totals()).creditedMsat, credited.length * 1_000);
    for (const n of credited) assert.equal((await store.account(hash(n)))?.balanceMsat, 1_000);
    await store.close();
  } finally {
    await folder.remove();
  }
});
