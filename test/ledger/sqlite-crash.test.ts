import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { accountOf, assertBalanced, hash } from '../contract/store/subject.ts';
import { temporaryFolder } from './sqlite-backend.ts';

const CHILD = join(import.meta.dirname, 'sqlite-child.ts');
const ROUNDS = 8;
/** Numbers that one round may use. */
const ROUND_SIZE = 1_000_000;

interface Acknowledged {
  readonly credited: Set<number>;
  readonly spent: [n: number, call: number][];
  readonly voided: Set<number>;
}

/** Runs the child until it has acknowledged so many verbs, then kills it where it stands. */
async function loadAndKill(
  file: string,
  first: number,
  afterLines: number,
  acknowledged: Acknowledged,
): Promise<void> {
  const child = spawn(process.execPath, [CHILD, file, 'load', String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, n, call] = JSON.parse(line);
    if (what === 'credited') acknowledged.credited.add(n);
    if (what === 'spent') acknowledged.spent.push([n, call]);
    if (what === 'voided') acknowledged.voided.add(n);
    lines += 1;
    // What it still wrote before the signal reached it was acknowledged too, and is read to the end.
    if (lines === afterLines) child.kill('SIGKILL');
  }
  const [, signal] = await exited;
  assert.equal(signal, 'SIGKILL');
}

async function checkNothingLost(store: Store, { credited, spent, voided }: Acknowledged): Promise<void> {
  for (const n of credited) {
    const account = await accountOf(store, hash(n));
    assert.equal(account.creditedMsat, 1_000);
    const claim = { paymentHash: hash(n), accountId: hash(n), service: 'quote', creditMsat: msat(1_000) };
    assert.equal((await store.claim({ ...claim, expiresAtSec: account.expiresAtSec })).kind, 'repeated');
  }
  const outcomes = await Promise.all(
    spent.map(([n, call]) => store.spend({ accountId: hash(n), key: `${n}:${call}`, amountMsat: msat(10) })),
  );
  for (const [index, [n, call]] of spent.entries()) {
    const kind = outcomes[index]?.kind;
    const maybeVoided = call === 0 && !voided.has(n);
    assert.ok(
      maybeVoided ? kind === 'repeated' || kind === 'voided' : kind === (call === 0 ? 'voided' : 'repeated'),
    );
  }
}

test('a process killed under load loses nothing that it acknowledged, doubles nothing, and the books balance', async () => {
  const folder = await temporaryFolder();
  const file = join(folder.path, 'store.db');
  const acknowledged: Acknowledged = { credited: new Set(), spent: [], voided: new Set() };
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      const afterLines = 1 + Math.floor(Math.random() * 600);
      await loadAndKill(file, round * ROUND_SIZE, afterLines, acknowledged);
      const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
      await assertBalanced(store);
      await checkNothingLost(store, acknowledged);
      const totals = await store.totals();
      assert.equal(totals.creditedMsat, totals.accounts * 1_000);
      assert.equal(totals.claims, totals.accounts);
      assert.ok(totals.accounts >= acknowledged.credited.size);
      await store.close();
    }
    assert.ok(acknowledged.credited.size > 0);
  } finally {
    await folder.remove();
  }
});
