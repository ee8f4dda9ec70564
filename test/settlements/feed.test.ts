import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { NodeError, type Settlement } from '../../node/node.ts';
import { eventually } from '../support/eventually.ts';
import { untilCredited } from '../support/top-up.ts';
import { ACCOUNT, openRig, withoutLookUps } from './rig.ts';

test('a settlement with an offer is credited as it happens, and its waiters are told', async (t) => {
  const rig = await openRig(t);
  rig.start({ node: withoutLookUps(rig.node) });
  const offer = await rig.offer();
  await rig.pay(offer.bolt11);
  const account = await untilCredited(rig.store, ACCOUNT, 6_000);
  assert.equal(account.balanceMsat, 6_000);
  assert.deepEqual(rig.settled, [offer.paymentHash]);
  assert.deepEqual(
    rig.credited.map(({ balanceMsat }) => balanceMsat),
    [6_000],
  );
});

test('a settlement without an offer credits nobody, and its waiters are told all the same', async (t) => {
  const rig = await openRig(t);
  rig.start();
  const { bolt11, paymentHash } = await rig.invoice();
  await rig.pay(bolt11);
  await eventually(() => rig.settled.includes(paymentHash), Boolean);
  await eventually(
    () => rig.store.settlementCursor(),
    (cursor) => cursor === 1,
  );
  assert.equal((await rig.account()).creditedMsat, 1_000);
  assert.equal((await rig.store.totals()).accounts, 1);
});

test('the cursor follows what was credited, and a new feed begins there', async (t) => {
  const rig = await openRig(t);
  const first = rig.start();
  for (let n = 0; n < 5; n += 1) await rig.pay((await rig.offer()).bolt11);
  await untilCredited(rig.store, ACCOUNT, 26_000);
  await first.close();
  assert.equal(await rig.store.settlementCursor(), 5);
  const asked: number[] = [];
  rig.start({
    node: {
      ...rig.node,
      settlements: (cursor, signal) => {
        asked.push(cursor);
        return rig.node.settlements(cursor, signal);
      },
    },
  });
  await rig.pay((await rig.offer()).bolt11);
  await untilCredited(rig.store, ACCOUNT, 31_000);
  // The last one is asked for once more: it proves that the node counts as it did.
  assert.deepEqual(asked, [4]);
  assert.equal((await rig.account()).creditedMsat, 31_000);
});

test('the cursor never passes a settlement that is not durably credited', async (t) => {
  const rig = await openRig(t);
  const offers = await Promise.all(Array.from({ length: 8 }, () => rig.offer()));
  for (const { bolt11 } of offers) await rig.pay(bolt11);
  const stuck = offers[2]?.paymentHash;
  let away = true;
  const cursors: number[] = [];
  rig.start({
    node: withoutLookUps(rig.node),
    ledger: {
      ...rig.store,
      settleOffer: (paymentHash, paidMsat) =>
        away && paymentHash === stuck
          ? Promise.reject(new StoreError('unavailable', 'the store is away'))
          : rig.store.settleOffer(paymentHash, paidMsat),
      advanceSettlementCursor: async (cursor) => {
        cursors.push(cursor);
        await rig.store.advanceSettlementCursor(cursor);
      },
    },
  });
  await eventually(
    () => cursors.at(-1),
    (cursor) => cursor === 2,
  );
  const reached = [...cursors];
  away = false;
  assert.ok(reached.every((cursor) => cursor <= 2));
  await untilCredited(rig.store, ACCOUNT, 1_000 + 8 * 5_000);
  await eventually(
    () => rig.store.settlementCursor(),
    (cursor) => cursor === 8,
  );
  assert.equal((await rig.account()).creditedMsat, 41_000);
});

