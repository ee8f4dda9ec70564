import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { StoreError } from '../../gateway/ledger/store.ts';
import { createSharedSessions } from '../../gateway/session/shared-table.ts';
import type { SessionShelf } from '../../gateway/session/shelf.ts';
import { openSqliteShelf, sessionsFileOf } from '../../gateway/session/sqlite-shelf.ts';
import { heldCredential, sessionsContract } from '../contract/sessions.contract.ts';
import { temporaryFolder } from '../ledger/sqlite-backend.ts';
import { manualClock } from '../support/clock.ts';

async function openFile(t: TestContext, nowMs: () => number, maxSessions?: number) {
  const folder = await temporaryFolder();
  const file = join(folder.path, 'ledger-sessions.db');
  const open = () => openSqliteShelf({ file, nowMs, ...(maxSessions === undefined ? {} : { maxSessions }) });
  const [one, two] = [await open(), await open()];
  t.after(async () => {
    one.close();
    two.close();
    await folder.remove();
  });
  return { file, one, two };
}

/** A clock for what is remembered: it stands still unless told, or goes on by itself at each look. */
function steady(stepMs = 0): { ms: number; read: () => number } {
  const clock = {
    ms: 0,
    read: () => {
      clock.ms += stepMs;
      return clock.ms;
    },
  };
  return clock;
}

sessionsContract('in a file', async (t, clock) => {
  const { one } = await openFile(t, clock.nowMs);
  // Each look is a new one.
  return createSharedSessions({ shelf: one, nowSec: clock.nowSec, steadyMs: steady(1_000).read });
});

test('a session that was opened by one process is good in another, and closed there it ends here within half a second', async (t) => {
  const clock = manualClock();
  const { one, two } = await openFile(t, clock.nowMs);
  const time = steady();
  const here = createSharedSessions({ shelf: one, nowSec: clock.nowSec, steadyMs: time.read });
  const there = createSharedSessions({ shelf: two, nowSec: clock.nowSec, steadyMs: time.read });
  const { id } = await here.open(heldCredential(), undefined);
  assert.deepEqual(await there.credentials(id), [heldCredential()]);
  assert.deepEqual(await here.credentials(id), [heldCredential()]);
  await there.close(id);
  assert.deepEqual(await there.credentials(id), []);
  time.ms += 500;
  assert.deepEqual(await here.credentials(id), []);
});

test('a player’s many requests cost one read', async (t) => {
  const clock = manualClock();
  const { one } = await openFile(t, clock.nowMs);
  const reads: string[] = [];
  const shelf: SessionShelf = { ...one, get: (key) => one.get(key).finally(() => reads.push(key)) };
  const table = createSharedSessions({ shelf, nowSec: clock.nowSec, steadyMs: steady().read });
  const { id } = await table.open(heldCredential(), undefined);
  await Promise.all(Array.from({ length: 50 }, () => table.credentials(id)));
  await table.credentials(id);
  assert.equal(reads.length, 1);
});

test('while the shelf is away a known session goes on for five minutes, and an unknown one is no reason to ask for money', async (t) => {
  const clock = manualClock();
  const { one } = await openFile(t, clock.nowMs);
  let away = false;
  const shelf: SessionShelf = {
    ...one,
    get: async (key) => {
      if (away) throw new StoreError('unavailable', 'away');
      return one.get(key);
    },
  };
  const time = steady();
  const table = createSharedSessions({ shelf, nowSec: clock.nowSec, steadyMs: time.read });
  const [known, unknown] = [
    await table.open(heldCredential(), undefined),
    await table.open(heldCredential(), undefined),
  ];
  await table.credentials(known.id);
  away = true;
  time.ms += 299_999;
  assert.equal((await table.credentials(known.id)).length, 1);
  await assert.rejects(table.credentials(unknown.id), { code: 'unavailable' });
  time.ms += 1;
  await assert.rejects(table.credentials(known.id), { code: 'unavailable' });
});

test('cookies that somebody made up don’t queue up at the store', async () => {
  const hanging: SessionShelf = {
    put: async () => {},
    get: () => new Promise(() => {}),
    drop: async () => {},
  };
  const table = createSharedSessions({ shelf: hanging, nowSec: () => 0 });
  for (let count = 0; count < 256; count += 1) void table.credentials(String(count).padStart(43, 'A'));
  await assert.rejects(table.credentials('B'.repeat(43)), { code: 'busy' });
});

test('credentials that are too long for the shelf are refused', async (t) => {
  const { one } = await openFile(t, Date.now);
  const table = createSharedSessions({ shelf: one, nowSec: () => 0 });
  const candidate = { macaroons: ['m'.repeat(20_000)], cacheKey: 'm' };
  await assert.rejects(table.open(heldCredential({ candidate }), undefined), { code: 'session-refused' });
});

test('the file is the owner’s alone, holds no more than so many sessions, and forgets those that ended', async (t) => {
  const clock = manualClock();
  const { file, one } = await openFile(t, clock.nowMs, 3);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const keys = ['1', '2', '3', '4'].map((digit) => digit.repeat(64));
  for (const [at, key] of keys.entries()) {
    await one.put({ key, sealed: Buffer.from(key), accountIds: [`a${at}`], untilSec: clock.nowSec() + 60 });
  }
  const found = await Promise.all(keys.map((key) => one.get(key)));
  assert.deepEqual(
    found.map((sealed) => sealed?.toString()),
    [undefined, ...keys.slice(1)],
  );
  clock.advanceSec(60);
  assert.equal(await one.get(keys[3] ?? ''), undefined);
});

test('the sessions stand beside the ledger', () => {
  assert.equal(sessionsFileOf('/data.d/ledger.db'), '/data.d/ledger-sessions.db');
  assert.equal(sessionsFileOf('/data.d/ledger'), '/data.d/ledger-sessions');
});
