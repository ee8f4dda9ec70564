import assert from 'node:assert/strict';
import http, { type ServerResponse } from 'node:http';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { msat } from '../../node/msat.ts';
import { ask, rawClient, TEST_LIMITS } from '../proxy/wire.ts';
import { eventually } from '../support/eventually.ts';
import { portOf } from './scene.ts';
import {
  credentialFor,
  metricOf,
  openShop,
  type Shop,
  STORES,
  settled,
  statusOf,
  topUp,
} from './streams-scene.ts';

/* 1 msat a byte: what was billed can be read as bytes. */

const PRICE = '1000 msat/KB';
const DEPOSIT = 100_000;
const METERING = { depositMsat: msat(DEPOSIT) };

/** Asks for the service whole, while the test plays its upstream. */
async function fetchWhole(
  shop: Shop,
  credential: string,
  answer: (res: ServerResponse) => void,
  options: http.RequestOptions = {},
  body?: Buffer,
) {
  const asking = ask(
    `${shop.gateway.url}/quote`,
    { ...options, headers: { ...options.headers, authorization: credential } },
    body,
  );
  asking.catch(() => {});
  const { req, res } = await shop.asked();
  await eventually(
    () => req.readableEnded,
    (ended) => ended,
  );
  answer(res);
  return asking;
}

for (const store of STORES) {
  test(`a file is charged by its bytes, and what was set aside beyond them comes back (${store})`, async (t) => {
    const shop = await openShop(t, { price: PRICE, store, metering: METERING });
    const credential = await credentialFor(shop);
    const file = Buffer.alloc(12_345, 'x');
    const answer = await fetchWhole(shop, credential, (res) => {
      res.writeHead(200, { 'Content-Length': file.length }).end(file);
    });
    assert.deepEqual([answer.status, answer.body.length], [200, 12_345]);
    const { spentMsat, balanceMsat } = await settled(shop.store, credential);
    assert.deepEqual([spentMsat, balanceMsat], [12_345, DEPOSIT - 12_345]);
    assert.equal((await shop.untilEnded()).deliveredUnits, 12_345);
  });

  test(`a file that costs more than there is: 402, not a byte of it, and nothing is charged (${store})`, async (t) => {
    const shop = await openShop(t, { price: PRICE, store, metering: METERING });
    const credential = await credentialFor(shop);
    const answer = await fetchWhole(shop, credential, (res) => {
      res.on('error', () => {});
      res.writeHead(200, { 'Content-Length': DEPOSIT + 1 }).write('SECRET');
    });
    assert.equal(answer.status, 402);
    assert.doesNotMatch(answer.body.toString(), /SECRET/);
    assert.equal((await settled(shop.store, credential)).spentMsat, 0);
    const fits = await fetchWhole(shop, credential, (res) => {
      res.writeHead(200, { 'Content-Length': DEPOSIT }).end(Buffer.alloc(DEPOSIT));
    });
    assert.equal(fits.body.length, DEPOSIT);
    const { spentMsat, balanceMsat } = await settled(shop.store, credential);
    assert.deepEqual([spentMsat, balanceMsat], [DEPOSIT, 0]);
  });

  test(`the 402 for a file asks for what the account lacks, and its payment gets the file (${store})`, async (t) => {
    const shop = await openShop(t, { price: PRICE, store, metering: METERING });
    const credential = await credentialFor(shop);
    const whole = (res: ServerResponse) => {
      res.on('error', () => {});
      res.writeHead(200, { 'Content-Length': 4 * DEPOSIT }).end(Buffer.alloc(4 * DEPOSIT));
    };
    const refused = await fetchWhole(shop, credential, whole);
    assert.equal(refused.status, 402);
    const { amountMsat, invoice, macaroon } = JSON.parse(refused.body.toString());
    assert.equal(amountMsat, 3 * DEPOSIT);
    const bought = `L402 ${macaroon}:${await shop.gateway.pay(invoice)}`;
    const answer = await fetchWhole(shop, bought, whole);
    assert.deepEqual([answer.status, answer.body.length], [200, 4 * DEPOSIT]);
    const { spentMsat, balanceMsat } = await settled(shop.store, credential);
    assert.deepEqual([spentMsat, balanceMsat], [4 * DEPOSIT, 0]);
  });

  test(`a chunked answer stops at the last chunk that is paid for; the one beyond never leaves (${store})`, async (t) => {
    const shop = await openShop(t, { price: PRICE, store, metering: { ...METERING, holdMs: 300 } });
    const credential = await credentialFor(shop);
    const opening = shop.open(credential);
    const { res, gone } = await shop.asked();
    res.writeHead(200);
    // One after the other, so that each is a chunk of its own at the gateway.
    const stream = opening.then(async (listening) => {
      for (let sent = 0; sent < 9; sent += 1) {
        res.write(Buffer.alloc(10_000, String(sent)));
        await eventually(listening.bytes, (bytes) => bytes === (sent + 1) * 10_000);
      }
      res.write(Buffer.alloc(10_001, '!'));
      return listening;
    });
    res.flushHeaders();
    const listening = await stream;
    assert.equal(await listening.end, 'broken');
    await gone;
    assert.equal(listening.bytes(), 90_000);
    const { spentMsat, balanceMsat } = await settled(shop.store, credential);
    assert.deepEqual([spentMsat, balanceMsat], [90_000, 10_000]);
    assert.equal((await shop.untilEnded()).cutBy, 'unpaid');
  });

  test(`held for want of money, an answer goes on after the top-up, byte for byte (${store})`, async (t) => {
    const shop = await openShop(t, { price: PRICE, store, metering: METERING });
    const credential = await credentialFor(shop);
    const whole = Buffer.from(Array.from({ length: 250_000 }, (_, at) => at % 251));
    const opening = shop.open(credential);
    const { res } = await shop.asked();
    res.writeHead(200).end(whole);
    const listening = await opening;
    await eventually(
      () => metricOf(shop.gateway, 'sluice_stream_holds_total'),
      (holds) => holds === 1,
    );
    assert.ok(listening.bytes() <= DEPOSIT);
    await topUp(shop.gateway, credential, 1_000_000);
    assert.equal(await listening.end, 'whole');
    assert.equal(listening.text(), whole.toString('latin1'));
    assert.equal((await settled(shop.store, credential)).spentMsat, whole.length);
  });
}