test('duplicates, replays and events out of order change nothing', async (t) => {
  const rig = await openRig(t);
  const offers = await Promise.all(Array.from({ length: 6 }, () => rig.offer()));
  for (const { bolt11 } of offers) await rig.pay(bolt11, 5_003);
  const real: Settlement[] = [];
  for await (const settlement of rig.node.settlements(0, AbortSignal.timeout(5_000))) {
    real.push(settlement);
    if (real.length === offers.length) break;
  }
  const [a, b, c, d, e, f] = real;
  assert.ok(a && b && c && d && e && f);
  const muddled = [c, a, a, b, f, b, d, c, e, e, f, a, d];
  const hold = Promise.withResolvers<void>();
  t.after(() => hold.resolve());
  rig.start({
    node: {
      ...withoutLookUps(rig.node),
      async *settlements(_cursor, signal) {
        yield* muddled;
        signal.addEventListener('abort', () => hold.resolve(), { once: true });
        await hold.promise;
      },
    },
  });
  await untilCredited(rig.store, ACCOUNT, 1_000 + 6 * 5_003);
  await eventually(
    () => rig.settled.length,
    (seen) => seen === muddled.length,
  );
  assert.equal((await rig.account()).creditedMsat, 1_000 + 6 * 5_003);
  const balances = rig.credited.map(({ creditedMsat }) => creditedMsat);
  assert.deepEqual(
    balances,
    balances.toSorted((one, other) => one - other),
    'who waits for credit is told at each',
  );
});

test('a payment that came while nothing listened is found by the look-up, whatever the cursor says', async (t) => {
  const rig = await openRig(t);
  const offer = await rig.offer();
  await rig.pay(offer.bolt11, 5_500);
  // As if the cursor had been written for a settlement that was never credited.
  await rig.store.advanceSettlementCursor(1);
  rig.start();
  const account = await untilCredited(rig.store, ACCOUNT, 6_500);
  assert.equal(account.creditedMsat, 6_500);
});

test('the look-up goes through many pages, side by side but bounded, and drops what the node calls expired or cancelled', async (t) => {
  const rig = await openRig(t);
  const offers = await Promise.all(Array.from({ length: 450 }, () => rig.offer()));
  const paid = offers.filter((_, index) => index % 3 === 0);
  const cancelled = offers.filter((_, index) => index % 3 === 1);
  for (const { bolt11 } of paid) await rig.pay(bolt11);
  for (const { paymentHash } of cancelled) await rig.node.cancelInvoice(paymentHash);
  await rig.store.advanceSettlementCursor(paid.length);
  let underWay = 0;
  let most = 0;
  rig.start({
    node: {
      ...rig.node,
      lookupInvoice: async (paymentHash, options) => {
        underWay += 1;
        most = Math.max(most, underWay);
        await new Promise((resolve) => setImmediate(resolve));
        underWay -= 1;
        return rig.node.lookupInvoice(paymentHash, options);
      },
    },
  });
  await untilCredited(rig.store, ACCOUNT, 1_000 + paid.length * 5_000);
  const left = await eventually(
    () => rig.store.openOffers('', 1_000),
    (open) => open.length === 150,
  );
  assert.ok(left.every(({ paymentHash }) => !cancelled.some((one) => one.paymentHash === paymentHash)));
  assert.ok(most > 1 && most <= 8, `${most} at once`);
  assert.equal((await rig.account()).creditedMsat, 1_000 + paid.length * 5_000);
});

test('an expired offer goes when the node says so, and stays while the node does not know its invoice', async (t) => {
  const rig = await openRig(t);
  const [expired, lost] = [await rig.offer(), await rig.offer()];
  rig.clock.ms += 601_000;
  rig.start({
    node: {
      ...rig.node,
      lookupInvoice: async (paymentHash, options) =>
        paymentHash === lost.paymentHash ? undefined : rig.node.lookupInvoice(paymentHash, options),
    },
  });
  const open = await eventually(
    () => rig.store.openOffers('', 10),
    (offers) => offers.length < 2,
  );
  assert.deepEqual(
    open.map(({ paymentHash }) => paymentHash),
    [lost.paymentHash],
  );
  assert.notEqual(expired.paymentHash, lost.paymentHash);
});

