import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { assembleStore } from '../../../gateway/ledger/assemble-store.ts';
import { sqliteBooks } from '../../../gateway/ledger/sqlite/books.ts';
import { GroupCommit } from '../../../gateway/ledger/sqlite/group-commit.ts';
import { openSqliteStore } from '../../../gateway/ledger/sqlite.ts';
import { type Store, StoreError } from '../../../gateway/ledger/store.ts';
import { msat } from '../../../node/msat.ts';
import { ALICE, accountOf, assertStoreError, BOB, hash, SERVICE } from '../../contract/store/subject.ts';
import { temporaryFolder } from '../sqlite-backend.ts';

interface Opened {
  readonly file: string;
  readonly db: DatabaseSync;
  readonly engine: GroupCommit;
  readonly store: Store;
  readonly latencies: string[];
}

/** A store whose database the test can look into. */
async function withEngine(
  body: (opened: Opened) => Promise<void>,
  spendDurability: 'normal' | 'full' = 'normal',
): Promise<void> {
  const folder = await temporaryFolder();
  const file = join(folder.path, 'store.db');
  const nowMs = Date.now;
  await (await openSqliteStore({ file, nowMs, spendDurability })).close();
  const db = new DatabaseSync(file);
  const latencies: string[] = [];
  const engine = new GroupCommit({
    db,
    books: sqliteBooks(db),
    file,
    nowSec: () => Math.floor(nowMs() / 1000),
    nowMs,
    spendDurability,
    busyTimeoutMs: 1_000,
    onLatency: (verb) => latencies.push(verb),
  });
  const store = assembleStore(engine);
  try {
    await fund(store, ALICE);
    await body({ file, db, engine, store, latencies });
  } finally {
    await store.close();
    await folder.remove();
  }
}

async function fund(store: Store, accountId: string): Promise<void> {
  const expiresAtSec = Math.floor(Date.now() / 1000) + 3_600;
  const terms = { service: SERVICE, creditMsat: msat(1_000_000), expiresAtSec };
  await store.redeem({ ...terms, paymentHash: accountId, accountId });
}

function spendOf(key: string, amountMsat = 1) {
  return { accountId: ALICE, key, amountMsat: msat(amountMsat) };
}

/** 1 NORMAL, 2 FULL: https://www.sqlite.org/pragma.html#pragma_synchronous */
function synchronous(db: DatabaseSync): unknown {
  return { ...db.prepare('PRAGMA synchronous').get() };
}

test('credits are synced to disk, debits are not, and a mixed batch is', async () => {
  await withEngine(async ({ db, store }) => {
    assert.deepEqual(synchronous(db), { synchronous: 2 });
    await store.spend(spendOf('a'));
    assert.deepEqual(synchronous(db), { synchronous: 1 });
    // The credit comes last: on a busy machine the batch may be cut before it, and what follows it would be a batch of its own.
    await Promise.all([store.spend(spendOf('b')), store.spend(spendOf('c')), fund(store, BOB)]);
    assert.deepEqual(synchronous(db), { synchronous: 2 });
    await store.voidSpend(spendOf('c'));
    assert.deepEqual(synchronous(db), { synchronous: 1 });
  });
});

test('with full durability debits are synced too', async () => {
  await withEngine(async ({ db, store }) => {
    await store.spend(spendOf('a'));
    assert.deepEqual(synchronous(db), { synchronous: 2 });
  }, 'full');
});

test('what was asked in one turn is one transaction, in the order asked', async () => {
  await withEngine(async ({ db, store }) => {
    const before = db.prepare('SELECT count(*) AS n FROM spend_keys').get();
    const all = Promise.all(Array.from({ length: 300 }, (_, n) => store.spend(spendOf(`k${n}`))));
    assert.deepEqual(db.prepare('SELECT count(*) AS n FROM spend_keys').get(), before);
    const outcomes = await all;
    outcomes.forEach((outcome, n) => {
      assert.deepEqual(outcome, { kind: 'spent', balanceMsat: 999_999 - n });
    });
  });
});

