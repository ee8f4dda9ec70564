import assert from 'node:assert/strict';
import { test } from 'node:test';
import { msat } from '../../node/msat.ts';
import { ask } from '../proxy/wire.ts';
import { credentialFor, openShop, settled } from './streams-scene.ts';

/* A price a second says nothing of a file that is there at once: it is paced, refused, or let go on purpose. */

const PRICE = '10 sat/second';
const FILE = Buffer.alloc(300_000, 'f');

test('a whole file at a price a second is refused, and costs nothing', async (t) => {
  const shop = await openShop(t, { price: PRICE });
  const credential = await credentialFor(shop);
  const asking = ask(`${shop.gateway.url}/quote`, { headers: { authorization: credential } });
  const { res, gone } = await shop.asked();
  res.on('error', () => {});
  res.writeHead(200, { 'Content-Length': FILE.length }).end(FILE);
  const answer = await asking;
  await gone;
  assert.equal(answer.status, 502);
  assert.match(answer.body.toString(), /"code":"upstream-unpaced"/);
  assert.equal((await settled(shop.store, credential)).spentMsat, 0);
});

test('with allowBurst it passes as fast as it can', async (t) => {
  const shop = await openShop(t, { price: PRICE, metering: { allowBurst: true } });
  const credential = await credentialFor(shop);
  const asking = ask(`${shop.gateway.url}/quote`, { headers: { authorization: credential } });
  (await shop.asked()).res.writeHead(200, { 'Content-Length': FILE.length }).end(FILE);
  assert.equal((await asking).body.length, FILE.length);
  assert.ok((await settled(shop.store, credential)).spentMsat < 5_000);
});

test('what is short, has no length, or is only asked about with HEAD passes', async (t) => {
  const shop = await openShop(t, { price: PRICE });
  const credential = await credentialFor(shop);
  const headers = { authorization: credential };
  const short = ask(`${shop.gateway.url}/quote`, { headers });
  (await shop.asked()).res.writeHead(200, { 'Content-Length': 500 }).end(Buffer.alloc(500));
  assert.equal((await short).status, 200);
  const chunked = ask(`${shop.gateway.url}/quote`, { headers });
  (await shop.asked()).res.writeHead(200).end(FILE);
  assert.equal((await chunked).body.length, FILE.length);
  const head = ask(`${shop.gateway.url}/quote`, { method: 'HEAD', headers });
  (await shop.asked()).res.writeHead(200, { 'Content-Length': FILE.length }).end();
  assert.deepEqual([(await head).status, (await head).headers['content-length']], [200, String(FILE.length)]);
});

for (const length of ['known', 'unknown'] as const) {
  test(`a paced file of ${length} length leaves at its pace, and is charged for the time of it`, async (t) => {
    const paceBytesPerSec = 400_000;
    const shop = await openShop(t, { price: PRICE, metering: { paceBytesPerSec } });
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res } = await shop.asked();
    const fromMs = performance.now();
    res.writeHead(200, length === 'known' ? { 'Content-Length': FILE.length } : {}).end(FILE);
    const stream = await opening;
    assert.equal(await stream.end, 'whole');
    const tookMs = performance.now() - fromMs;
    assert.equal(stream.bytes(), FILE.length);
    // All but what may leave at once, and the last chunk's own time.
    const leastMs = ((FILE.length - 100_000 - 65_536) * 1_000) / paceBytesPerSec;
    assert.ok(tookMs >= leastMs, `${tookMs}`);
    let bytes = 0;
    for (const arrival of stream.arrivals) {
      bytes += arrival.bytes;
      const allowed = 100_000 + 65_536 + ((arrival.atMs - fromMs) * paceBytesPerSec) / 1_000;
      assert.ok(bytes <= allowed, `${bytes} bytes after ${arrival.atMs - fromMs} ms`);
    }
    const line = await shop.untilEnded();
    const { spentMsat } = await settled(shop.store, credential);
    assert.ok(spentMsat / 10 <= performance.now() - fromMs);
    assert.ok(spentMsat / 10 + line.heldMs >= leastMs / 2);
  });
}

test('a paced file whose money runs out is reset: it never looks complete', async (t) => {
  const shop = await openShop(t, {
    price: PRICE,
    metering: { paceBytesPerSec: 200_000, depositMsat: msat(3_000), holdMs: 0 },
  });
  const credential = await credentialFor(shop);
  const opening = shop.open(credential);
  (await shop.asked()).res
    .on('error', () => {})
    .writeHead(200, { 'Content-Length': FILE.length })
    .end(FILE);
  const stream = await opening;
  assert.equal(await stream.end, 'broken');
  assert.ok(stream.bytes() < FILE.length);
  assert.equal((await settled(shop.store, credential)).spentMsat, 3_000);
});