test('one invoice that the node chokes on does not keep the others from being credited', async (t) => {
  const rig = await openRig(t);
  const offers = await Promise.all(Array.from({ length: 20 }, () => rig.offer()));
  for (const { bolt11 } of offers) await rig.pay(bolt11);
  await rig.store.advanceSettlementCursor(20);
  const bad = new Set(offers.slice(0, 3).map(({ paymentHash }) => paymentHash));
  let failing = true;
  rig.start({
    node: {
      ...rig.node,
      lookupInvoice: async (paymentHash, options) => {
        if (failing && bad.has(paymentHash)) throw new NodeError('protocol', 'what is this?');
        return rig.node.lookupInvoice(paymentHash, options);
      },
    },
  });
  await untilCredited(rig.store, ACCOUNT, 1_000 + 17 * 5_000);
  failing = false;
  await untilCredited(rig.store, ACCOUNT, 1_000 + 20 * 5_000);
});

test('a node that counts anew is noticed: it is said, and everything is read and looked up again', async (t) => {
  const rig = await openRig(t);
  // Another node, or an older copy of it, counted up to 40.
  await rig.store.advanceSettlementCursor(40);
  const before = await rig.offer();
  await rig.pay(before.bolt11);
  let offline = true;
  rig.start({
    node: {
      ...rig.node,
      // Nothing is looked up while the feed is silent, so that it is the notice which makes the difference.
      lookupInvoice: async (paymentHash, options) => {
        // That it answers at all it shows by a hash that is none.
        if (offline && !/^0+$/.test(paymentHash)) throw new NodeError('unreachable', 'not yet');
        return rig.node.lookupInvoice(paymentHash, options);
      },
    },
  });
  await untilCredited(rig.store, ACCOUNT, 6_000);
  assert.match(rig.logged(), /restored from an older copy, or replaced/);
  offline = false;
  const after = await rig.offer();
  await rig.pay(after.bolt11);
  await untilCredited(rig.store, ACCOUNT, 11_000);
  assert.equal((await rig.account()).creditedMsat, 11_000);
  assert.equal(await rig.store.settlementCursor(), 40);
});

test('what the books refuse is said once and does not stand in the way', async (t) => {
  const rig = await openRig(t);
  const [broken, good] = [await rig.offer(), await rig.offer()];
  await rig.pay(broken.bolt11);
  await rig.pay(good.bolt11);
  rig.start({
    node: withoutLookUps(rig.node),
    ledger: {
      ...rig.store,
      settleOffer: (paymentHash, paidMsat) =>
        paymentHash === broken.paymentHash
          ? Promise.reject(new StoreError('invalid', 'the account would hold too much'))
          : rig.store.settleOffer(paymentHash, paidMsat),
    },
  });
  await untilCredited(rig.store, ACCOUNT, 6_000);
  await eventually(
    () => rig.store.settlementCursor(),
    (cursor) => cursor === 2,
  );
  assert.match(
    rig.logged(),
    new RegExp(`can not be credited.*${broken.paymentHash}|${broken.paymentHash}.*can not be credited`),
  );
  assert.equal((await rig.store.openOffers('', 10)).length, 1);
});

test('less than was asked for is not credited', async (t) => {
  const rig = await openRig(t);
  const offer = await rig.offer();
  rig.start({
    node: {
      ...rig.node,
      lookupInvoice: async () => ({
        kind: 'settled',
        preimage: '00'.repeat(32),
        paidMsat: msat(4_999),
        settledAtSec: 1,
      }),
    },
  });
  await eventually(() => /less than its invoice asked for/.test(rig.logged()), Boolean);
  assert.equal((await rig.account()).creditedMsat, 1_000);
  assert.equal((await rig.store.openOffers('', 10))[0]?.paymentHash, offer.paymentHash);
});

