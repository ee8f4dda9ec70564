import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assembleAccounts } from '../../gateway/assemble-accounts.ts';
import { openLedger } from '../../gateway/ledger/ledger.ts';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { createSimnet } from '../../node/simnet/simnet.ts';
import { withoutFeed } from '../contract/many-gateways.contract.ts';
import { ALICE, hash } from '../contract/store/subject.ts';
import { openScene } from '../e2e/scene.ts';
import { metricOf } from '../e2e/streams-scene.ts';
import { type BusHub, busHub } from '../support/bus-hub.ts';
import { eventually } from '../support/eventually.ts';
import { askChallenge, buy, withCredential } from '../support/gateway.ts';

/* What the bus alone brings about: nothing here polls in time. */

const NEVER_MS = 3_600_000;

test('a revocation is known as soon as the bus tells of it, and so is one that was missed', async () => {
  const store = createMemoryStore({ nowMs: Date.now });
  const hub = busHub();
  const open = () =>
    openLedger({
      store,
      storeName: 'test',
      keyFingerprints: [hash(1)],
      nowMs: Date.now,
      bus: hub.join(),
      revocationPollMs: NEVER_MS,
    });
  const [one, two] = [await open(), await open()];
  await one.revoke(ALICE, 2_000_000_000);
  await eventually(
    () => two.isRevoked(ALICE),
    (revoked) => revoked,
  );
  await store.revoke(hash(7), 2_000_000_000);
  assert.equal(two.isRevoked(hash(7)), false);
  hub.tell({ kind: 'missed' });
  await eventually(
    () => one.isRevoked(hash(7)) && two.isRevoked(hash(7)),
    (revoked) => revoked,
  );
  await Promise.all([one.close(), two.close()]);
});

test('a revocation that the store does not know of is nobody’s: the message is no verdict', async () => {
  const store = createMemoryStore({ nowMs: Date.now });
  const asked: Promise<unknown>[] = [];
  const watched = {
    ...store,
    revocationsAfter: (sequence: number) => {
      const answer = store.revocationsAfter(sequence);
      asked.push(answer);
      return answer;
    },
  };
  const hub = busHub();
  const ledger = await openLedger({
    store: watched,
    storeName: 'test',
    keyFingerprints: [hash(1)],
    nowMs: Date.now,
    bus: hub.join(),
    revocationPollMs: NEVER_MS,
  });
  const before = asked.length;
  hub.tell({ kind: 'revoked', accountId: ALICE });
  await eventually(
    () => asked.length,
    (count) => count > before,
  );
  await Promise.all(asked);
  assert.equal(ledger.isRevoked(ALICE), false);
  await ledger.close();
});

function accountsOn(hub: BusHub) {
  const accounts = assembleAccounts({ nowMs: Date.now, bus: hub.join() });
  const heard: string[] = [];
  accounts.onCredited((accountId) => heard.push(`credited ${accountId}`));
  accounts.onSettled((paymentHash) => heard.push(`settled ${paymentHash}`));
  accounts.events.subscribe(ALICE, (event) =>
    heard.push(`event ${event === 'changed' ? event : event.kind}`),
  );
  return { accounts, heard };
}

test('a payment that is presented at one gateway is told once to each of the others, which do not pass it on', async () => {
  const hub = busHub();
  const [one, two, three] = [accountsOn(hub), accountsOn(hub), accountsOn(hub)];
  one.accounts.redeemed({ paymentHash: hash(1), accountId: ALICE });
  const all = [`settled ${hash(1)}`, `credited ${ALICE}`, 'event changed'];
  assert.deepEqual(one.heard, all);
  await eventually(
    () => [two.heard.length, three.heard.length],
    ([a, b]) => a === 3 && b === 3,
  );
  assert.deepEqual([two.heard, three.heard], [all, all]);
  assert.equal(hub.published.length, 1);
  assert.equal(two.accounts.countedPayments.has(hash(1)), true);
});

test('who is closed hears nothing more', async () => {
  const hub = busHub();
  const [one, two, three] = [accountsOn(hub), accountsOn(hub), accountsOn(hub)];
  two.accounts.close();
  one.accounts.redeemed({ paymentHash: hash(1), accountId: ALICE });
  await eventually(
    () => three.heard.length,
    (length) => length === 3,
  );
  assert.deepEqual(two.heard, []);
});

test('an invoice that is paid and presented elsewhere takes no place here, also when the node has no feed', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const simnet = createSimnet({ nowMs: Date.now });
  scene.keep({ close: async () => simnet.close() });
  const store = scene.keep(createMemoryStore({ nowMs: Date.now }));
  const hub = busHub();
  const wares = [{ price: '10 sat', upstream: upstream.origin }];
  const start = () => scene.gateway(wares, { store, simnet, bus: hub.join(), wrapNode: withoutFeed });
  const [one, two] = [await start(), await start()];
  const credential = await buy(one, '/quote');
  await askChallenge(`${one.url}/quote`);
  assert.equal(await metricOf(one, 'sluice_invoices_outstanding'), 2);
  assert.equal((await fetch(`${two.url}/quote`, withCredential(credential))).status, 200);
  await eventually(
    () => metricOf(one, 'sluice_invoices_outstanding'),
    (outstanding) => outstanding === 1,
  );
});
