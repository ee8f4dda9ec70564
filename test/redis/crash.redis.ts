import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { ALICE, accountOf, assertBalanced } from '../contract/store/subject.ts';
import { endWithUs } from '../support/end-with-us.ts';
import { type RedisServer, startRedis, storeOn } from '../support/redis-server.ts';
import { claimNumber, offerNumber } from './crash-terms.ts';
import { openOn } from './redis-backend.ts';

const CHILD = join(import.meta.dirname, 'crash-child.ts');
/** More commands than any verb sends. */
const MAX_COMMANDS = 20;

let server: RedisServer;
let store: Store;
let payments = 1;

before(async () => {
  server = await startRedis();
  store = await openOn(storeOn(server));
  await store.redeem(claimNumber(1));
});

after(async () => {
  await store.close();
  await server.stop();
});

/** @returns whether the child was killed before the verb was done */
async function runKilled(verb: string, killAt: number, payment: number): Promise<boolean> {
  const args = ['--disable-warning=ExperimentalWarning', CHILD, String(server.port), verb];
  const child = spawn(process.execPath, [...args, String(killAt), String(payment)], { stdio: 'inherit' });
  void endWithUs(child);
  const [code, signal] = await once(child, 'exit');
  assert.ok(code === 0 || signal === 'SIGKILL', `exit ${code} ${signal}`);
  return signal === 'SIGKILL';
}

/** Kills a gateway before each command of a verb in turn, each time on a new payment; at least `points` of them. */
async function atEachPoint(
  verb: string,
  points: number,
  make: (payment: number) => Promise<void>,
  redrive: (payment: number) => Promise<void>,
): Promise<void> {
  for (let killAt = 1; killAt <= MAX_COMMANDS; killAt += 1) {
    payments += 1;
    const payment = payments;
    await make(payment);
    const { creditedMsat } = await accountOf(store, ALICE);
    const killed = await runKilled(verb, killAt, payment);
    await redrive(payment);
    await redrive(payment);
    const grew = (await accountOf(store, ALICE)).creditedMsat - creditedMsat;
    assert.equal(grew, verb === 'redeem' ? 1_000 : 1_007, `killed before command ${killAt}`);
    await assertBalanced(store);
    if (killed) continue;
    assert.ok(killAt > points, `${killAt - 1} points`);
    return;
  }
  assert.fail('the verb did not come to its end');
}

async function settle(payment: number): Promise<void> {
  const { paymentHash } = offerNumber(payment);
  assert.ok(['credited', 'repeated'].includes((await store.settleOffer(paymentHash, msat(1_007))).kind));
  assert.equal((await store.settleOffer(paymentHash, msat(1_007))).kind, 'repeated');
  const open = [...(await store.openOffers('', 1_000)), ...(await store.offersOf(ALICE))];
  assert.ok(!open.some((offer) => offer.paymentHash === paymentHash));
}

test('a gateway killed at any point of a redemption: it is credited once, by whoever presents it next', async () => {
  await atEachPoint(
    'redeem',
    3,
    async () => {},
    async (payment) => {
      assert.ok(['claimed', 'repeated'].includes((await store.redeem(claimNumber(payment))).kind));
    },
  );
});

test('a gateway killed at any point of a settlement: it is credited once, with what was overpaid, and closed', async () => {
  await atEachPoint(
    'settle',
    4,
    async (payment) => {
      assert.equal((await store.offer(offerNumber(payment), 1_000)).kind, 'offered');
    },
    settle,
  );
});

test('a gateway killed at any point of an offer: it can be asked for again, and is credited once', async () => {
  await atEachPoint(
    'offer',
    4,
    async () => {},
    async (payment) => {
      assert.ok(['offered', 'repeated'].includes((await store.offer(offerNumber(payment), 1_000)).kind));
      const isOpen = (await store.openOffers('', 1_000)).some(
        ({ paymentHash }) => paymentHash === offerNumber(payment).paymentHash,
      );
      const entry = await store.paymentEntries([offerNumber(payment).paymentHash]);
      assert.equal(isOpen, entry[0]?.offer?.settled === false);
      await settle(payment);
    },
  );
});