test('what leaves compressed is charged as it leaves, and a range by the range', async (t) => {
  const shop = await openShop(t, { price: PRICE, metering: METERING });
  const credential = await credentialFor(shop);
  const plain = Buffer.alloc(80_000, 'text ');
  const packed = gzipSync(plain);
  const answer = await fetchWhole(shop, credential, (res) => {
    res.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': packed.length }).end(packed);
  });
  assert.deepEqual(gunzipSync(answer.body), plain);
  assert.equal((await settled(shop.store, credential)).spentMsat, packed.length);
  const range = await fetchWhole(
    shop,
    credential,
    (res) => {
      res.writeHead(206, { 'Content-Range': 'bytes 10-19/5000000', 'Content-Length': 10 }).end('0123456789');
    },
    { headers: { range: 'bytes=10-19' } },
  );
  assert.deepEqual([range.status, range.headers['content-range']], [206, 'bytes 10-19/5000000']);
  assert.equal(shop.upstream.seen[1]?.headers.range, 'bytes=10-19');
  assert.equal((await settled(shop.store, credential)).spentMsat, packed.length + 10);
});

test('a HEAD, and an answer that has no body, say how long a file is and cost nothing, however dear it is', async (t) => {
  const shop = await openShop(t, { price: PRICE, metering: METERING });
  const credential = await credentialFor(shop);
  const head = await fetchWhole(
    shop,
    credential,
    (res) => res.writeHead(200, { 'Content-Length': 5_000_000 }).end(),
    { method: 'HEAD' },
  );
  assert.deepEqual([head.status, head.headers['content-length']], [200, '5000000']);
  const unchanged = await fetchWhole(shop, credential, (res) =>
    res.writeHead(304, { 'Content-Length': 5_000_000, ETag: '"a"' }).end(),
  );
  assert.equal(unchanged.status, 304);
  assert.equal((await settled(shop.store, credential)).spentMsat, 0);
});

for (const [count, up, down] of [
  ['request', 1, 0],
  ['both', 1, 1],
  ['response', 0, 1],
] as const) {
  test(`an upload is charged when ${count} is counted, chunked or not`, async (t) => {
    const shop = await openShop(t, { price: PRICE, metering: { ...METERING, count } });
    const body = Buffer.alloc(20_000, 'u');
    const credential = await credentialFor(shop, '/quote', { method: 'POST' });
    const cost = up * body.length + down * 500;
    for (const [at, headers] of [
      [1, { 'content-length': body.length }],
      [2, { 'transfer-encoding': 'chunked' }],
    ] as const) {
      const answer = await fetchWhole(
        shop,
        credential,
        (res) => res.writeHead(200).end(Buffer.alloc(500)),
        { method: 'POST', headers },
        body,
      );
      assert.equal(answer.status, 200);
      assert.equal((await settled(shop.store, credential)).spentMsat, at * cost);
      assert.equal(shop.upstream.seen[at - 1]?.body.length, body.length);
    }
  });
}

test('an upload of known length that costs more than there is reaches nobody', async (t) => {
  const shop = await openShop(t, { price: PRICE, metering: { ...METERING, count: 'request' } });
  const credential = await credentialFor(shop, '/quote', { method: 'POST' });
  const client = await rawClient(
    portOf(shop.gateway),
    `POST /quote HTTP/1.1\r\nHost: x\r\nAuthorization: ${credential}\r\nContent-Length: ${DEPOSIT + 1}\r\nExpect: 100-continue\r\n\r\n`,
  );
  await client.until('HTTP/1.1 402');
  assert.doesNotMatch(client.text(), /100 Continue/);
  client.socket.destroy();
  assert.equal(shop.upstream.seen.length, 0);
  assert.equal((await settled(shop.store, credential)).spentMsat, 0);
});

