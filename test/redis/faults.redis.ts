import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import type { RedisClient } from '../../gateway/ledger/redis/connect.ts';
import { SPEND_KEY_TTL_SEC, type Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { ALICE, accountOf, assertStoreError, BOB, balanceOf, hash } from '../contract/store/subject.ts';
import { type RedisServer, startRedis, storeOn } from '../support/redis-server.ts';
import { claimNumber, offerNumber } from './crash-terms.ts';
import { clientOn, emptyStore, openOn } from './redis-backend.ts';

let server: RedisServer;

before(async () => {
  server = await startRedis();
});

after(async () => {
  for (const client of clients) client.disconnect();
  await server.stop();
});

function faultTest(title: string, body: (store: Store) => Promise<void>): void {
  test(title, async () => {
    const store = await openOn(storeOn(server));
    try {
      await store.redeem(claimNumber(1));
      await body(store);
    } finally {
      await store.close();
      await emptyStore(storeOn(server));
    }
  });
}

let keys = 0;

function spendOf(amountMsat = 1) {
  keys += 1;
  return { accountId: ALICE, key: `fault:${keys}`, amountMsat: msat(amountMsat) };
}

faultTest(
  'scripts that the server has forgotten are sent again, in the middle of the load',
  async (store) => {
    const spends = Array.from({ length: 500 }, () => spendOf());
    const outcomes = await Promise.all(
      spends.map(async (spend, n) => {
        if (n % 100 === 50) await server.call('SCRIPT', 'FLUSH');
        return store.spend(spend);
      }),
    );
    assert.ok(outcomes.every(({ kind }) => kind === 'spent'));
    assert.equal(await balanceOf(store, ALICE), 500);
  },
);

const REFUSING: readonly (readonly [what: string, setting: string, off: string, on: string, says: RegExp])[] =
  [
    ['whose memory is full', 'maxmemory', '1', '0', /memory is full/],
    ['that has too few replicas', 'min-replicas-to-write', '5', '0', /too few of its replicas/],
  ];

for (const [what, setting, off, on, says] of REFUSING) {
  faultTest(`a server ${what} is unavailable, says so, and nothing is half written`, async (store) => {
    const before = await accountOf(store, ALICE);
    await server.call('CONFIG', 'SET', setting, off);
    try {
      const verbs = [
        () => store.spend(spendOf()),
        () => store.redeem(claimNumber(2)),
        () => store.beginAttempt({ ...spendOf(), attemptId: 'a', fingerprint: 'f', inFlightSec: 9 }),
        () => store.reserve({ accountId: ALICE, leaseId: 'l', amountMsat: msat(1), ttlSec: 9 }),
        () => store.offer(offerNumber(3), 9),
        () => store.nextEpoch(),
      ];
      for (const verb of verbs) assert.match((await assertStoreError('unavailable', verb())).message, says);
    } finally {
      await server.call('CONFIG', 'SET', setting, on);
    }
    assert.deepEqual(await accountOf(store, ALICE), before);
    assert.equal((await store.redeem(claimNumber(2))).kind, 'claimed');
    assert.equal((await accountOf(store, ALICE)).creditedMsat, 2_000);
  });
}

faultTest(
  'what another program wrote under our keys is corrupt, and no number is made of it',
  async (store) => {
    const client = await ownClient();
    const account = `test:{${ALICE}}a`;
    const damages: readonly (() => Promise<unknown>)[] = [
      () => client.hset(account, 'b', 'nan'),
      () => client.hset(account, 'b', '-5'),
      () => client.hset(account, 'b', '1e400'),
      () => client.hdel(account, 'b'),
      () => client.hset(account, 'b', '9007199254740993'),
    ];
    for (const damage of damages) {
      await damage();
      await assertStoreError('corrupt', store.spend(spendOf()));
      await assertStoreError('corrupt', store.account(ALICE));
    }
    await client.set(`test:{${BOB}}a`, 'a text');
    await assertStoreError('corrupt', store.spend({ ...spendOf(), accountId: BOB }));
    await client.set(`test:{${hash(7)}}o`, 'no offer');
    await assertStoreError('corrupt', store.settleOffer(hash(7), msat(1)));
    await client.set(`test:{${hash(8)}}c`, 'no claim');
    await assertStoreError('corrupt', store.paymentEntries([hash(8)]));
    await client.del(account, `test:{${BOB}}a`);
  },
);

faultTest(
  'keys of debits live for minutes, those of payments as long as their record says',
  async (store) => {
    const attempt = { ...spendOf(), attemptId: 'a', fingerprint: 'f', inFlightSec: 9 };
    await store.spend(spendOf());
    await store.voidSpend(spendOf());
    await store.beginAttempt(attempt);
    await store.endAttempt(attempt, 'delivered');
    await store.voidAttempt({ ...attempt, attemptId: 'late' });
    await store.reserve({ accountId: ALICE, leaseId: 'l', amountMsat: msat(1), ttlSec: 9 });
    await store.release({ accountId: ALICE, leaseId: 'l', spendMsat: msat(1) });
    await store.revoke(BOB, claimNumber(1).expiresAtSec);
    const client = await ownClient();
    const ours = (await client.keys('test:*')).filter((key) => !/proof$|\{sluice\}/.test(key));
    assert.ok(ours.length >= 7);
    for (const key of ours) {
      const ttlSec = await client.ttl(key);
      assert.ok(ttlSec > 0, key);
      if (/\}[kte]/.test(key)) assert.ok(ttlSec <= SPEND_KEY_TTL_SEC + 120, `${key} ${ttlSec}`);
    }
  },
);

