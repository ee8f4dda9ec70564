import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import { decodeInvoice } from '../../node/bolt11.ts';
import { msat } from '../../node/msat.ts';
import type { LightningNode, Payer } from '../../node/node.ts';
import { openScene, termsOf } from '../e2e/scene.ts';
import {
  isWithoutGap,
  numbersIn,
  openShop,
  SSE,
  settled,
  statusOf,
  tick,
  topUp,
} from '../e2e/streams-scene.ts';
import { testConfig } from '../support/config.ts';
import { eventually } from '../support/eventually.ts';
import { askChallenge, buy, type TestGatewayOptions, withCredential } from '../support/gateway.ts';
import { askTopUp, untilCredited } from '../support/top-up.ts';
import { clientOf, openRealNetwork, type RealNetwork } from './bench.ts';

/*
 * A whole gateway that is paid in real channels.
 */

let network: RealNetwork;
let node: LightningNode & Payer;
let payer: Payer;

before(async () => {
  network = await openRealNetwork();
  node = clientOf(network.merchant, 'invoice', { concurrency: 64 });
  payer = clientOf(network.customer, 'admin');
});

after(async () => {
  await Promise.all([node.close(), payer.close()]);
  await network.close();
});

/** A gateway on the merchant's node, paid from the customer's, on the machine's clock. */
function onLnd(options: TestGatewayOptions = {}): TestGatewayOptions {
  const clock = {
    get ms() {
      return Date.now();
    },
  };
  return { wrapNode: () => node, payer, clock, ...options };
}

/** The merchant's node, whose invoices are asked for at one of its interfaces. */
function sellingOver(t: TestContext, invoices: 'REST' | 'gRPC'): () => LightningNode {
  if (invoices === 'REST') return () => node;
  const { grpcUrl } = network.merchant;
  const seller = clientOf(network.merchant, 'invoice', { grpcUrl, concurrency: 64 });
  t.after(() => seller.close());
  return () => seller;
}

async function openStall(t: TestContext, price: string, options: TestGatewayOptions = {}) {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const wares = [{ upstream: upstream.origin, price }];
  return { scene, upstream, wares, gateway: await scene.gateway(wares, onLnd(options)) };
}

test('a call is paid for and served, once', async (t) => {
  const { gateway, upstream } = await openStall(t, '10 sat');
  const credential = await buy(gateway, '/quote');
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credential))).status, 200);
  const { reason } = await askChallenge(`${gateway.url}/quote`, withCredential(credential));
  assert.match(reason, /balance|spent|credit/);
  assert.equal(upstream.seen.length, 1);
});

test('a bundle serves as many calls as were bought', async (t) => {
  const { gateway, upstream } = await openStall(t, '20 sat for 4 calls');
  const credential = await buy(gateway, '/quote');
  const statuses: number[] = [];
  for (let call = 0; call < 5; call += 1) {
    const response = await fetch(`${gateway.url}/quote`, withCredential(credential));
    await response.text();
    statuses.push(response.status);
  }
  assert.deepEqual(statuses, [200, 200, 200, 200, 402]);
  assert.equal(upstream.seen.length, 4);
});

test('a pass serves any number of calls', async (t) => {
  const { gateway } = await openStall(t, '30 sat for 1h');
  const credential = await buy(gateway, '/quote');
  for (let call = 0; call < 5; call += 1) assert.deepEqual(await statusCode(gateway.url, credential), 200);
});

async function statusCode(url: string, credential: string): Promise<number> {
  const response = await fetch(`${url}/quote`, withCredential(credential));
  await response.text();
  return response.status;
}

test('an event stream runs out, is topped up from the other node, and goes on without a lost event', async (t) => {
  const shop = await openShop(
    t,
    { price: '10 sat/second', store: 'sqlite', metering: { depositMsat: msat(5_000) } },
    onLnd(),
  );
  const credential = await buy(shop.gateway, '/quote');
  const opening = shop.open(credential);
  const { res } = await shop.asked();
  res.writeHead(200, SSE);
  const ticking = tick(res);
  const stream = await opening;
  await stream.until(/payment-need-topup/);
  await topUp(shop.gateway, credential, 50_000);
  await stream.until(/payment-resumed/);
  ticking.stop();
  res.end();
  assert.equal(await stream.end, 'whole');
  isWithoutGap(numbersIn(stream.text()));
  const account = await settled(shop.store, credential);
  assert.equal(account.creditedMsat, 55_000);
  assert.equal(account.spentMsat, (await shop.untilEnded()).billedMsat);
});

