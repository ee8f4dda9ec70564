import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { RedisStoreConfig } from '../../config/config.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { ALICE, accountOf, hash } from '../contract/store/subject.ts';
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts';
import { type RedisServer, redisStoreConfig, startRedis, storeOn } from '../support/redis-server.ts';
import { claimNumber } from './crash-terms.ts';
import { emptyStore, openOn } from './redis-backend.ts';

const CLIENTS = 5;

let server: RedisServer;
let cluster: RedisCluster;

before(async () => {
  [server, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
});

after(async () => {
  await Promise.all([server.stop(), cluster.stop()]);
});

/** A test with several gateways' stores on one Redis: once on a single server, once on a Cluster. */
function raceTest(title: string, body: (stores: readonly Store[]) => Promise<void>): void {
  const places: Record<string, () => RedisStoreConfig> = {
    redis: () => storeOn(server),
    'redis cluster': () => redisStoreConfig({ kind: 'cluster', nodes: cluster.masters }),
  };
  for (const [name, config] of Object.entries(places)) {
    test(`${name}: ${title}`, async () => {
      // One after the other: the first one makes the store.
      const stores: Store[] = [];
      for (let n = 0; n < CLIENTS; n += 1) stores.push(await openOn(config()));
      try {
        await body(stores);
      } finally {
        await Promise.all(stores.map((store) => store.close()));
        await emptyStore(config());
      }
    });
  }
}

function each<T>(
  stores: readonly Store[],
  times: number,
  ask: (store: Store, n: number) => Promise<T>,
): Promise<T[]> {
  return Promise.all(
    Array.from({ length: times }, (_, n) => ask(stores[n % stores.length] ?? assert.fail(), n)),
  );
}

raceTest(
  'of 1,000 spends of a one-call credit at once, from five gateways, exactly one wins',
  async (stores) => {
    const [first] = stores;
    assert.ok(first);
    await first.redeem(claimNumber(1));
    const outcomes = await each(stores, 1_000, (store, n) =>
      store.spend({ accountId: ALICE, key: `k${n}`, amountMsat: msat(1_000) }),
    );
    assert.equal(outcomes.filter(({ kind }) => kind === 'spent').length, 1);
    assert.equal(outcomes.filter(({ kind }) => kind === 'insufficient').length, 999);
    assert.equal((await accountOf(first, ALICE)).spentMsat, 1_000);
  },
);

raceTest(
  'a payment that five gateways redeem for a hundred accounts at once is one account’s',
  async (stores) => {
    const [first] = stores;
    assert.ok(first);
    const outcomes = await each(stores, 100, (store, n) =>
      store.redeem({ ...claimNumber(2), accountId: hash(0x5000 + n) }),
    );
    assert.equal(outcomes.filter(({ kind }) => kind === 'claimed').length, 1);
    assert.equal(outcomes.filter(({ kind }) => kind === 'taken').length, 99);
    assert.equal((await first.totals()).creditedMsat, 1_000);
  },
);

raceTest(
  'a spend and its void, through two gateways, leave the money where it was in either order',
  async (stores) => {
    const [first] = stores;
    assert.ok(first);
    await first.redeem(claimNumber(3));
    await each<unknown>(stores, 200, (store, n) => {
      const spend = { accountId: ALICE, key: `k${n >> 1}`, amountMsat: msat(1) };
      return n % 2 === (n >> 1) % 2 ? store.spend(spend) : store.voidSpend(spend);
    });
    assert.equal((await accountOf(first, ALICE)).balanceMsat, 1_000);
  },
);
