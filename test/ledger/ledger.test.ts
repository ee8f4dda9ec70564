import assert from 'node:assert/strict';
import { copyFile, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type BusNews, noBus } from '../../gateway/bus/bus.ts';
import {
  acceptCopy,
  type Ledger,
  openLedger,
  renewGeneration,
  StoreMismatchError,
} from '../../gateway/ledger/ledger.ts';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { type Store, StoreError } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { ALICE, BOB, DAY_SEC, hash } from '../contract/store/subject.ts';
import { manualClock } from '../support/clock.ts';
import { temporaryFolder } from './sqlite-backend.ts';

const KEYS = [hash(1)];
const STORE_NAME = 'store.db';

/** Opens store and ledger in a folder, as a gateway does at start. */
async function start(dataDir: string, keyFingerprints = KEYS): Promise<{ store: Store; ledger: Ledger }> {
  const file = join(dataDir, STORE_NAME);
  const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
  try {
    const ledger = await openLedger({ store, storeName: file, keyFingerprints, dataDir, nowMs: Date.now });
    return { store, ledger };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function startAndStop(dataDir: string, keyFingerprints = KEYS): Promise<string> {
  const { store, ledger } = await start(dataDir, keyFingerprints);
  await ledger.close();
  await store.close();
  return ledger.generation;
}

async function newGeneration(dataDir: string): Promise<void> {
  const store = await openSqliteStore({
    file: join(dataDir, STORE_NAME),
    nowMs: Date.now,
    spendDurability: 'normal',
  });
  await renewGeneration(store, dataDir);
  await store.close();
}

/** Runs a test in a data folder of its own. */
function folderTest(title: string, body: (dataDir: string) => Promise<void>): void {
  test(title, async () => {
    const folder = await temporaryFolder();
    try {
      await body(folder.path);
    } finally {
      await folder.remove();
    }
  });
}

async function assertMismatch(opening: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(opening, (error: unknown) => {
    assert.ok(error instanceof StoreMismatchError, String(error));
    assert.match(error.message, message);
    assert.match(error.message, /sluice store new-generation/);
    return true;
  });
}

folderTest('a store opens again and again with the same keys and keeps its generation', async (dataDir) => {
  const generation = await startAndStop(dataDir);
  assert.equal(await startAndStop(dataDir), generation);
  assert.equal(await startAndStop(dataDir, [hash(2), hash(1)]), generation);
  assert.equal(await startAndStop(dataDir, [hash(2)]), generation);
  assert.equal((await stat(join(dataDir, 'ledger.json'))).mode & 0o777, 0o600);
});

folderTest('a store of another master key is refused, until a new generation is made', async (dataDir) => {
  const generation = await startAndStop(dataDir);
  await assertMismatch(start(dataDir, [hash(3)]), /was written with another master key/);
  await newGeneration(dataDir);
  assert.notEqual(await startAndStop(dataDir, [hash(3)]), generation);
});

folderTest('an older copy of the store is refused, until a new generation is made', async (dataDir) => {
  const file = join(dataDir, STORE_NAME);
  await startAndStop(dataDir);
  await copyFile(file, `${file}.copy`);
  await startAndStop(dataDir);
  await copyFile(`${file}.copy`, file);
  await assertMismatch(start(dataDir), /is an older copy/);
  for (let restart = 0; restart < 5; restart += 1) await assertMismatch(start(dataDir), /is an older copy/);
  await newGeneration(dataDir);
  await startAndStop(dataDir);
});

folderTest(
  'an older copy that the operator accepted opens again, and what was sold before it stays good',
  async (dataDir) => {
    const file = join(dataDir, STORE_NAME);
    const generation = await startAndStop(dataDir);
    await copyFile(file, `${file}.copy`);
    await startAndStop(dataDir);
    const onStore = async (how: 'look' | 'accept') => {
      const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
      try {
        return await acceptCopy(store, dataDir, how);
      } finally {
        await store.close();
      }
    };
    assert.deepEqual(await onStore('accept'), { kind: 'current' });
    await copyFile(`${file}.copy`, file);
    assert.deepEqual(await onStore('look'), { kind: 'older', epoch: 1, seenEpoch: 2 });
    await assertMismatch(start(dataDir), /is an older copy .* `sluice store accept-copy`/);
    assert.deepEqual(await onStore('accept'), { kind: 'accepted', epoch: 1, seenEpoch: 2 });
    assert.equal(await startAndStop(dataDir), generation);
    await rm(file);
    assert.deepEqual(await onStore('accept'), { kind: 'another-store' });
  },
);

folderTest('a lost store is noticed, until a new generation is made', async (dataDir) => {
  await startAndStop(dataDir);
  await rm(join(dataDir, STORE_NAME));
  await assertMismatch(start(dataDir), /is not the one that this gateway used last/);
  await newGeneration(dataDir);
  await startAndStop(dataDir);
});

folderTest(
  'of two gateways with folders of their own, one makes a new generation, and the other is told how to follow',
  async (dataDir) => {
    const store = createMemoryStore({ nowMs: Date.now });
    const [first, second] = [join(dataDir, 'first'), join(dataDir, 'second')];
    const open = async (folder: string): Promise<string> => {
      const options = { store, storeName: 'memory', keyFingerprints: KEYS, nowMs: Date.now };
      const ledger = await openLedger({ ...options, dataDir: folder });
      await ledger.close();
      return ledger.generation;
    };
    assert.equal(await open(first), await open(second));
    const generation = await renewGeneration(store, first);
    assert.equal(await open(first), generation);
    await assertMismatch(open(second), /done for another gateway .* delete that file instead/);
    await rm(join(second, 'ledger.json'));
    assert.equal(await open(second), generation);
    assert.equal(await open(first), generation);
  },
);

folderTest('a damaged ledger.json is refused with its name', async (dataDir) => {
  await startAndStop(dataDir);
  const file = join(dataDir, 'ledger.json');
  for (const content of [
    '',
    '{',
    '[]',
    'null',
    '{"generation":"x","epoch":1}',
    `{"generation":"${hash(1)}"}`,
  ]) {
    await writeFile(file, content);
    await assert.rejects(start(dataDir), /ledger\.json is damaged/);
  }
});

folderTest(
  'the epoch rises while the gateway runs, so that a copy made meanwhile is noticed',
  async (dataDir) => {
    const file = join(dataDir, STORE_NAME);
    const store = await openSqliteStore({ file, nowMs: Date.now, spendDurability: 'normal' });
    const options = {
      store,
      storeName: file,
      keyFingerprints: KEYS,
      dataDir,
      nowMs: Date.now,
      purgeEveryMs: 1,
    };
    const ledger = await openLedger(options);
    const first = await readFile(join(dataDir, 'ledger.json'), 'utf8');
    while ((await readFile(join(dataDir, 'ledger.json'), 'utf8')) === first) await nextTurn();
    await ledger.close();
    await store.close();
  },
);

folderTest('the epoch rises also when a damaged account stops every purge', async (dataDir) => {
  const store = createMemoryStore({ nowMs: Date.now });
  const damaged: Store = {
    ...store,
    purge: async () => {
      throw new StoreError('corrupt', 'a damaged account');
    },
  };
  const options = { storeName: 'memory', keyFingerprints: KEYS, dataDir, nowMs: Date.now, purgeEveryMs: 1 };
  const ledger = await openLedger({ ...options, store: damaged });
  const first = await readFile(join(dataDir, 'ledger.json'), 'utf8');
  while ((await readFile(join(dataDir, 'ledger.json'), 'utf8')) === first) await nextTurn();
  await ledger.close();
});

/** A ledger over a memory store with fast timers. */
async function quickLedger(store: Store, onError = (_task: string, _error: unknown) => {}): Promise<Ledger> {
  return openLedger({
    store,
    storeName: 'memory',
    keyFingerprints: KEYS,
    nowMs: Date.now,
    revocationPollMs: 1,
    purgeEveryMs: 1,
    onError,
  });
}

test('a revocation made elsewhere reaches the ledger by its poll', async () => {
  const store = createMemoryStore({ nowMs: Date.now });
  const untilSec = Math.floor(Date.now() / 1000) + DAY_SEC;
  await store.revoke(ALICE, untilSec);
  const ledger = await quickLedger(store);
  assert.equal(ledger.isRevoked(ALICE), true);
  assert.equal(ledger.isRevoked(BOB), false);
  await store.revoke(BOB, untilSec);
  while (!ledger.isRevoked(BOB)) await nextTurn();
  await ledger.close();
});

test('a revocation that got the number of one which a failover forgot is heard of all the same', async () => {
  const store = createMemoryStore({ nowMs: Date.now });
  const untilSec = Math.floor(Date.now() / 1000) + DAY_SEC;
  const revoked = { accountId: ALICE, untilSec, sequence: 1 };
  let tell = (_news: BusNews): void => {};
  const ledger = await openLedger({
    store: {
      ...store,
      revocationsAfter: async (sequence) => (sequence < revoked.sequence ? [{ ...revoked }] : []),
    },
    bus: {
      ...noBus(),
      subscribe(listener) {
        tell = listener;
        return () => {};
      },
    },
    ...{ storeName: 'memory', keyFingerprints: KEYS, nowMs: Date.now, revocationPollMs: 1 },
  });
  assert.equal(ledger.isRevoked(ALICE), true);
  // The replica that was promoted has not heard of it.
  revoked.accountId = BOB;
  tell({ kind: 'missed' });
  while (!ledger.isRevoked(BOB)) await nextTurn();
  await ledger.close();
});

test('a revocation made here is known at once', async () => {
  const store = createMemoryStore({ nowMs: Date.now });
  const ledger = await openLedger({ store, storeName: 'memory', keyFingerprints: KEYS, nowMs: Date.now });
  await ledger.revoke(ALICE, Math.floor(Date.now() / 1000) + DAY_SEC);
  assert.equal(ledger.isRevoked(ALICE), true);
  await ledger.close();
});

test('more revocations than one page holds are all known when the ledger opens', async () => {
  const store = createMemoryStore({ nowMs: Date.now });
  const untilSec = Math.floor(Date.now() / 1000) + DAY_SEC;
  for (let n = 0; n < 2_300; n += 1) await store.revoke(hash(n), untilSec);
  const ledger = await quickLedger(store);
  for (let n = 0; n < 2_300; n += 1) assert.ok(ledger.isRevoked(hash(n)));
  await ledger.close();
});

test('revocations of which nothing can be valid any more are forgotten', async () => {
  const clock = manualClock();
  const store = createMemoryStore(clock);
  await store.revoke(ALICE, clock.nowSec() + 60);
  const options = { store, storeName: 'memory', keyFingerprints: KEYS, nowMs: clock.nowMs, purgeEveryMs: 1 };
  const ledger = await openLedger(options);
  assert.equal(ledger.isRevoked(ALICE), true);
  clock.advanceSec(60 + DAY_SEC);
  while (ledger.isRevoked(ALICE)) await nextTurn();
  await ledger.close();
});

test('a revocation outlives a gateway whose clock is days ahead for a while', async () => {
  const clock = manualClock();
  const wrong = manualClock();
  const store = createMemoryStore(clock);
  await store.revoke(ALICE, clock.nowSec() + 60);
  let purges = 0;
  const counting: Store = {
    ...store,
    purge: () => {
      purges += 1;
      return store.purge();
    },
  };
  const options = { storeName: 'memory', keyFingerprints: KEYS, nowMs: wrong.nowMs, purgeEveryMs: 1 };
  const ledger = await openLedger({ ...options, store: counting });
  wrong.advanceSec(60 + DAY_SEC);
  // The second one after it begins when the first has ended.
  for (const enough = purges + 3; purges < enough; ) await nextTurn();
  assert.equal(ledger.isRevoked(ALICE), true);
  await ledger.close();
});

test('what is over is purged in the background, all of it', async () => {
  const clock = manualClock();
  const store = createMemoryStore(clock);
  const terms = { service: 'quote', creditMsat: msat(5), expiresAtSec: clock.nowSec() + 60 };
  for (let n = 0; n < 2_500; n += 1)
    await store.redeem({ ...terms, accountId: hash(n), paymentHash: hash(n) });
  const ledger = await quickLedger(store);
  clock.advanceSec(60 + DAY_SEC);
  while ((await store.totals()).accounts > 0) await nextTurn();
  await ledger.close();
});

test('a store that fails in the background is told of, and asked again', async () => {
  const store = createMemoryStore({ nowMs: Date.now });
  let failures = 0;
  const failing: Store = {
    ...store,
    revocationsAfter: async (sequence) => {
      failures += 1;
      if (failures === 2 || failures === 3) throw new StoreError('unavailable', 'gone');
      return store.revocationsAfter(sequence);
    },
  };
  const told: string[] = [];
  const ledger = await quickLedger(failing, (task) => told.push(task));
  while (failures < 5) await nextTurn();
  await ledger.close();
  assert.deepEqual(told, ['revocations', 'revocations']);
});

test('keys are unique, short and nearly in order, and no two processes share them', async () => {
  const store = createMemoryStore({ nowMs: Date.now });
  const one = await quickLedger(store);
  const two = await quickLedger(store);
  const keys = Array.from({ length: 1_000 }, () => [one.nextKey(), two.nextKey()]).flat();
  assert.equal(new Set(keys).size, 2_000);
  for (const key of keys) assert.match(key, /^[\w-]{12}:[0-9a-z]{1,8}$/);
  await Promise.all([one.close(), two.close()]);
});

test('a ledger that was closed asks its store nothing more', async () => {
  const store = createMemoryStore({ nowMs: Date.now });
  const failures: unknown[] = [];
  const ledger = await quickLedger(store, (_task, error) => failures.push(error));
  await ledger.close();
  await store.close();
  for (let turn = 0; turn < 50; turn += 1) await nextTurn();
  assert.deepEqual(failures, []);
});
