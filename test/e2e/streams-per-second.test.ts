import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { msat } from '../../node/msat.ts';
import { ask, rawClient } from '../proxy/wire.ts';
import { eventually } from '../support/eventually.ts';
import {
  credentialFor,
  isWithoutGap,
  numbersIn,
  openShop,
  paidSince,
  SSE,
  STORES,
  settled,
  statusOf,
  tick,
} from './streams-scene.ts';

/* 10 sat a second is 10 msat a millisecond: what was billed can be read as time. */

const PRICE = '10 sat/second';

// They wait for most of their time: together.
describe('streams charged by the second', { concurrency: 3 }, () => {
  for (const store of STORES) {
    test(`an event stream is billed for the time of its delivery, its last slice in part (${store})`, async (t) => {
      const shop = await openShop(t, { price: PRICE, store });
      const credential = await credentialFor(shop);
      const opening = shop.open(credential);
      const { res } = await shop.asked();
      const fromMs = performance.now();
      res.writeHead(200, SSE);
      const ticking = tick(res);
      const stream = await opening;
      await stream.until(/data: 30\n\n/);
      res.end();
      ticking.stop();
      assert.equal(await stream.end, 'whole');
      const line = await shop.untilEnded();
      const tookMs = performance.now() - fromMs;
      const account = await settled(shop.store, credential);
      assert.equal(account.spentMsat, line.billedMsat);
      // Seconds as a fraction: 0.679 times 10,000 is a little more than 6,790.
      assert.equal(line.billedMsat, Math.round(line.deliveredUnits * 1_000) * 10);
      const billedMs = line.billedMsat / 10;
      assert.ok(billedMs <= tookMs, `${billedMs} of ${tookMs}`);
      // A tick that comes late gives away the time that it is late by.
      assert.ok(billedMs + line.heldMs >= tookMs / 2, `${billedMs} of ${tookMs}`);
      isWithoutGap(numbersIn(stream.text()));
      assert.equal(stream.response.headers['x-accel-buffering'], 'no');
      assert.equal(line.cutBy, undefined);
    });

    test(`a client that leaves in the middle of a slice pays for what it had (${store})`, async (t) => {
      const shop = await openShop(t, {
        price: PRICE,
        store,
        metering: { sliceMs: 60_000, depositMsat: msat(1_000_000) },
      });
      const credential = await credentialFor(shop);
      const opening = shop.open(credential);
      const { res, gone } = await shop.asked();
      const fromMs = performance.now();
      res.writeHead(200, SSE);
      tick(res);
      const stream = await opening;
      await stream.until(/data: 10\n/);
      stream.leave();
      await gone;
      const line = await shop.untilEnded();
      const { spentMsat } = await settled(shop.store, credential);
      assert.equal(spentMsat, line.billedMsat);
      // Of a slice of a minute, not the minute; and not less than the client saw.
      assert.ok(spentMsat / 10 <= paidSince(fromMs));
      const [first] = stream.arrivals;
      const seenMs = (stream.arrivals.at(-1)?.atMs ?? 0) - (first?.atMs ?? 0);
      assert.ok(seenMs > 100 && spentMsat / 10 >= seenMs - 5, `${spentMsat} for ${seenMs}`);
    });

    test(`an upstream that breaks off in the middle of a stream: the client sees it, the rest of the slice comes back (${store})`, async (t) => {
      const shop = await openShop(t, {
        price: PRICE,
        store,
        metering: { sliceMs: 60_000, depositMsat: msat(1_000_000) },
      });
      const credential = await credentialFor(shop);
      const opening = shop.open(credential);
      const { res } = await shop.asked();
      const fromMs = performance.now();
      res.writeHead(200, SSE);
      tick(res);
      const stream = await opening;
      await stream.until(/data: 5\n/);
      res.destroy();
      assert.equal(await stream.end, 'broken');
      const { spentMsat } = await settled(shop.store, credential);
      assert.ok(spentMsat > 0 && spentMsat / 10 <= paidSince(fromMs), String(spentMsat));
    });
  }

  test('the time until the upstream answers costs nothing', async (t) => {
    const shop = await openShop(t, { price: PRICE });
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res, atMs } = await shop.asked();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const fromMs = performance.now();
    assert.ok(fromMs - atMs >= 490);
    res.writeHead(200, SSE).write('data: 1\n\n');
    const stream = await opening;
    await stream.until(/data: 1\n/);
    res.end();
    await stream.end;
    const { spentMsat } = await settled(shop.store, credential);
    assert.ok(spentMsat / 10 <= paidSince(fromMs), String(spentMsat));
  });

  test('a long poll is charged from the request on when the service says so', async (t) => {
    const shop = await openShop(t, { price: PRICE, metering: { chargeFrom: 'request', sliceMs: 5_000 } });
    const credential = await credentialFor(shop);
    const fromMs = performance.now();
    const opening = shop.open(credential);
    const { res, atMs } = await shop.asked();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const waitedMs = performance.now() - atMs;
    res.writeHead(200, { 'Content-Length': 100_000 }).end('x'.repeat(100_000));
    const poll = await opening;
    assert.equal(await poll.end, 'whole');
    await shop.untilEnded();
    const { spentMsat } = await settled(shop.store, credential);
    assert.ok(spentMsat / 10 <= performance.now() - fromMs);
    assert.ok(spentMsat / 10 >= waitedMs - 5, `${spentMsat} for ${waitedMs}`);
  });

  test('a long poll whose client leaves while it waits is charged for the wait, and the upstream is told', async (t) => {
    const shop = await openShop(t, { price: PRICE, metering: { chargeFrom: 'request' } });
    const credential = await credentialFor(shop);
    const client = await rawClient(
      Number(new URL(shop.gateway.url).port),
      `GET /quote HTTP/1.1\r\nHost: x\r\nAuthorization: ${credential}\r\n\r\n`,
    );
    const { gone } = await shop.asked();
    client.socket.destroy();
    await gone;
    const line = await shop.untilEnded();
    assert.equal((await settled(shop.store, credential)).spentMsat, line.billedMsat);
  });

  test('chunked answers of any kind are charged by the second, and stay as they are', async (t) => {
    const shop = await openShop(t, { price: PRICE });
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res } = await shop.asked();
    res.writeHead(200, { 'Content-Type': 'application/octet-stream' }).write('first');
    const stream = await opening;
    await stream.until(/first/);
    res.end('last');
    assert.equal(await stream.end, 'whole');
    assert.equal(stream.text(), 'firstlast');
    assert.ok((await settled(shop.store, credential)).spentMsat > 0);
  });

  test('an upstream that fails, or answers with a status that is not charged, costs nothing', async (t) => {
    const shop = await openShop(t, { price: PRICE });
    const credential = await credentialFor(shop);
    for (const status of [500, 503, 429]) {
      const asking = ask(`${shop.gateway.url}/quote`, { headers: { authorization: credential } });
      const { res } = await shop.asked();
      res.writeHead(status).end('no');
      const answer = await asking;
      assert.deepEqual([answer.status, answer.headers['l402-balance-msat']], [status, '100000']);
    }
    const asking = ask(`${shop.gateway.url}/quote`, { headers: { authorization: credential } });
    (await shop.asked()).req.socket.destroy();
    // A safe request is sent once more.
    (await shop.asked()).req.socket.destroy();
    const failed = await asking;
    assert.deepEqual([failed.status, failed.headers['l402-balance-msat']], [502, '100000']);
    assert.equal((await settled(shop.store, credential)).spentMsat, 0);
  });

  test('an account has no more streams at once than it may; the place of one that ended is free', async (t) => {
    const shop = await openShop(t, { price: PRICE, metering: { maxStreams: 2 } });
    const credential = await credentialFor(shop);
    const opening = [shop.open(credential), shop.open(credential)];
    for (const _ of opening) (await shop.asked()).res.writeHead(200, SSE).write('data: 1\n\n');
    const [first] = await Promise.all(opening);
    assert.deepEqual(await statusOf(shop.gateway, credential), [429, 'too-many-streams']);
    first?.leave();
    await shop.untilEnded();
    const third = shop.open(credential);
    (await shop.asked()).res.writeHead(200, SSE).write('data: 1\n\n');
    assert.equal((await third).response.statusCode, 200);
  });

  for (const store of STORES) {
    test(`charged once, all streams of an account together cost the time of one (${store})`, async (t) => {
      const shop = await openShop(t, { price: PRICE, store, metering: { charge: 'once', maxStreams: 3 } });
      const credential = await credentialFor(shop);
      const fromMs = performance.now();
      const opening = [1, 2, 3].map(() => shop.open(credential));
      for (const _ of opening) {
        const { res } = await shop.asked();
        res.writeHead(200, SSE);
        tick(res);
      }
      const streams = await Promise.all(opening);
      assert.deepEqual(await statusOf(shop.gateway, credential), [429, 'too-many-streams']);
      for (const stream of streams) await stream.until(/data: 20\n/);
      for (const stream of streams) stream.leave();
      await shop.untilEnded(3);
      const tookMs = performance.now() - fromMs;
      const { spentMsat } = await settled(shop.store, credential);
      assert.ok(spentMsat / 10 <= tookMs, `${spentMsat} in ${tookMs}`);
      const billed = shop.ended().reduce((sum, line) => sum + line.billedMsat, 0);
      assert.equal(billed, spentMsat);
      const delivered = shop.ended().reduce((sum, line) => sum + line.deliveredUnits, 0);
      assert.ok(delivered * 10_000 > 2 * spentMsat, `${delivered} s delivered`);
    });

    test(`two streams race for the last second: together they get what there is, and no more (${store})`, async (t) => {
      const shop = await openShop(t, {
        price: PRICE,
        store,
        metering: { depositMsat: msat(10_000), holdMs: 0 },
      });
      const credential = await credentialFor(shop);
      const opening = [shop.open(credential), shop.open(credential)];
      for (const _ of opening) {
        const { res } = await shop.asked();
        res.writeHead(200, SSE);
        tick(res);
      }
      const streams = await Promise.all(opening);
      for (const stream of streams) await stream.end;
      await shop.untilEnded(2);
      const { spentMsat, balanceMsat } = await settled(shop.store, credential);
      assert.equal(spentMsat + balanceMsat, 10_000);
      const [a, b] = shop.ended();
      assert.equal((a?.billedMsat ?? 0) + (b?.billedMsat ?? 0), spentMsat);
      assert.deepEqual([a?.cutBy, b?.cutBy], ['unpaid', 'unpaid']);
      for (const stream of streams) assert.match(stream.text(), /event: session-timeout\n/);
    });
  }

  test('a long poll whose upstream fails costs nothing, however long it took to fail', async (t) => {
    const shop = await openShop(t, { price: PRICE, metering: { chargeFrom: 'request', sliceMs: 100 } });
    const credential = await credentialFor(shop);
    const asking = ask(`${shop.gateway.url}/quote`, { headers: { authorization: credential } });
    const { res } = await shop.asked();
    // Several slices are billed meanwhile: they are told as what is left, too.
    await new Promise((resolve) => setTimeout(resolve, 700));
    res.writeHead(503).end('no');
    const answer = await asking;
    assert.deepEqual([answer.status, answer.headers['l402-balance-msat']], [503, '100000']);
    await shop.untilEnded();
    const { balanceMsat } = await eventually(
      () => settled(shop.store, credential),
      ({ spentMsat }) => spentMsat === 0,
    );
    assert.equal(balanceMsat, 100_000);
  });
});
