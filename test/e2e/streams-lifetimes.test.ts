import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { type Store, StoreError } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { eventually } from '../support/eventually.ts';
import { appended, termsOf } from './scene.ts';
import {
  credentialFor,
  metricOf,
  openShop,
  revoke,
  SSE,
  STORES,
  settled,
  statusOf,
  tick,
} from './streams-scene.ts';

/* Nothing outlives what was paid for: not the account, not the credential, not the lease. */

const PRICE = '10 sat/second';

for (const store of STORES) {
  test(`a revoked account loses its streams within a second, and the credential opens none (${store})`, async (t) => {
    const shop = await openShop(t, { price: PRICE, store });
    const credential = await credentialFor(shop);
    const streams = [];
    for (const headers of [SSE, { 'Content-Type': 'video/mp4' }]) {
      const opening = shop.open(credential);
      const { res } = await shop.asked();
      res.writeHead(200, headers);
      tick(res);
      streams.push(await opening);
    }
    const fromMs = performance.now();
    await revoke(shop.gateway, credential);
    assert.deepEqual(await Promise.all(streams.map(({ end }) => end)), ['whole', 'broken']);
    assert.ok(performance.now() - fromMs < 3_000);
    assert.match(streams[0]?.text() ?? '', /event: session-timeout\ndata: .*"cutBy":"revoked"/);
    await shop.untilEnded(2);
    assert.deepEqual(
      shop.ended().map(({ cutBy }) => cutBy),
      ['revoked', 'revoked'],
    );
    const { spentMsat } = await settled(shop.store, credential);
    assert.equal(
      spentMsat,
      shop.ended().reduce((sum, { billedMsat }) => sum + billedMsat, 0),
    );
    assert.equal((await statusOf(shop.gateway, credential))[0], 402);
    assert.equal(await metricOf(shop.gateway, 'sluice_stream_cuts_total'), 2);
  });
}

test('a metered stream ends with the credential that opened it, however narrowed, though the account has credit', async (t) => {
  const shop = await openShop(t, { price: PRICE });
  const credential = await credentialFor(shop);
  const nowSec = Math.floor(shop.gateway.clock.ms / 1000);
  const narrowed = appended(credential, `quote_valid_until=${nowSec + 60}`);
  const opening = shop.open(narrowed);
  const { res, gone } = await shop.asked();
  res.writeHead(200, SSE);
  tick(res);
  const stream = await opening;
  await stream.until(/data: 5\n/);
  shop.gateway.clock.ms += 60_000;
  assert.equal(await stream.end, 'whole');
  await gone;
  assert.match(stream.text(), /event: session-timeout\ndata: .*"cutBy":"expired"/);
  assert.equal((await shop.untilEnded()).cutBy, 'expired');
  const { balanceMsat } = await settled(shop.store, credential);
  assert.ok(balanceMsat > 0);
  // The one that was not narrowed goes on.
  const again = shop.open(credential);
  (await shop.asked()).res.writeHead(200, SSE).write('data: 1\n\n');
  assert.equal((await again).response.statusCode, 200);
});

test('a long poll that is revoked or runs out before its answer is reset, and its upstream is told', async (t) => {
  for (const end of ['revoked', 'unpaid'] as const) {
    const shop = await openShop(t, {
      price: PRICE,
      metering: { chargeFrom: 'request', holdMs: 0, depositMsat: msat(end === 'unpaid' ? 3_000 : 100_000) },
    });
    const credential = await credentialFor(shop);
    const opening = assert.rejects(shop.open(credential));
    const { gone } = await shop.asked();
    if (end === 'revoked') await revoke(shop.gateway, credential);
    await opening;
    await gone;
    const line = await shop.untilEnded();
    assert.equal(line.cutBy, end);
    assert.equal((await settled(shop.store, credential)).spentMsat, line.billedMsat);
    assert.equal(shop.upstream.seen.length, 1);
  }
});

for (const [price, what] of [
  ['10 sat for 10m', 'a pass'],
  ['10 sat', 'one call'],
  ['100 sat for 10 calls', 'a call of a bundle'],
] as const) {
  test(`a long answer that ${what} paid for breaks off when the credential ends`, async (t) => {
    const shop = await openShop(t, { price });
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res, gone } = await shop.asked();
    res.writeHead(200, SSE);
    tick(res);
    const stream = await opening;
    await stream.until(/data: 3\n/);
    shop.gateway.clock.ms = termsOf(credential).validUntilSec * 1000;
    assert.equal(await stream.end, 'broken');
    await gone;
  });
}