/** A server that greets as Redis does and then answers everything with the same bytes. */
async function hostileServer(answer: string): Promise<{ readonly port: number; close(): void }> {
  const sockets = new Set<import('node:net').Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      const asked = data.toString('latin1');
      if (/evalsha|eval/i.test(asked)) socket.write(answer);
      else if (/info/i.test(asked)) socket.write('$9\r\nloading:0\r\n');
      else for (let n = (asked.match(/\*\d+\r\n/g) ?? []).length; n > 0; n -= 1) socket.write('+OK\r\n');
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  assert.ok(typeof address === 'object' && address !== null);
  return {
    port: address.port,
    close() {
      for (const socket of sockets) socket.destroy();
      listener.close();
    },
  };
}

test('answers that no script gives are refused when the store is opened, as damage or as no Redis at all', async () => {
  const answers = [
    '+OK\r\n',
    ':1\r\n',
    '*0\r\n',
    '$-1\r\n',
    '$3\r\n1 2\r\n',
    '-ERR no\r\n',
    'HTTP/1.1 400\r\n\r\n',
  ];
  for (const answer of answers) {
    const hostile = await hostileServer(answer);
    try {
      const config = storeOn(
        { ...server, port: hostile.port },
        { commandTimeoutMs: 500, connectTimeoutMs: 500 },
      );
      await assert.rejects(openOn(config), { name: 'StoreError' }, JSON.stringify(answer));
    } finally {
      hostile.close();
    }
  }
});

test('a spend that Redis answers too late is voided by its key, and arrives in vain', async () => {
  const store = await openOn(storeOn(server, { commandTimeoutMs: 1_000 }));
  try {
    await store.redeem(claimNumber(1));
    const lost = spendOf(1_000);
    server.pause();
    const answer = assertStoreError('unavailable', store.spend(lost));
    const lostToo = spendOf(1_000);
    const unsent = assertStoreError('unavailable', store.spend(lostToo));
    await Promise.all([answer, unsent]);
    server.resume();
    await eventuallyAnswers(store);
    for (const spend of [lost, lostToo]) {
      assert.ok(['voided', 'unknown'].includes((await store.voidSpend(spend)).kind));
      assert.deepEqual(await store.spend(spend), { kind: 'voided' });
    }
    assert.equal(await balanceOf(store, ALICE), 1_000);
  } finally {
    server.resume();
    await store.close();
    await emptyStore(storeOn(server));
  }
});

const clients: RedisClient[] = [];

/** A client of the test's own, closed with the server. */
async function ownClient(): Promise<RedisClient> {
  const client = await clientOn(storeOn(server));
  clients.push(client);
  return client;
}

async function eventuallyAnswers(store: Store): Promise<void> {
  for (;;) {
    const isBack = await store.ping().then(
      () => true,
      () => false,
    );
    if (isBack) return;
    await new Promise(setImmediate);
  }
}
