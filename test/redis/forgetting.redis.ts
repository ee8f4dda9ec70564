import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { Redis } from 'ioredis';
import type { RedisClient } from '../../gateway/ledger/redis/connect.ts';
import { openRedisStore } from '../../gateway/ledger/redis.ts';
import { CLAIM_GRACE_SEC, type Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { ALICE, assertStoreError, DAY_SEC, hash, SERVICE } from '../contract/store/subject.ts';
import { manualClock } from '../support/clock.ts';
import { type RedisServer, startRedis, storeOn } from '../support/redis-server.ts';
import { clientOn, freshPrefix, openOn } from './redis-backend.ts';

let server: RedisServer;

before(async () => {
  server = await startRedis();
});

after(async () => {
  await server.stop();
});

interface Place {
  readonly keyPrefix: string;
  /** A client for the test itself. */
  readonly client: RedisClient;
  /** Opens the store, by the clock of Redis. */
  open(): Promise<Store>;
}

async function openPlace(t: TestContext): Promise<Place> {
  const keyPrefix = freshPrefix();
  const client = await clientOn(storeOn(server));
  t.after(() => client.disconnect());
  return {
    keyPrefix,
    client,
    async open() {
      const store = await openOn(storeOn(server), { keyPrefix });
      t.after(() => store.close());
      return store;
    },
  };
}

test('after a clock that was days ahead, nothing that is paid is forgotten before it is too late', async (t) => {
  const { keyPrefix, client, open } = await openPlace(t);
  await (await open()).close();
  const [sec = '0'] = await client.time();
  const aheadSec = Number(sec) + 10 * DAY_SEC;
  await client.hset(`${keyPrefix}{sluice}settings`, 'clock', aheadSec);
  const store = await open();
  // Bought while the clock was right, and presented when it is again.
  const expiresAtSec = aheadSec + 5 * DAY_SEC;
  const terms = { accountId: ALICE, service: SERVICE };
  const claim = { ...terms, creditMsat: msat(10_000), expiresAtSec, paymentHash: hash(1) };
  assert.deepEqual(await store.redeem(claim), { kind: 'claimed' });
  const ends = { invoiceExpiresAtSec: aheadSec + 600, creditExpiresAtSec: expiresAtSec };
  const offer = { ...terms, ...ends, amountMsat: msat(1_000), paymentHash: hash(2) };
  assert.deepEqual(await store.offer(offer, 3), { kind: 'offered' });
  await store.reserve({ accountId: ALICE, leaseId: 'l', amountMsat: msat(1), ttlSec: 60 });
  await store.revoke(ALICE, expiresAtSec);
  for (const key of [`{${hash(1)}}c`, `{${hash(2)}}o`, ...'alqv'].map((name) =>
    name.length > 1 ? name : `{${ALICE}}${name}`,
  )) {
    const goneAtSec = Number(sec) + (await client.ttl(keyPrefix + key));
    assert.ok(goneAtSec >= expiresAtSec + CLAIM_GRACE_SEC, `${key} is gone at ${goneAtSec}`);
  }
});

test('a clock that was days ahead at one look only: what is over by it is refused from that look on', async (t) => {
  const { keyPrefix, client } = await openPlace(t);
  const own = await clientOn(storeOn(server));
  const store = await openRedisStore({ client: own, name: 'the test', keyPrefix });
  t.after(() => store.close());
  const [sec = '0'] = await client.time();
  const claim = {
    ...{ accountId: ALICE, service: SERVICE, creditMsat: msat(10_000), paymentHash: hash(1) },
    expiresAtSec: Number(sec) + DAY_SEC,
  };
  const right = own.time;
  own.time = async () => [Number(sec) + 10 * DAY_SEC, 0];
  await store.clock();
  own.time = right;
  assert.deepEqual(await store.redeem(claim), { kind: 'too-late' });
});

/** Has something happen once, before the n-th command that a client sends; those on the many lists of offers are not counted. */
function interrupt(
  client: RedisClient,
  n: number,
  work: () => Promise<void>,
): { readonly reached: () => boolean } {
  assert.ok(client instanceof Redis);
  const send = client.sendCommand.bind(client);
  let sent = 0;
  client.sendCommand = async (command, stream) => {
    if (command.name !== 'zremrangebyscore') sent += 1;
    if (sent === n) await work();
    return send(command, stream);
  };
  return { reached: () => sent >= n };
}

test('a revocation that is renewed at any point of a purge stays', async (t) => {
  const { nowMs, advanceSec, nowSec } = manualClock();
  for (let n = 1; ; n += 1) {
    const keyPrefix = freshPrefix();
    const other = await openOn(storeOn(server), { keyPrefix, nowMs });
    const own = await clientOn(storeOn(server));
    const store = await openRedisStore({ client: own, name: 'the test', keyPrefix, nowMs });
    t.after(() => Promise.all([store.close(), other.close()]));
    await store.revoke(ALICE, nowSec() + 10);
    advanceSec(3 * DAY_SEC);
    const untilSec = nowSec() + 30 * DAY_SEC;
    const { reached } = interrupt(own, n, () => other.revoke(ALICE, untilSec));
    await store.purge();
    if (!reached()) {
      assert.ok(n > 5);
      return;
    }
    const claim = { accountId: ALICE, service: SERVICE, creditMsat: msat(1), paymentHash: hash(1) };
    assert.deepEqual(await other.redeem({ ...claim, expiresAtSec: untilSec }), { kind: 'revoked' }, `${n}`);
    assert.equal((await other.revocationsAfter(0)).at(-1)?.untilSec, untilSec, `${n}`);
  }
});

test('a payment that comes while Redis is empty is no payment of somebody else: it waits for the data', async (t) => {
  const { open, client } = await openPlace(t);
  const store = await open();
  await client.flushall();
  await assertStoreError('mismatch', store.settleOffer(hash(1), msat(1)));
});
