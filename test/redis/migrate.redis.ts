import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import type { RedisStoreConfig } from '../../config/config.ts';
import { checkRecords } from '../../gateway/ledger/check-records.ts';
import { type Migration, type MigrationProgress, migrate } from '../../gateway/ledger/migrate.ts';
import { openRedisRecords } from '../../gateway/ledger/redis/records.ts';
import { type ImportTarget, openImport } from '../../gateway/ledger/redis/write-records.ts';
import { REDIS_STORE_VERSION } from '../../gateway/ledger/redis.ts';
import { openSqliteRecords } from '../../gateway/ledger/sqlite/records.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { StoreError } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { run } from '../cli/operator.ts';
import { DAY_SEC, SERVICE } from '../contract/store/subject.ts';
import {
  FILLED,
  FILLED_ACCOUNTS,
  fillStore,
  OPEN_OFFER,
  PAID_OFFER,
  paymentOf,
} from '../ledger/filled-store.ts';
import { manualClock } from '../support/clock.ts';
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts';
import { type RedisServer, redisStoreConfig, startRedis, storeOn } from '../support/redis-server.ts';
import { clientOn, freshPrefix, openOn } from './redis-backend.ts';

let server: RedisServer;
let cluster: RedisCluster;

before(async () => {
  server = await startRedis();
  cluster = await startRedisCluster();
});

after(async () => {
  await server?.stop();
  await cluster?.stop();
});

/** A SQLite store with something of everything, closed. */
async function filledFile(t: TestContext) {
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-migrate-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = path.join(dir, 'ledger.db');
  const clock = manualClock();
  const store = await openSqliteStore({ file, nowMs: clock.nowMs, spendDurability: 'normal' });
  await fillStore(store, clock);
  const generation = await store.generation();
  await store.close();
  return { dir, file, clock, generation };
}

/** Moves a file to a Redis as the command does, but for retiring it. */
async function move(
  file: string,
  config: RedisStoreConfig,
  keyPrefix: string,
  {
    onProgress = () => {},
    through = (to) => to,
  }: {
    readonly onProgress?: (progress: MigrationProgress) => void;
    readonly through?: (to: ImportTarget) => ImportTarget;
  } = {},
): Promise<Migration> {
  const from = openSqliteRecords(file, 'alone');
  const client = await clientOn(config);
  const written = openRedisRecords(client, 'the test', keyPrefix);
  const to = openImport({
    client,
    name: 'the test',
    keyPrefix,
    storeVersion: REDIS_STORE_VERSION,
    replicas: 0,
  });
  try {
    return await migrate({ from, to: through(to), written, onProgress });
  } finally {
    await written.close();
    await from.close();
  }
}

