import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { ALICE, accountOf, assertStoreError, balanceOf, hash } from '../contract/store/subject.ts';
import { temporaryFolder } from './sqlite-backend.ts';

const CHILD = join(import.meta.dirname, 'sqlite-child.ts');

interface Opened {
  readonly file: string;
  readonly store: Store;
}

/** A store on a file, with 10,000 msat on one account. */
async function withStore(
  body: (opened: Opened) => Promise<void>,
  { busyTimeoutMs = 5_000, accountId = ALICE } = {},
): Promise<void> {
  const folder = await temporaryFolder();
  const file = join(folder.path, 'store.db');
  const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal', busyTimeoutMs });
  const expiresAtSec = Math.floor(Date.now() / 1000) + 3_600;
  const claim = { paymentHash: hash(1), accountId, service: 'quote', creditMsat: msat(10_000), expiresAtSec };
  try {
    await store.redeem(claim);
    await body({ file, store });
  } finally {
    await store.close();
    await folder.remove();
  }
}

/** Starts the child; resolves to how much it says it spent. */
async function race(file: string, calls: number): Promise<number> {
  const child = spawn(process.execPath, [CHILD, file, 'race', String(calls)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let spent = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, count] = JSON.parse(line);
    if (what === 'spent') spent = count;
  }
  assert.deepEqual(await exited, [0, null]);
  return spent;
}

test('three processes on one file spend exactly what is there', async () => {
  await withStore(
    async ({ file, store }) => {
      const spent = await Promise.all([race(file, 2_000), race(file, 2_000)]);
      const here = await Promise.all(
        Array.from({ length: 8_000 }, (_, n) =>
          store.spend({ accountId: hash(1), key: `here:${n}`, amountMsat: msat(1) }),
        ),
      );
      const total = (spent[0] ?? 0) + (spent[1] ?? 0) + here.filter(({ kind }) => kind === 'spent').length;
      assert.equal(total, 10_000);
      const account = await accountOf(store, hash(1));
      assert.equal(account.balanceMsat, 0);
      assert.equal(account.spentMsat, 10_000);
    },
    { accountId: hash(1) },
  );
});

test('two stores on one file see each other at once', async () => {
  await withStore(async ({ file, store }) => {
    const other = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'full' });
    try {
      for (let n = 0; n < 50; n += 1) {
        const payer = n % 2 === 0 ? store : other;
        const outcome = await payer.spend({ accountId: ALICE, key: `k${n}`, amountMsat: msat(100) });
        assert.deepEqual(outcome, { kind: 'spent', balanceMsat: 10_000 - 100 * (n + 1) });
      }
      await other.revoke(ALICE, Math.floor(Date.now() / 1000) + 3_600);
      assert.deepEqual(await store.spend({ accountId: ALICE, key: 'z', amountMsat: msat(1) }), {
        kind: 'revoked',
      });
      assert.equal(await store.generation(), await other.generation());
    } finally {
      await other.close();
    }
  });
});

test('a lock held for a moment is waited for, while the event loop goes on', async () => {
  await withStore(async ({ file, store }) => {
    const holder = new DatabaseSync(file);
    holder.exec('BEGIN IMMEDIATE');
    const spends = Promise.all(
      ['a', 'b', 'c'].map((key) => store.spend({ accountId: ALICE, key, amountMsat: msat(1) })),
    );
    // The store meets the lock again and again meanwhile; reads don't need it.
    for (let turn = 0; turn < 200; turn += 1) {
      await nextTurn();
      assert.equal(await balanceOf(store, ALICE), 10_000);
    }
    holder.exec('COMMIT');
    holder.close();
    assert.deepEqual(
      (await spends).map(({ kind }) => kind),
      ['spent', 'spent', 'spent'],
    );
  });
});

test('a lock held too long is unavailable, nothing is booked, and the store recovers', async () => {
  await withStore(
    async ({ file, store }) => {
      const holder = new DatabaseSync(file);
      holder.exec('BEGIN IMMEDIATE');
      const spend = { accountId: ALICE, key: 'k', amountMsat: msat(1) };
      const error = await assertStoreError('unavailable', store.spend(spend));
      assert.match(error.message, /locked by another process/);
      assert.equal(await balanceOf(store, ALICE), 10_000);
      holder.exec('COMMIT');
      holder.close();
      assert.deepEqual(await store.spend(spend), { kind: 'spent', balanceMsat: 9_999 });
    },
    { busyTimeoutMs: 150 },
  );
});

test('a store that is closed while another process holds the lock still closes', async () => {
  await withStore(
    async ({ file, store }) => {
      const holder = new DatabaseSync(file);
      holder.exec('BEGIN IMMEDIATE');
      const spend = store.spend({ accountId: ALICE, key: 'k', amountMsat: msat(1) });
      await Promise.all([assertStoreError('unavailable', spend), store.close()]);
      holder.exec('ROLLBACK');
      holder.close();
    },
    { busyTimeoutMs: 50 },
  );
});

test('a store opened while another process holds the lock waits for it, but not for ever', async () => {
  await withStore(async ({ file }) => {
    const holder = new DatabaseSync(file);
    holder.exec('BEGIN IMMEDIATE');
    const open = (busyTimeoutMs: number) =>
      openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal', busyTimeoutMs });
    await assertStoreError('unavailable', open(50));
    const opening = open(5_000);
    await nextTurn();
    holder.exec('COMMIT');
    holder.close();
    await (await opening).close();
  });
});
