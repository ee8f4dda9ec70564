import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { msat } from '../../node/msat.ts';
import { TEST_LIMITS } from '../proxy/wire.ts';
import { eventually } from '../support/eventually.ts';
import { withCredential } from '../support/gateway.ts';
import { askTopUp } from '../support/top-up.ts';
import { termsOf } from './scene.ts';
import {
  credentialFor,
  isWithoutGap,
  type Listening,
  metricOf,
  numbersIn,
  openShop,
  SSE,
  STORES,
  settled,
  statusOf,
  tick,
  topUp,
} from './streams-scene.ts';

/* 10 sat a second is 10 msat a millisecond. A deposit of 5 sat lasts for half a second. */

const PRICE = '10 sat/second';
const HALF_A_SECOND = { depositMsat: msat(5_000) };
/** What a busy machine may see of a moment later than it was. */
const SLACK_MS = 600;

interface Notice {
  readonly type: string;
  readonly balanceMsat: number;
  readonly neededMsat: number;
  readonly holdMs: number;
  readonly cutBy?: string;
}

/** The gateway's own events in a stream. */
function noticesIn(text: string): Notice[] {
  return [...text.matchAll(/^event: (?:payment|session)-\S+\ndata: (.*)$/gm)].map(([, data = '']) =>
    JSON.parse(data),
  );
}

/** Bytes as fast as they are taken, from the moment that the head was sent. */
function flood(res: ServerResponse): () => number {
  const piece = Buffer.alloc(1_000, 'x');
  let written = 0;
  const timer = setInterval(() => {
    if (res.writableNeedDrain) return;
    written += piece.length;
    res.write(piece);
  }, 5);
  res.once('close', () => clearInterval(timer));
  return () => written;
}

function lastByteAt(stream: Listening): number {
  return stream.arrivals.at(-1)?.atMs ?? 0;
}