for (const [kind, configOf] of [
  ['a single Redis', () => storeOn(server)],
  ['a Cluster', () => redisStoreConfig({ kind: 'cluster', nodes: [...cluster.masters] })],
] as const) {
  test(`everything that counts is moved to ${kind}: nothing can be bought or spent a second time there`, async (t) => {
    const { file, clock, generation } = await filledFile(t);
    const keyPrefix = freshPrefix();
    const moved = await move(file, configOf(), keyPrefix);
    assert.equal(moved.start, 'begun');
    const store = await openOn(configOf(), { keyPrefix, nowMs: clock.nowMs });
    assert.equal(await store.generation(), generation);
    assert.deepEqual(await store.admitMasterKeys(['bb'.repeat(32)]), { kind: 'known' });
    assert.equal(await store.settlementCursor(), 77);
    const expiresAtSec = clock.nowSec() - 10 + 30 * DAY_SEC;
    const claim = {
      paymentHash: paymentOf(0),
      accountId: FILLED.spender,
      service: SERVICE,
      creditMsat: msat(10_000),
      expiresAtSec,
    };
    assert.deepEqual(await store.redeem(claim), { kind: 'repeated' });
    assert.equal((await store.account(FILLED.spender))?.balanceMsat, 8_500);
    assert.deepEqual(await store.redeem({ ...claim, accountId: FILLED.revoked, creditMsat: msat(1) }), {
      kind: 'revoked',
    });
    const late = { ...claim, paymentHash: paymentOf(4), accountId: FILLED.expired, creditMsat: msat(10_004) };
    assert.deepEqual(await store.redeem({ ...late, expiresAtSec: clock.nowSec() - 5 }), { kind: 'too-late' });
    // What a stream had set aside is back, what it had used is not.
    assert.equal((await store.account(FILLED.streamer))?.balanceMsat, 9_001);
    assert.deepEqual(await store.openOffers('', 10), [
      {
        paymentHash: OPEN_OFFER,
        accountId: FILLED.toppedUp,
        service: SERVICE,
        amountMsat: 2_000,
        invoiceExpiresAtSec: clock.nowSec() - 10 + 600,
        creditExpiresAtSec: expiresAtSec + DAY_SEC,
      },
    ]);
    assert.equal((await store.settleOffer(PAID_OFFER, msat(2_345))).kind, 'repeated');
    assert.equal((await store.settleOffer(OPEN_OFFER, msat(2_000))).kind, 'credited');
    assert.deepEqual(
      (await store.revocationsAfter(0)).map(({ sequence }) => sequence),
      [1, 2],
    );
    await store.close();
    const records = openRedisRecords(await clientOn(configOf()), 'the test', keyPrefix);
    const report = await checkRecords(records);
    await records.close();
    assert.deepEqual(report.findings, []);
    assert.equal(report.totals.accounts, FILLED_ACCOUNTS);
  });
}

test('a move that was broken off is no store, and is finished by moving again', async (t) => {
  const { file, clock } = await filledFile(t);
  const keyPrefix = freshPrefix();
  for (const breakAt of ['accounts', 'claims', 'offers', 'revocations']) {
    const broken = move(file, storeOn(server), keyPrefix, {
      onProgress: ({ kind }) => {
        if (kind === breakAt) throw new Error('power cut');
      },
    });
    await assert.rejects(broken, /power cut/);
    await assert.rejects(
      openOn(storeOn(server), { keyPrefix }),
      /is being moved .* run `sluice store migrate` again/,
    );
  }
  assert.equal((await move(file, storeOn(server), keyPrefix)).start, 'resumed');
  assert.equal((await move(file, storeOn(server), keyPrefix)).start, 'finished');
  const store = await openOn(storeOn(server), { keyPrefix, nowMs: clock.nowMs });
  assert.equal((await store.account(FILLED.spender))?.balanceMsat, 8_500);
  await store.close();
});

test('a move that was broken off and a gateway that used the old ledger since: what it did is moved too', async (t) => {
  const { file, clock } = await filledFile(t);
  const keyPrefix = freshPrefix();
  const broken = move(file, storeOn(server), keyPrefix, {
    onProgress: ({ kind }) => {
      if (kind === 'revocations') throw new Error('power cut');
    },
  });
  await assert.rejects(broken, /power cut/);
  const used = await openSqliteStore({ file, nowMs: clock.nowMs, spendDurability: 'normal' });
  const bought = {
    paymentHash: paymentOf(5_000),
    accountId: FILLED.spender,
    service: SERVICE,
    creditMsat: msat(700),
    expiresAtSec: clock.nowSec() + 30 * DAY_SEC,
  };
  await used.redeem(bought);
  await used.spend({ accountId: FILLED.spender, key: 'since', amountMsat: msat(200) });
  await used.settleOffer(OPEN_OFFER, msat(2_100));
  await used.revoke(FILLED.streamer, clock.nowSec() + 60 * DAY_SEC);
  const spender = await used.account(FILLED.spender);
  const toppedUp = await used.account(FILLED.toppedUp);
  await used.close();
  assert.equal((await move(file, storeOn(server), keyPrefix)).start, 'resumed');
  const store = await openOn(storeOn(server), { keyPrefix, nowMs: clock.nowMs });
  t.after(() => store.close());
  assert.deepEqual(await store.redeem(bought), { kind: 'repeated' });
  assert.deepEqual(await store.account(FILLED.spender), spender);
  assert.equal((await store.settleOffer(OPEN_OFFER, msat(2_100))).kind, 'repeated');
  assert.deepEqual(await store.account(FILLED.toppedUp), toppedUp);
  assert.deepEqual(await store.openOffers('', 10), []);
  const key = { accountId: FILLED.streamer, key: 'late', amountMsat: msat(1) };
  assert.deepEqual(await store.spend(key), { kind: 'revoked' });
});

