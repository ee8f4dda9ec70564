import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { slotOf } from '../../gateway/ledger/redis/slots.ts';
import { type Spend, type Store, StoreError } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { ALICE, balanceOf } from '../contract/store/subject.ts';
import { eventually } from '../support/eventually.ts';
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts';
import { type RedisServer, redisStoreConfig } from '../support/redis-server.ts';
import { claimNumber } from './crash-terms.ts';
import { openOn } from './redis-backend.ts';

/* A slot moves to another node while gateways work on it. */

let cluster: RedisCluster;

before(async () => {
  cluster = await startRedisCluster();
});

after(async () => {
  await cluster.stop();
});

interface Move {
  /** Says to both nodes that the slot is about to move. */
  begin(): Promise<void>;
  /** Moves one key. @returns false when none is left */
  moveOne(): Promise<boolean>;
  /** Gives the slot to the other node, with what was moved. */
  end(): Promise<void>;
  /** The other node takes the slot by itself, without what is in it: the first deletes that. */
  takeAll(): Promise<void>;
}

async function moveOf(key: string): Promise<Move> {
  const slot = String(slotOf(key));
  const from = await cluster.ownerOf(key);
  const to = cluster.masters.find((one) => one !== from);
  assert.ok(to);
  const idOf = async (server: RedisServer) => String(await server.call('CLUSTER', 'MYID'));
  const [fromId, toId] = [await idOf(from), await idOf(to)];
  return {
    async begin() {
      await to.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId);
      await from.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId);
    },
    async moveOne() {
      const found = await from.call('CLUSTER', 'GETKEYSINSLOT', slot, '1');
      const [first] = Array.isArray(found) ? found.map(String) : [];
      if (first === undefined) return false;
      await from.call('MIGRATE', to.host, String(to.port), first, '0', '5000');
      return true;
    },
    async takeAll() {
      await to.call('CLUSTER', 'SETSLOT', slot, 'NODE', toId);
    },
    async end() {
      for (const server of [to, from, ...cluster.masters])
        await server.call('CLUSTER', 'SETSLOT', slot, 'NODE', toId);
    },
  };
}

async function open(t: TestContext): Promise<Store> {
  const nodes = cluster.masters.map(({ host, port }) => ({ host, port }));
  const store = await openOn(redisStoreConfig({ kind: 'cluster', nodes }));
  t.after(() => store.close());
  return store;
}

/** What a verb answers, or the code with which it failed. */
function outcomeOf(verb: Promise<{ readonly kind: string }>): Promise<string> {
  return verb.then(
    ({ kind }) => kind,
    (error: unknown) => {
      assert.ok(error instanceof StoreError);
      if (error.code === 'unavailable') assert.match(error.message, /slot\) is being moved|timed out|closed/);
      return error.code;
    },
  );
}

test('a payment is redeemed once and spent exactly, however far its slots have moved', async (t) => {
  const store = await open(t);
  const claim = claimNumber(1);
  assert.deepEqual(await store.redeem(claim), { kind: 'claimed' });
  let spends = 0;
  let spentMsat = 0;
  const unknown: Spend[] = [];
  const use = async (): Promise<void> => {
    const again = await outcomeOf(store.redeem(claim));
    assert.ok(again === 'repeated' || again === 'unavailable', again);
    spends += 1;
    const spend = { accountId: ALICE, key: `moved:${spends}`, amountMsat: msat(1) };
    const outcome = await outcomeOf(store.spend(spend));
    if (outcome === 'spent') spentMsat += 1;
    else {
      assert.equal(outcome, 'unavailable');
      unknown.push(spend);
    }
  };
  for (const key of [`test:{${claim.paymentHash}}c`, `test:{${ALICE}}a`]) {
    const move = await moveOf(key);
    await use();
    await move.begin();
    await use();
    while (await move.moveOne()) await use();
    await move.end();
    await use();
  }
  assert.equal(
    await eventually(
      () => outcomeOf(store.redeem(claim)),
      (kind) => kind !== 'unavailable',
    ),
    'repeated',
  );
  for (const spend of unknown) assert.equal(await outcomeOf(store.voidSpend(spend)), 'unknown');
  assert.equal(await balanceOf(store, ALICE), 1_000 - spentMsat);
  // Between the first key and the last Redis refuses what needs both; before and after, nothing was refused.
  assert.ok(spentMsat >= 4);
});

test('a slot that a node takes without what is in it sells nothing', async (t) => {
  const store = await open(t);
  const claim = claimNumber(2);
  assert.deepEqual(await store.redeem(claim), { kind: 'claimed' });
  const move = await moveOf(`test:{${claim.paymentHash}}c`);
  await move.begin();
  await move.takeAll();
  const refused = await eventually(
    () => outcomeOf(store.redeem(claim)),
    (outcome) => outcome !== 'unavailable' && outcome !== 'repeated',
  );
  assert.equal(refused, 'mismatch');
});