// They wait for most of their time: together.
describe('streams whose money runs out', { concurrency: 3 }, () => {
  for (const store of STORES) {
    test(`an event stream that runs out asks for a top-up, waits, and goes on without a lost event (${store})`, async (t) => {
      const shop = await openShop(t, { price: PRICE, store, metering: HALF_A_SECOND });
      const credential = await credentialFor(shop);
      const opening = shop.open(credential);
      const { res } = await shop.asked();
      res.writeHead(200, SSE);
      const ticking = tick(res);
      const stream = await opening;
      const held = await stream.until(/payment-need-topup/);
      const bytes = stream.bytes();
      const [asking] = noticesIn(held);
      assert.deepEqual(
        [asking?.type, asking?.balanceMsat, asking?.neededMsat, asking?.holdMs],
        ['payment-need-topup', 0, 2_000, 10_000],
      );
      const atHold = ticking.count();
      await eventually(ticking.count, (count) => count > atHold + 10);
      assert.equal(stream.bytes(), bytes, 'nothing passes while it is held');
      assert.equal((await shop.store.account(termsOf(credential).accountId))?.spentMsat, 5_000);
      await topUp(shop.gateway, credential, 20_000);
      await stream.until(/payment-resumed/);
      const resumedAt = ticking.count();
      await eventually(
        () => numbersIn(stream.text()).at(-1) ?? 0,
        (last) => last > resumedAt + 10,
      );
      ticking.stop();
      res.end();
      assert.equal(await stream.end, 'whole');
      isWithoutGap(numbersIn(stream.text()));
      assert.equal(numbersIn(stream.text()).length, ticking.count());
      const line = await shop.untilEnded();
      assert.ok(line.heldMs >= 200);
      const account = await settled(shop.store, credential);
      assert.equal(account.creditedMsat, 25_000);
      assert.equal(account.spentMsat, line.billedMsat);
      assert.equal(await metricOf(shop.gateway, 'sluice_stream_holds_total'), 1);
    });

    test(`not topped up, an event stream ends with session-timeout, and all that was paid was served (${store})`, async (t) => {
      const shop = await openShop(t, { price: PRICE, store, metering: { ...HALF_A_SECOND, holdMs: 400 } });
      const credential = await credentialFor(shop);
      const opening = shop.open(credential);
      const { res, gone } = await shop.asked();
      res.writeHead(200, SSE);
      tick(res);
      const stream = await opening;
      assert.equal(await stream.end, 'whole');
      await gone;
      const notices = noticesIn(stream.text());
      assert.deepEqual(
        notices.map(({ type }) => type),
        ['payment-need-topup', 'session-timeout'],
      );
      assert.equal(notices[1]?.cutBy, 'unpaid');
      assert.match(stream.text(), /event: session-timeout\ndata: .*\n\n$/);
      const { spentMsat, balanceMsat } = await settled(shop.store, credential);
      assert.deepEqual([spentMsat, balanceMsat], [5_000, 0]);
      assert.equal((await shop.untilEnded()).cutBy, 'unpaid');
      assert.equal((await fetch(`${shop.gateway.url}/quote`, withCredential(credential))).status, 402);
    });
  }

  test('no unpaid byte leaves: plain HTTP falls silent when the money is used up, and is reset after the hold', async (t) => {
    for (const holdMs of [0, 700]) {
      const shop = await openShop(t, { price: PRICE, metering: { ...HALF_A_SECOND, holdMs } });
      const credential = await credentialFor(shop);
      const opening = shop.open(credential);
      const { res } = await shop.asked();
      const fromMs = performance.now();
      res.writeHead(200, { 'Content-Type': 'application/octet-stream' });
      const written = flood(res);
      const stream = await opening;
      assert.equal(await stream.end, 'broken');
      const endMs = performance.now();
      const line = await shop.untilEnded();
      assert.equal(line.cutBy, 'unpaid');
      assert.equal(line.billedMsat, 5_000);
      const deliveredMs = lastByteAt(stream) - fromMs;
      assert.ok(deliveredMs <= 500 + (line.heldMs - holdMs) + SLACK_MS, `bytes for ${deliveredMs} ms`);
      assert.ok(endMs - lastByteAt(stream) > holdMs / 2, 'silent while it is held');
      assert.ok(stream.bytes() < written() || holdMs === 0, 'the upstream had more to say');
      assert.equal((await settled(shop.store, credential)).spentMsat, 5_000);
    }
  });

  test('a stream that no money was left for is not opened', async (t) => {
    const shop = await openShop(t, { price: PRICE, metering: { ...HALF_A_SECOND, holdMs: 0 } });
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res } = await shop.asked();
    res.writeHead(200, SSE).write('data: 1\n\n');
    await (await opening).end;
    await settled(shop.store, credential);
    assert.equal((await statusOf(shop.gateway, credential))[0], 402);
    assert.equal(shop.upstream.seen.length, 1);
  });

  test('the holder is warned inside the stream before the credit is used up, once', async (t) => {
    const shop = await openShop(t, {
      price: PRICE,
      metering: { depositMsat: msat(12_000), warnMs: 600, holdMs: 0 },
    });
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res } = await shop.asked();
    res.writeHead(200, SSE);
    tick(res);
    const stream = await opening;
    await stream.end;
    const types = noticesIn(stream.text()).map(({ type }) => type);
    assert.deepEqual(
      types.filter((type) => type !== 'payment-need-topup'),
      ['payment-low', 'session-timeout'],
    );
    const [low] = noticesIn(stream.text()) as (Notice & { remainingMs: number })[];
    assert.ok(low !== undefined && low.remainingMs > 0 && low.remainingMs <= 600);
  });

  test('a stream is not cut between the pieces of an event: a torn event is a reset, never a clean end', async (t) => {
    const shop = await openShop(t, { price: PRICE, metering: { ...HALF_A_SECOND, holdMs: 0 } });
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res } = await shop.asked();
    res.writeHead(200, SSE).write('data: whole\n\ndata: ha');
    const stream = await opening;
    assert.equal(await stream.end, 'broken');
    assert.equal(stream.text(), 'data: whole\n\ndata: ha');
  });

  test('an upstream that ends while its stream is held is delivered whole after the top-up', async (t) => {
    const shop = await openShop(t, { price: PRICE, metering: HALF_A_SECOND });
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res } = await shop.asked();
    res.writeHead(200, SSE);
    const ticking = tick(res);
    const stream = await opening;
    await stream.until(/payment-need-topup/);
    ticking.stop();
    res.end('data: the end\n\n');
    await topUp(shop.gateway, credential, 10_000);
    assert.equal(await stream.end, 'whole');
    assert.match(stream.text(), /data: the end\n\n$/);
    isWithoutGap(numbersIn(stream.text()));
    await settled(shop.store, credential);
  });

  test('a client that leaves while it is held pays for no moment of the hold', async (t) => {
    const shop = await openShop(t, { price: PRICE, metering: HALF_A_SECOND });
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res, gone } = await shop.asked();
    res.writeHead(200, SSE);
    tick(res);
    const stream = await opening;
    await stream.until(/payment-need-topup/);
    stream.leave();
    await gone;
    await shop.untilEnded();
    await topUp(shop.gateway, credential, 3_000);
    await eventually(
      () => shop.store.account(termsOf(credential).accountId),
      (account) => account?.creditedMsat === 8_000,
    );
    const { spentMsat, balanceMsat } = await settled(shop.store, credential);
    assert.deepEqual([spentMsat, balanceMsat], [5_000, 3_000]);
  });

  test('a top-up that is paid at the very moment of the cut either saves the stream or stays on the account, whole', async (t) => {
    const holdMs = 400;
    const shop = await openShop(t, { price: PRICE, metering: { ...HALF_A_SECOND, holdMs } });
    const ends = [-60, -30, -10, 0, 10, 30, 60].map(async (offsetMs) => {
      const credential = await credentialFor(shop);
      const opening = shop.open(credential);
      const { res } = await shop.asked();
      res.writeHead(200, SSE).write('data: 1\n\n');
      const stream = await opening;
      await stream.until(/payment-need-topup/);
      const made = await askTopUp(shop.gateway.url, credential, { amountMsat: 1_000_000 });
      const untilCutMs = holdMs + offsetMs - (performance.now() - lastByteAt(stream));
      await wait(untilCutMs);
      await shop.gateway.pay(made.invoice);
      const text = await stream.until(/payment-resumed|session-timeout/);
      const resumed = text.includes('payment-resumed');
      if (resumed) {
        await wait(50);
        assert.doesNotMatch(stream.text(), /session-timeout/);
        stream.leave();
      } else assert.equal(await stream.end, 'whole');
      await eventually(
        () => shop.store.account(termsOf(credential).accountId),
        (account) => account?.creditedMsat === 1_005_000,
      );
      const { spentMsat } = await settled(shop.store, credential);
      if (resumed) assert.ok(spentMsat > 5_000);
      else assert.equal(spentMsat, 5_000);
      return resumed;
    });
    await Promise.all(ends);
  });

  test('a credential for the same account that is presented anew does not disturb a held stream, and its credit resumes it', async (t) => {
    const shop = await openShop(t, { price: PRICE, metering: HALF_A_SECOND });
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res } = await shop.asked();
    res.writeHead(200, SSE);
    tick(res);
    const stream = await opening;
    await stream.until(/payment-need-topup/);
    // The 402 of a spent credential sells onto the same account: no feed tells of it, only its presentation.
    const refused = await fetch(`${shop.gateway.url}/quote`, withCredential(credential));
    const { macaroon, invoice }: { macaroon: string; invoice: string } = await refused.json();
    const bought = `L402 ${macaroon}:${await shop.gateway.pay(invoice)}`;
    assert.equal(termsOf(bought).accountId, termsOf(credential).accountId);
    assert.doesNotMatch(stream.text(), /payment-resumed/);
    await fetch(`${shop.gateway.url}/.l402/account`, withCredential(bought));
    await stream.until(/payment-resumed/);
    stream.leave();
    await settled(shop.store, bought);
  });

  test('a hold may be longer than client and upstream may be idle: both have nothing to say while it lasts', async (t) => {
    const shop = await openShop(
      t,
      { price: PRICE, idleTimeoutMs: 400, metering: HALF_A_SECOND },
      { config: { limits: { ...TEST_LIMITS, clientIdleTimeoutMs: 400 } } },
    );
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res } = await shop.asked();
    res.writeHead(200, SSE);
    const ticking = tick(res, 100);
    const stream = await opening;
    await stream.until(/payment-need-topup/);
    await wait(1_500);
    await topUp(shop.gateway, credential, 50_000);
    await stream.until(/payment-resumed/);
    const resumedAt = ticking.count();
    await eventually(
      () => numbersIn(stream.text()).at(-1) ?? 0,
      (last) => last > resumedAt + 3,
    );
    isWithoutGap(numbersIn(stream.text()));
    stream.leave();
    await settled(shop.store, credential);
  });

  test('charged once, the streams of an account run out together, and one top-up lets all of them go on', async (t) => {
    const shop = await openShop(t, { price: PRICE, metering: { ...HALF_A_SECOND, charge: 'once' } });
    const credential = await credentialFor(shop);
    const opening = [1, 2, 3].map(() => shop.open(credential));
    for (const _ of opening) {
      const { res } = await shop.asked();
      res.writeHead(200, SSE);
      tick(res);
    }
    const streams = await Promise.all(opening);
    for (const stream of streams) await stream.until(/payment-need-topup/);
    assert.equal((await statusOf(shop.gateway, credential))[0], 402, 'none joins those that wait');
    await topUp(shop.gateway, credential, 50_000);
    for (const stream of streams) await stream.until(/payment-resumed/);
    const lasts = streams.map((stream) => numbersIn(stream.text()).length);
    await eventually(
      () => streams.map((stream) => numbersIn(stream.text()).length),
      (now) => now.every((length, at) => length > (lasts[at] ?? 0) + 5),
    );
    for (const stream of streams) isWithoutGap(numbersIn(stream.text()));
    for (const stream of streams) stream.leave();
    await shop.untilEnded(3);
    await settled(shop.store, credential);
  });
});
