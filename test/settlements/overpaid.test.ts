import assert from 'node:assert/strict';
import { test } from 'node:test';
import { msat } from '../../node/msat.ts';
import type { Settlement } from '../../node/node.ts';
import { eventually } from '../support/eventually.ts';
import { openRig, type Rig } from './rig.ts';

const BUYER = 'bb'.repeat(32);

function claimOf(rig: Rig, paymentHash: string, creditMsat = 5_000) {
  const expiresAtSec = Math.floor(rig.clock.ms / 1000) + 86_400;
  return { paymentHash, accountId: BUYER, service: 'quote', creditMsat: msat(creditMsat), expiresAtSec };
}

async function balance(rig: Rig): Promise<number | undefined> {
  return (await rig.store.account(BUYER))?.balanceMsat;
}

function outcomes(rig: Rig): Promise<string | undefined> {
  const excess = /^sluice_settlements_total\{outcome="excess"\} (\d+)$/m;
  return rig.metrics.scrape().then(({ body }) => excess.exec(body)?.[1]);
}

test('what a challenge brought above its invoice is credited when its credential is presented, once, by all feeds', async (t) => {
  const rig = await openRig(t);
  rig.start();
  rig.start();
  const { paymentHash, bolt11 } = await rig.invoice();
  await rig.pay(bolt11, 8_000);
  await eventually(
    () => rig.settled.filter((hash) => hash === paymentHash).length,
    (seen) => seen >= 2,
  );
  assert.equal(await balance(rig), undefined, 'nobody has an account yet');
  await rig.store.redeem(claimOf(rig, paymentHash));
  await eventually(
    () => balance(rig),
    (now) => now === 8_000,
  );
  await eventually(
    () => outcomes(rig),
    (count) => count === '1',
  );
  assert.equal(rig.credited.filter(({ accountId }) => accountId === BUYER).length, 1);
});

test('also when the credential came before the feed', async (t) => {
  const rig = await openRig(t);
  const { paymentHash, bolt11 } = await rig.invoice();
  await rig.pay(bolt11, 10_000);
  await rig.store.redeem(claimOf(rig, paymentHash));
  rig.start();
  await eventually(
    () => balance(rig),
    (now) => now === 10_000,
  );
});

test('a pass has no balance that it could go to, and a payment of somebody else stays his', async (t) => {
  const rig = await openRig(t);
  rig.start();
  const [pass, foreign, next] = [await rig.invoice(), await rig.invoice(), await rig.invoice()];
  await rig.store.redeem(claimOf(rig, pass.paymentHash, 0));
  for (const { bolt11 } of [pass, foreign, next]) await rig.pay(bolt11, 6_000);
  await rig.store.redeem(claimOf(rig, next.paymentHash));
  await eventually(
    () => balance(rig),
    (now) => now === 6_000,
  );
  assert.equal(await outcomes(rig), '1');
  const totals = await rig.store.totals();
  assert.equal(totals.creditedMsat, 1_000 + 6_000);
});

test('the store that fails is asked again', async (t) => {
  const rig = await openRig(t);
  let failures = 3;
  const ledger = new Proxy(rig.store, {
    get: (target, name) => {
      const verb: unknown = Reflect.get(target, name, target);
      if (name !== 'credit' || typeof verb !== 'function') return verb;
      return (...args: unknown[]): unknown => {
        failures -= 1;
        return failures >= 0 ? Promise.reject(new Error('down')) : Reflect.apply(verb, target, args);
      };
    },
  });
  rig.start({ ledger });
  const { paymentHash, bolt11 } = await rig.invoice();
  await rig.pay(bolt11, 7_000);
  await rig.store.redeem(claimOf(rig, paymentHash));
  await eventually(
    () => balance(rig),
    (now) => now === 7_000,
  );
});

test('a payment without an invoice of an amount, as anybody may send one, is not waited for', async (t) => {
  const rig = await openRig(t);
  const asked = new Set<string>();
  const ledger = new Proxy(rig.store, {
    get: (target, name) => {
      const verb: unknown = Reflect.get(target, name, target);
      if (name !== 'paymentEntries' || typeof verb !== 'function') return verb;
      return (hashes: readonly string[]): unknown => {
        for (const hash of hashes) asked.add(hash);
        return Reflect.apply(verb, target, [hashes]);
      };
    },
  });
  const settlement = (cursor: number, invoiceMsat: number): Settlement => ({
    cursor,
    paymentHash: String(cursor).repeat(64),
    preimage: 'ab'.repeat(32),
    invoiceMsat: msat(invoiceMsat),
    paidMsat: msat(7_000),
    settledAtSec: Math.floor(rig.clock.ms / 1000),
  });
  const node = new Proxy(rig.node, {
    get: (target, name) =>
      name === 'settlements'
        ? async function* (_cursor: number, signal: AbortSignal) {
            yield settlement(1, 0);
            yield settlement(2, 5_000);
            await new Promise((resolve) => signal.addEventListener('abort', resolve));
          }
        : Reflect.get(target, name, target),
  });
  rig.start({ node, ledger });
  await eventually(
    () => asked.size,
    (size) => size > 0,
  );
  assert.deepEqual([...asked], ['2'.repeat(64)]);
});