test('a metered stream ends with the credit of its account, and what was left expires', async (t) => {
  const clock = { ms: Date.now() };
  const store = createMemoryStore({ nowMs: () => clock.ms });
  const shop = await openShop(t, { price: PRICE, validForSec: 3_600 }, { store, clock });
  const credential = await credentialFor(shop);
  // Not further away than a lease lives.
  clock.ms = termsOf(credential).validUntilSec * 1000 - 5_000;
  const opening = shop.open(credential);
  const { res } = await shop.asked();
  res.writeHead(200, SSE);
  tick(res);
  const stream = await opening;
  await stream.until(/data: 3\n/);
  clock.ms = termsOf(credential).validUntilSec * 1000;
  assert.equal(await stream.end, 'whole');
  assert.match(stream.text(), /"cutBy":"expired"/);
  await store.purge();
  const { expiredMsat, balanceMsat } = await settled(shop.store, credential);
  assert.ok(expiredMsat > 0);
  assert.equal(balanceMsat, 0);
});

/** A store whose leases can't be renewed for a while: nothing arrives, or the answer is lost. */
function deafStore(): { readonly store: Store; weather: 'fine' | 'deaf' | 'mute' } {
  const real = createMemoryStore({ nowMs: Date.now });
  const state = {
    weather: 'fine' as 'fine' | 'deaf' | 'mute',
    store: {
      ...real,
      async commit(...args: Parameters<Store['commit']>) {
        if (state.weather === 'deaf') throw new StoreError('unavailable', 'deaf');
        const outcomes = await real.commit(...args);
        if (state.weather === 'mute') throw new StoreError('unavailable', 'mute');
        return outcomes;
      },
    },
  };
  return state;
}

for (const weather of ['deaf', 'mute'] as const) {
  test(`a store that is ${weather} for a while: nothing leaves beyond what was set aside, nothing is charged twice, and it goes on`, async (t) => {
    const weak = deafStore();
    const shop = await openShop(t, { price: PRICE }, { store: weak.store });
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res } = await shop.asked();
    const fromMs = performance.now();
    res.writeHead(200, SSE);
    const ticking = tick(res);
    const stream = await opening;
    await stream.until(/data: 5\n/);
    weak.weather = weather;
    const before = stream.arrivals.length;
    // Held as soon as the slices at hand are used up.
    await eventually(
      () => performance.now() - (stream.arrivals.at(-1)?.atMs ?? 0),
      (silentMs) => silentMs > 300,
    );
    assert.ok(stream.arrivals.length >= before);
    assert.doesNotMatch(stream.text(), /payment-need-topup/, 'there is money');
    weak.weather = 'fine';
    const at = stream.arrivals.length;
    await eventually(
      () => stream.arrivals.length,
      (length) => length > at + 5,
    );
    ticking.stop();
    res.end();
    assert.equal(await stream.end, 'whole');
    const line = await shop.untilEnded();
    assert.ok(line.heldMs >= 200);
    const { spentMsat } = await settled(shop.store, credential);
    assert.equal(spentMsat, line.billedMsat);
    assert.ok(spentMsat / 10 <= performance.now() - fromMs - line.heldMs + 1, `${spentMsat}, ${line.heldMs}`);
  });
}

test('a lease that the store has given back ends its stream: nothing is served on it', async (t) => {
  const clock = { ms: Date.now() };
  const store = createMemoryStore({ nowMs: () => clock.ms });
  const shop = await openShop(t, { price: PRICE, metering: { depositMsat: msat(50_000) } }, { store, clock });
  const credential = await credentialFor(shop);
  const opening = shop.open(credential);
  const { res, gone } = await shop.asked();
  res.writeHead(200, { 'Content-Type': 'video/mp4' });
  tick(res);
  const stream = await opening;
  await stream.until(/data: 3\n/);
  // The store’s clock jumps over the end of the lease; somebody purges.
  clock.ms += 60_000;
  await store.purge();
  assert.equal(await stream.end, 'broken');
  await gone;
  const line = await shop.untilEnded();
  assert.equal(line.cutBy, 'lease-lost');
  const { spentMsat, balanceMsat } = await settled(shop.store, credential);
  assert.equal(spentMsat, line.billedMsat);
  assert.equal(spentMsat + balanceMsat, 50_000);
});

test('a gateway that stops ends its streams, settles them, and gives the rest back', async (t) => {
  const shop = await openShop(t, {
    price: PRICE,
    metering: { sliceMs: 60_000, depositMsat: msat(1_000_000) },
  });
  const credential = await credentialFor(shop);
  const opening = shop.open(credential);
  const { res } = await shop.asked();
  res.writeHead(200, SSE);
  tick(res);
  const stream = await opening;
  await stream.until(/data: 3\n/);
  await shop.gateway.gateway.stop();
  await stream.end;
  const { spentMsat, reservedMsat } = await settled(shop.store, credential);
  assert.equal(reservedMsat, 0);
  assert.ok(spentMsat > 0 && spentMsat < 30_000, String(spentMsat));
});