test('an old ledger that was used after it was moved is not thrown away as if it had been moved', async (t) => {
  const { file, clock } = await filledFile(t);
  const keyPrefix = freshPrefix();
  // A power cut: the place is a store, and the file was not retired.
  await move(file, storeOn(server), keyPrefix);
  assert.equal((await move(file, storeOn(server), keyPrefix)).start, 'finished');
  const store = await openSqliteStore({ file, nowMs: clock.nowMs, spendDurability: 'normal' });
  // As every gateway does when it starts, and each minute.
  await store.nextEpoch();
  await store.close();
  await assert.rejects(move(file, storeOn(server), keyPrefix), /a gateway has used the old one since/);
});

test('two ledgers are never made one: a place with a store, a part of one, or another move is refused', async (t) => {
  const { file, clock } = await filledFile(t);
  const { file: other } = await filledFile(t);
  const taken = freshPrefix();
  await (await openOn(storeOn(server), { keyPrefix: taken, nowMs: clock.nowMs })).close();
  await assert.rejects(move(file, storeOn(server), taken), /There is a ledger at the test already/);
  const part = freshPrefix();
  await server.call('SET', `${part}{${paymentOf(0)}}c`, 'left over');
  await assert.rejects(move(file, storeOn(server), part), /There is a ledger at the test already/);
  const begun = freshPrefix();
  const broken = move(file, storeOn(server), begun, {
    onProgress: () => {
      throw new Error('power cut');
    },
  });
  await assert.rejects(broken, /power cut/);
  await assert.rejects(move(other, storeOn(server), begun), /Another store is being moved to the test/);
});

test('what was written otherwise than it was read is found, and the place is not made a store', async (t) => {
  const { file } = await filledFile(t);
  const keyPrefix = freshPrefix();
  const moved = move(file, storeOn(server), keyPrefix, {
    through: (to) => ({
      ...to,
      claims: async (page) => {
        await server.call('HINCRBY', `${keyPrefix}{${FILLED.spender}}a`, 'b', '1');
        await to.claims(page);
      },
    }),
  });
  await assert.rejects(moved, (error) => {
    assert.ok(error instanceof StoreError);
    assert.match(error.message, /is not what was read: account 0{64}/);
    return true;
  });
  await assert.rejects(openOn(storeOn(server), { keyPrefix }), /is being moved/);
});

test('sluice store migrate moves, says what, and leaves the old file void; check and backup look at the new one', async (t) => {
  const { dir, file } = await filledFile(t);
  const url = `redis://127.0.0.1:${server.port}/3`;
  const args = [
    'store',
    'migrate',
    '--from',
    `sqlite:${file}`,
    '--to',
    url,
    '--upstream',
    'http://127.0.0.1:1',
  ];
  const first = await run(dir, [...args, '--price', '1 sat']);
  assert.match(first.stdout, new RegExp(`Moved: .*ledger.db → ${url}\n`));
  assert.match(first.stdout, /accounts {5}1203\n/);
  assert.match(first.stdout, /is void from now on/);
  const store = ['--store', url, '--upstream', 'http://127.0.0.1:1', '--price', '1 sat'];
  const checked = await run(dir, ['store', 'check', ...store]);
  assert.match(checked.stdout, /accounts {5}1203\n[\s\S]*OK: the books of every account balance\./);
  assert.equal(checked.code, 0);
  const kept = await run(dir, ['store', 'backup', ...store]);
  const [, snapshot = ''] = /has written (\S+)/.exec(kept.stdout) ?? [];
  assert.ok(existsSync(snapshot), kept.stdout);
  const again = await run(dir, [...args, '--price', '1 sat']).catch((error: unknown) => error);
  assert.match(String(again), /There is a ledger at .* already/);
});