test('an invalid verb fails alone in its batch', async () => {
  await withEngine(async ({ store }) => {
    await store.spend(spendOf('a', 5));
    const [before, , after] = await Promise.all([
      store.spend(spendOf('b')),
      assertStoreError('invalid', store.spend({ ...spendOf('a', 6) })),
      store.spend(spendOf('c')),
    ]);
    assert.equal(before.kind, 'spent');
    assert.equal(after.kind, 'spent');
    assert.equal((await accountOf(store, ALICE)).spentMsat, 7);
  });
});

test('a batch that fails midway rejects all its members and leaves the books whole', async () => {
  await withEngine(async ({ db, engine, store }) => {
    const failing = engine.grouped('test', (books) => {
      const row = books.account(ALICE);
      assert.ok(row);
      row.balanceMsat = msat(row.balanceMsat - 7);
      // Refused by the database: the amounts do not add up.
      books.saveAmounts(row);
    });
    const verbs = [store.spend(spendOf('a')), failing, store.spend(spendOf('b'))];
    for (const verb of verbs) await assertStoreError('unavailable', verb);
    assert.equal(db.isTransaction, false);
    assert.equal((await accountOf(store, ALICE)).balanceMsat, 1_000_000);
    assert.deepEqual(await store.spend(spendOf('a')), { kind: 'spent', balanceMsat: 999_999 });
  });
});

test('a long queue is worked off in parts, between which the event loop goes on', async () => {
  await withEngine(async ({ store }) => {
    let turns = 0;
    let done = false;
    const all = Promise.all(Array.from({ length: 20_000 }, (_, n) => store.spend(spendOf(`k${n}`)))).then(
      () => {
        done = true;
      },
    );
    while (!done) {
      await nextTurn();
      turns += 1;
    }
    await all;
    assert.ok(turns > 10, `${turns} turns`);
    assert.equal((await accountOf(store, ALICE)).spentMsat, 20_000);
  });
});

test('more than the queue holds is unavailable at once, and what was queued is done', async () => {
  await withEngine(async ({ store }) => {
    const verdicts = await Promise.allSettled(
      Array.from({ length: 50_010 }, (_, n) => store.spend(spendOf(`k${n}`))),
    );
    const refused = verdicts.filter(({ status }) => status === 'rejected');
    assert.equal(refused.length, 10);
    for (const { reason } of refused as PromiseRejectedResult[]) {
      assert.ok(reason instanceof StoreError && reason.code === 'unavailable');
    }
    assert.equal((await accountOf(store, ALICE)).spentMsat, 50_000);
  });
});

test('each verb is measured once, whatever becomes of it', async () => {
  await withEngine(async ({ store, latencies }) => {
    latencies.length = 0;
    await store.spend(spendOf('a', 5));
    await assertStoreError('invalid', store.spend(spendOf('a', 6)));
    await store.account(ALICE);
    await store.ping();
    assert.deepEqual(latencies, ['spend', 'spend', 'account', 'ping']);
  });
});

test('the write-ahead log stays bounded under load', async () => {
  const folder = await temporaryFolder();
  const file = join(folder.path, 'store.db');
  const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
  await fund(store, ALICE);
  let largest = 0;
  // A transaction of one debit logs two pages or three: more in all than the log may hold at once.
  for (let n = 0; n < 6_000; n += 1) {
    await store.spend(spendOf(`k${n}`));
    if (n % 100 === 0) largest = Math.max(largest, (await stat(`${file}-wal`)).size);
  }
  assert.ok(largest > 10_000_000 && largest < 20_000_000, `${largest} bytes`);
  await store.close();
  await folder.remove();
});

test('a database that was closed under the store is unavailable', async () => {
  const folder = await temporaryFolder();
  const file = join(folder.path, 'store.db');
  const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
  await store.close();
  await assertStoreError('unavailable', store.spend({ accountId: hash(1), key: 'k', amountMsat: msat(1) }));
  await assertStoreError('unavailable', store.account(hash(1)));
  await folder.remove();
});