test('a WebSocket is topped up from the other node while it is open', async (t) => {
  const scene = openScene(t);
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  server.on('connection', (socket) => {
    const timer = setInterval(() => socket.send('tick'), 20);
    socket.on('error', () => {});
    socket.on('close', () => clearInterval(timer));
  });
  scene.keep({
    close: async () => {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  const upstream = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const metering = { depositMsat: msat(5_000), sliceMs: 200, holdMs: 20_000 };
  const store = createMemoryStore({ nowMs: Date.now });
  const gateway = await scene.gateway([{ upstream, price: '10 sat/second', metering }], onLnd({ store }));
  const credential = await buy(gateway, '/quote');
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/quote`, {
    headers: { Authorization: credential },
  });
  scene.keep({ close: async () => socket.terminate() });
  let received = 0;
  socket.on('message', () => {
    received += 1;
  });
  await once(socket, 'open');
  const spent = async () => (await store.account(termsOf(credential).accountId))?.spentMsat ?? 0;
  await eventually(spent, (spentMsat) => spentMsat === 5_000);
  const atHold = received;
  await topUp(gateway, credential, 50_000);
  await eventually(
    () => received,
    (count) => count > atHold + 10,
  );
  socket.close(1000);
  await once(socket, 'close');
  const account = await settled(store, credential);
  assert.equal(account.creditedMsat, 55_000);
  assert.ok(account.spentMsat > 5_000 && account.spentMsat <= 55_000);
});

test('a top-up that is paid while the gateway is down is credited when it starts', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const wares = [{ upstream: upstream.origin, price: '10 sat' }];
  const folder = await scene.folder();
  const openStore = () =>
    openSqliteStore({ file: join(folder, 'store.db'), nowMs: Date.now, spendDurability: 'normal' });
  const first = await openStore();
  const before = await scene.gateway(wares, onLnd({ store: first, ledgerDir: folder }));
  const credential = await buy(before, '/quote');
  assert.equal(await statusCode(before.url, credential), 200);
  const made = await askTopUp(before.url, credential, { amountMsat: 40_000 });
  await before.stop();
  await first.close();
  await before.pay(made.invoice);
  const second = scene.keep(await openStore());
  const again = await scene.gateway(wares, onLnd({ store: second, ledgerDir: folder }));
  await untilCredited(second, made.accountId, 50_000);
  assert.equal(await statusCode(again.url, credential), 200);
});

for (const invoices of ['REST', 'gRPC'] as const) {
  test(`a stream outlives a restart of LND; challenges over ${invoices} answer 503 meanwhile, and recover by themselves`, async (t) => {
    const shop = await openShop(
      t,
      { price: '1 sat/second', metering: { depositMsat: msat(100_000) } },
      onLnd({ wrapNode: sellingOver(t, invoices) }),
    );
    const credential = await buy(shop.gateway, '/quote');
    const opening = shop.open(credential);
    const { res } = await shop.asked();
    res.writeHead(200, SSE);
    tick(res);
    const stream = await opening;
    await stream.until(/data: 5\n/);
    const made = await askTopUp(shop.gateway.url, credential, { amountMsat: 20_000 });
    await network.merchant.stop();
    const refused = await fetch(`${shop.gateway.url}/quote`);
    assert.equal(refused.status, 503);
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    await refused.text();
    const last = numbersIn(stream.text()).at(-1) ?? 0;
    await stream.until(new RegExp(`data: ${last + 10}\n`));
    await network.merchant.start();
    await network.ready();
    await eventually(
      async () => (await fetch(`${shop.gateway.url}/quote`)).status,
      (status) => status === 402,
    );
    await shop.gateway.pay(made.invoice);
    await untilCredited(shop.store, made.accountId, 120_000);
    res.end();
    assert.equal(await stream.end, 'whole');
    isWithoutGap(numbersIn(stream.text()));
  });
}

test('a challenge whose time is over takes no payment, and the next one does', async (t) => {
  const { challenge } = testConfig([]);
  const short = { config: { challenge: { ...challenge, invoiceExpirySec: 1 } } };
  const { gateway, scene, wares } = await openStall(t, '10 sat', short);
  const late = await askChallenge(`${gateway.url}/quote`);
  await eventually(
    () => node.lookupInvoice(late.paymentHash),
    (state) => state?.kind === 'expired',
  );
  const outcome = await payer.payInvoice(late.invoice, { maxFeeMsat: msat(0), timeoutMs: 10_000 });
  assert.ok(outcome.kind === 'failed' && /invoice expired/.test(outcome.reason), JSON.stringify(outcome));
  const patient = await scene.gateway(wares, onLnd());
  assert.equal(await statusCode(patient.url, await buy(patient, '/quote')), 200);
});

test('a challenge whose invoice was cancelled takes no payment', async (t) => {
  const { gateway } = await openStall(t, '10 sat');
  const challenge = await askChallenge(`${gateway.url}/quote`);
  await node.cancelInvoice(challenge.paymentHash);
  assert.deepEqual(await node.lookupInvoice(challenge.paymentHash), { kind: 'cancelled' });
  const outcome = await payer.payInvoice(challenge.invoice, { maxFeeMsat: msat(0), timeoutMs: 10_000 });
  assert.ok(outcome.kind === 'failed' && /the payee refused it/.test(outcome.reason));
});

test('what is paid above an invoice is credited too', async (t) => {
  const store = createMemoryStore({ nowMs: Date.now });
  const { gateway } = await openStall(t, '10 sat', { store });
  const credential = await buy(gateway, '/quote');
  assert.equal(await statusCode(gateway.url, credential), 200);
  const made = await askTopUp(gateway.url, credential, { amountMsat: 20_000 });
  const invoice = decodeInvoice(made.invoice);
  // With the invoice LND would pay exactly its amount: its parts are given one by one.
  const sent = network.customer.ask('POST', '/v2/router/send', {
    dest: Buffer.from(invoice.payee, 'hex').toString('base64'),
    payment_hash: Buffer.from(invoice.paymentHash, 'hex').toString('base64'),
    payment_addr: Buffer.from(invoice.paymentSecret, 'hex').toString('base64'),
    amt_msat: '25000',
    final_cltv_delta: 90,
    dest_features: [9, 15, 17],
    timeout_seconds: 20,
    fee_limit_msat: '0',
    no_inflight_updates: true,
  });
  assert.match(JSON.stringify(await sent), /SUCCEEDED/);
  const account = await untilCredited(store, made.accountId, 35_000);
  assert.equal(account.creditedMsat, 35_000);
});

for (const invoices of ['REST', 'gRPC'] as const) {
  test(`a thousand challenges at once over ${invoices}: the node has its bound of work; each is answered, by an invoice of its own or by "come back"`, async (t) => {
    const watched = watchConcurrency(sellingOver(t, invoices)());
    const { challenge } = testConfig([]);
    const roomy = { burst: 10_000, perMinute: 10_000, maxOutstandingPerClient: 10_000 };
    const { gateway } = await openStall(t, '10 sat', {
      wrapNode: () => watched.node,
      config: { challenge: { ...challenge, ...roomy, nodeConcurrency: 8 } },
    });
    // Who the node is was asked before.
    assert.equal(await statusCode(gateway.url, await buy(gateway, '/quote')), 200);
    const before = await invoicesMade();
    const seen = await Promise.all(
      Array.from({ length: 1_000 }, async () => {
        const response = await fetch(`${gateway.url}/quote`);
        const body: { paymentHash?: string } = await response.json();
        return {
          status: response.status,
          retryAfter: response.headers.get('retry-after'),
          hash: body.paymentHash,
        };
      }),
    );
    const sold = seen.filter(({ status }) => status === 402);
    assert.ok(sold.length >= 8);
    assert.equal(new Set(sold.map(({ hash }) => hash)).size, sold.length);
    for (const { status, retryAfter } of seen.filter((one) => one.status !== 402)) {
      assert.equal(status, 503);
      assert.ok(Number(retryAfter) > 0);
    }
    assert.equal(watched.most(), 8);
    // What was asked of it and given up may still be made.
    const made = (await invoicesMade()) - before;
    assert.ok(made >= sold.length && made <= sold.length + 8, `${made} made, ${sold.length} sold`);
    t.diagnostic(`${sold.length} of 1000 got an invoice`);
    assert.equal(await statusCode(gateway.url, await buy(gateway, '/quote')), 200);
  });
}

/** The node, and how many invoices were asked of it at once. */
function watchConcurrency(real: LightningNode): { readonly node: LightningNode; most(): number } {
  let [underWay, most] = [0, 0];
  const createInvoice: LightningNode['createInvoice'] = async (...call) => {
    underWay += 1;
    most = Math.max(most, underWay);
    try {
      return await real.createInvoice(...call);
    } finally {
      underWay -= 1;
    }
  };
  return { node: { ...real, createInvoice }, most: () => most };
}

/** All that the merchant's LND ever made. */
async function invoicesMade(): Promise<number> {
  const newest = await network.merchant.ask('GET', '/v1/invoices?reversed=true&num_max_invoices=1');
  return Number(z.object({ last_index_offset: z.string() }).parse(newest).last_index_offset);
}

test('a credential with another preimage is answered with a challenge', async (t) => {
  const { gateway } = await openStall(t, '10 sat');
  const credential = await buy(gateway, '/quote');
  const [status] = await statusOf(gateway, `${credential.slice(0, -64)}${'0'.repeat(64)}`);
  assert.equal(status, 402);
});