test('an upload that runs out of money stops before the upstream, and is reset after the hold', async (t) => {
  const shop = await openShop(t, { price: PRICE, metering: { ...METERING, count: 'request', holdMs: 300 } });
  const credential = await credentialFor(shop, '/quote', { method: 'POST' });
  const request = http.request(`${shop.gateway.url}/quote`, {
    agent: false,
    method: 'POST',
    headers: { authorization: credential, 'transfer-encoding': 'chunked' },
  });
  t.after(() => request.destroy());
  const broken = new Promise((resolve) => request.once('error', resolve));
  request.write(Buffer.alloc(300_000, 'u'));
  const { req, gone } = await shop.asked();
  req.on('error', () => {});
  await broken;
  await gone;
  const bytes = shop.upstream.seen[0]?.body.length ?? 0;
  const { spentMsat } = await settled(shop.store, credential);
  assert.ok(bytes <= spentMsat && spentMsat <= DEPOSIT, `${bytes} bytes for ${spentMsat}`);
  assert.equal((await shop.untilEnded()).cutBy, 'unpaid');
});

test('an upload that is held for longer than an upstream may be idle goes on after the top-up, whole', async (t) => {
  const idleTimeoutMs = 300;
  const shop = await openShop(t, {
    price: PRICE,
    metering: { ...METERING, count: 'request' },
    idleTimeoutMs,
  });
  const credential = await credentialFor(shop, '/quote', { method: 'POST' });
  const body = Buffer.from(Array.from({ length: 250_000 }, (_, at) => at % 251));
  const asking = ask(
    `${shop.gateway.url}/quote`,
    { method: 'POST', headers: { authorization: credential, 'transfer-encoding': 'chunked' } },
    body,
  );
  asking.catch(() => {});
  const { req, res } = await shop.asked();
  const arrived = () => shop.upstream.seen[0]?.body ?? '';
  await eventually(arrived, ({ length }) => length > 30_000);
  await eventually(
    () => metricOf(shop.gateway, 'sluice_stream_holds_total'),
    (holds) => holds === 1,
  );
  assert.ok(arrived().length <= DEPOSIT);
  const heldAtMs = performance.now();
  await eventually(
    () => performance.now() - heldAtMs,
    (heldMs) => heldMs > 4 * idleTimeoutMs,
  );
  await topUp(shop.gateway, credential, 1_000_000);
  await eventually(
    () => req.readableEnded,
    (ended) => ended,
  );
  res.writeHead(200).end('thanks');
  assert.equal((await asking).status, 200);
  assert.equal(arrived(), body.toString('latin1'));
  assert.equal((await settled(shop.store, credential)).spentMsat, body.length);
});

test('what a slow reader does not take is not billed, and it is cut when it takes nothing for too long', async (t) => {
  const shop = await openShop(
    t,
    { price: '1 msat/KB', metering: { depositMsat: msat(1_000_000) } },
    {
      config: {
        limits: { ...TEST_LIMITS, clientIdleTimeoutMs: 500 },
      },
    },
  );
  const credential = await credentialFor(shop);
  const client = await rawClient(
    portOf(shop.gateway),
    `GET /quote HTTP/1.1\r\nHost: x\r\nAuthorization: ${credential}\r\n\r\n`,
  );
  client.socket.pause();
  const { res, gone } = await shop.asked();
  res.writeHead(200, { 'Content-Length': 200_000_000 });
  let written = 0;
  const write = () => {
    do written += 65_536;
    while (!res.destroyed && res.write(Buffer.alloc(65_536)));
  };
  res.on('drain', write);
  write();
  await gone;
  const line = await shop.untilEnded();
  await settled(shop.store, credential);
  // The rest stands in the buffers of the kernel, on loopback a few MB.
  assert.ok(written < 100_000_000, String(written));
  assert.ok(line.deliveredUnits <= written, `${line.deliveredUnits} of ${written}`);
  client.socket.destroy();
});

test('an empty answer, and an account that is empty', async (t) => {
  const shop = await openShop(t, { price: PRICE, metering: { depositMsat: msat(2_000), holdMs: 0 } });
  const credential = await credentialFor(shop);
  const empty = await fetchWhole(shop, credential, (res) => res.writeHead(204).end());
  assert.equal(empty.status, 204);
  assert.equal((await settled(shop.store, credential)).spentMsat, 0);
  await fetchWhole(shop, credential, (res) =>
    res.writeHead(200, { 'Content-Length': 2_000 }).end(Buffer.alloc(2_000)),
  );
  assert.equal((await settled(shop.store, credential)).balanceMsat, 0);
  assert.equal((await statusOf(shop.gateway, credential))[0], 402);
  assert.equal(shop.upstream.seen.length, 2);
});