test('a node without a feed is asked again and again', async (t) => {
  const rig = await openRig(t);
  const feed = rig.start({
    node: {
      ...rig.node,
      capabilities: { ...rig.node.capabilities, settlementFeed: false },
      settlements: () => assert.fail('there is no feed'),
    },
    timing: { pollEveryMs: 2 },
  });
  const offer = await rig.offer();
  await rig.pay(offer.bolt11);
  await untilCredited(rig.store, ACCOUNT, 6_000);
  assert.equal(feed.connected(), true);
});

test('a feed over a store that is away waits for it', async (t) => {
  const rig = await openRig(t);
  const offer = await rig.offer();
  await rig.pay(offer.bolt11);
  let away = true;
  const guard = async <T>(verb: () => Promise<T>): Promise<T> => {
    if (away) throw new StoreError('unavailable', 'the store is away');
    return verb();
  };
  let tries = 0;
  rig.start({
    ledger: {
      ...rig.store,
      settlementCursor: () => {
        tries += 1;
        return guard(() => rig.store.settlementCursor());
      },
      openOffers: (after, limit) => guard(() => rig.store.openOffers(after, limit)),
      settleOffer: (paymentHash, paidMsat) => guard(() => rig.store.settleOffer(paymentHash, paidMsat)),
    },
  });
  await eventually(
    () => tries,
    (seen) => seen > 2,
  );
  away = false;
  await untilCredited(rig.store, ACCOUNT, 6_000);
});

test('the gauges say whether the feed stands, how late it is, and what is open', async (t) => {
  const rig = await openRig(t);
  const open = await rig.offer();
  const late = await rig.offer();
  await rig.pay(late.bolt11);
  rig.clock.ms += 90_000;
  const feed = rig.start();
  await untilCredited(rig.store, ACCOUNT, 6_000);
  await eventually(
    async () => (await rig.metrics.scrape()).body,
    (body) => /sluice_top_ups_open 1\n/.test(body),
  );
  const { body } = await rig.metrics.scrape();
  assert.match(body, /sluice_settlement_feed_connected 1\n/);
  assert.match(body, /sluice_settlement_lag_seconds (9\d|9\d\.\d+)\n/);
  rig.simnet.configure({ offline: true });
  await eventually(
    () => feed.connected(),
    (connected) => !connected,
  );
  assert.match((await rig.metrics.scrape()).body, /sluice_settlement_feed_connected 0\n/);
  assert.ok(open);
});

test('closing ends a feed at once, whatever it was doing, and what it had credited is written down', async (t) => {
  const rig = await openRig(t);
  const waiting = rig.start({ timing: { cursorEveryMs: 60_000 } });
  await rig.pay((await rig.offer()).bolt11);
  await untilCredited(rig.store, ACCOUNT, 6_000);
  await eventually(() => waiting.connected(), Boolean);
  await waiting.close();
  assert.equal(await rig.store.settlementCursor(), 1);
  rig.simnet.configure({ offline: true });
  const pausing = rig.start({ timing: { firstPauseMs: 60_000, maxPauseMs: 60_000 } });
  await new Promise((resolve) => setImmediate(resolve));
  await pausing.close();
  await pausing.close();
});

test('two gateways on one store credit a payment once, and both tell their streams', async (t) => {
  const rig = await openRig(t);
  const told = [0, 0];
  for (const index of [0, 1]) {
    rig.start({
      onCredited: () => {
        told[index] = (told[index] ?? 0) + 1;
      },
    });
  }
  for (let n = 0; n < 10; n += 1) await rig.pay((await rig.offer()).bolt11);
  await eventually(
    () => told,
    ([one = 0, other = 0]) => one >= 10 && other >= 10,
  );
  assert.equal((await rig.account()).creditedMsat, 51_000);
  const { body } = await rig.metrics.scrape();
  assert.match(body, /sluice_earned_msat_total\{service="quote"\} 50000\n/);
});
