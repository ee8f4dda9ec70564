import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Config } from '../../config/config.ts';
import { readTerms } from '../../gateway/l402/caveat.ts';
import { macaroonFromText } from '../../gateway/l402/macaroon.ts';
import { decodeInvoice } from '../../node/bolt11.ts';
import { NodeError } from '../../node/node.ts';
import { createSimnet, GATEWAY_WALLET } from '../../node/simnet/simnet.ts';
import { createSimulatedNode } from '../../node/simulated.ts';
import { ask } from '../proxy/wire.ts';
import { testConfig } from '../support/config.ts';
import { askChallenge, buy, type TestGateway, withCredential } from '../support/gateway.ts';
import { eventually, openScene, toService, type Ware } from './scene.ts';

/* Invoices made ahead: as good as any, and there while the node is not. */

const SIZE = 5;
const POOL = {
  ...testConfig([]).challenge,
  invoicePool: { size: SIZE, refillBelow: SIZE },
  nodeTimeoutMs: 200,
};

interface Shop {
  readonly gateway: TestGateway;
  /** What the node does before it makes an invoice. */
  beforeInvoice(work: () => Promise<void>): void;
  readonly made: string[];
  pooled(): Promise<number>;
  upstream: string;
}

async function openShop(
  t: TestContext,
  ware: Partial<Ware> = {},
  config: Partial<Config> = {},
): Promise<Shop> {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  let before = async (): Promise<void> => {};
  const made: string[] = [];
  const gateway = await scene.gateway([{ price: '10 sat', upstream: upstream.origin, ...ware }], {
    config: { challenge: POOL, ...config },
    wrapNode: (real) => ({
      ...real,
      createInvoice: async (request, options) => {
        await before();
        const invoice = await real.createInvoice(request, options);
        made.push(invoice.paymentHash);
        return invoice;
      },
    }),
  });
  return {
    gateway,
    made,
    beforeInvoice: (work) => (before = work),
    pooled: () => gauge(gateway, 'sluice_invoice_pool_size'),
    upstream: upstream.origin,
  };
}

async function gauge(gateway: TestGateway, name: string): Promise<number> {
  const { body } = await gateway.metrics.scrape();
  const line = body.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

/** Asks until the pool is full. */
async function fill({ gateway, pooled }: Shop): Promise<void> {
  for (let n = 0; n < 100; n += 1) {
    await askChallenge(`${gateway.url}/quote`);
    await new Promise((resolve) => setImmediate(resolve));
    if ((await pooled()) === SIZE) return;
  }
  await eventually(async () => (await pooled()) === SIZE);
}

test('a node that hangs: challenges are answered from the pool until it is empty, then 503, then as before', async (t) => {
  const shop = await openShop(t);
  const { gateway, beforeInvoice } = shop;
  await fill(shop);
  beforeInvoice(() => Promise.reject(new NodeError('timeout', 'the node did not answer')));
  const seen = [];
  for (let n = 0; n < SIZE; n += 1) seen.push(await askChallenge(`${gateway.url}/quote`));
  assert.equal(new Set(seen.map(({ paymentHash }) => paymentHash)).size, SIZE);
  const refused = await ask(`${gateway.url}/quote`);
  assert.equal(refused.status, 503);
  assert.match(refused.body.toString(), /"code":"node-unavailable"/);
  beforeInvoice(async () => {});
  const [{ macaroon, invoice } = { macaroon: '', invoice: '' }] = seen;
  const credential = `L402 ${macaroon}:${await gateway.pay(invoice)}`;
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credential))).status, 200);
  await askChallenge(`${gateway.url}/quote`);
});

test('a slow node: who finds the pool full does not wait for it', async (t) => {
  const shop = await openShop(t);
  await fill(shop);
  const door = Promise.withResolvers<void>();
  shop.beforeInvoice(() => door.promise);
  // Each is answered while nothing that was asked of the node since has come back.
  const before = shop.made.length;
  for (let n = 0; n < SIZE; n += 1) await askChallenge(`${shop.gateway.url}/quote`);
  assert.equal(shop.made.length, before);
  door.resolve();
  await eventually(async () => (await shop.pooled()) === SIZE);
});

test('a crowd at once: no invoice goes to two, and every one can be paid and used', async (t) => {
  const shop = await openShop(t);
  const { gateway } = shop;
  await fill(shop);
  const seen = await Promise.all(Array.from({ length: 60 }, () => askChallenge(`${gateway.url}/quote`)));
  assert.equal(new Set(seen.map(({ paymentHash }) => paymentHash)).size, 60);
  for (const { macaroon, invoice } of seen.slice(0, 20)) {
    const credential = `L402 ${macaroon}:${await gateway.pay(invoice)}`;
    assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credential))).status, 200);
  }
});

test('a token outlives its pooled invoice by all that was sold', async (t) => {
  const shop = await openShop(t, { price: '100 sat for 1h' });
  const { gateway } = shop;
  await fill(shop);
  for (const lateSec of [0, 120, 250, 400]) {
    gateway.clock.ms += lateSec * 1000;
    const { macaroon, invoice } = await askChallenge(`${gateway.url}/quote`);
    const { expiresAtSec } = decodeInvoice(invoice);
    const parsed = macaroonFromText(macaroon);
    assert.ok(parsed);
    const reading = readTerms(parsed.caveats);
    assert.ok(reading.kind === 'terms');
    assert.ok(reading.minted.validUntilSec >= expiresAtSec + 3600);
    assert.ok(expiresAtSec - gateway.clock.ms / 1000 >= POOL.invoiceExpirySec / 2 - 1);
  }
});

test('a node whose clock is ahead: the token still outlives its invoice', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const clock = { ms: Date.now() };
  const simnet = createSimnet({ nowMs: () => clock.ms + 40_000 });
  scene.keep({ close: async () => simnet.close() });
  const gateway = await scene.gateway([{ price: '100 sat for 1h', upstream: upstream.origin }], {
    clock,
    simnet,
  });
  const { macaroon, invoice } = await askChallenge(`${gateway.url}/quote`);
  const reading = readTerms(macaroonFromText(macaroon)?.caveats ?? []);
  assert.ok(reading.kind === 'terms');
  assert.equal(reading.minted.validUntilSec, decodeInvoice(invoice).expiresAtSec + 3600);
});

test('a reload that changes a price: from then on nobody gets the old one, and its invoices are cancelled', async (t) => {
  const shop = await openShop(t);
  const { gateway, made, upstream } = shop;
  await fill(shop);
  const ready = made.slice(-SIZE);
  gateway.gateway.reload(testConfig([toService({ price: '20 sat', upstream })], { challenge: POOL }));
  assert.equal(await shop.pooled(), 0);
  assert.equal((await askChallenge(`${gateway.url}/quote`)).amountMsat, 20_000);
  const node = createSimulatedNode(gateway.simnet, GATEWAY_WALLET);
  await eventually(async () => {
    const states = await Promise.all(ready.map((hash) => node.lookupInvoice(hash)));
    return states.every((state) => state?.kind === 'cancelled');
  });
});

test('the limits of a client hold with a pool as without', async (t) => {
  const shop = await openShop(
    t,
    {},
    { challenge: { ...POOL, burst: 12, perMinute: 6, maxOutstandingPerClient: 11 } },
  );
  const { gateway } = shop;
  const statuses = [];
  for (let n = 0; n < 14; n += 1) statuses.push((await ask(`${gateway.url}/quote`)).status);
  assert.deepEqual(statuses, [...Array(11).fill(402), 429, 429, 429]);
  assert.ok(shop.made.length <= 11 + SIZE);
});

test('a top-up never comes from the pool', async (t) => {
  const shop = await openShop(t);
  await fill(shop);
  const { gateway } = shop;
  const credential = await buy(gateway, '/quote');
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credential))).status, 200);
  const hits = async () => {
    const { body } = await gateway.metrics.scrape();
    return /sluice_invoice_pool_draws_total\{result="hit"\} (\d+)/.exec(body)?.[1];
  };
  const before = await hits();
  const answer = await fetch(`${gateway.url}/.l402/topup`, {
    method: 'POST',
    headers: { Authorization: credential, 'Content-Type': 'application/json' },
    body: JSON.stringify({ amountMsat: 10_000 }),
  });
  assert.equal(answer.status, 200);
  assert.equal(await hits(), before);
});

test('a gateway that was killed forgets its pool: the next one shows none of those invoices', async (t) => {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const clock = { ms: Date.now() };
  const simnet = createSimnet({ nowMs: () => clock.ms });
  scene.keep({ close: async () => simnet.close() });
  const made: string[] = [];
  const start = () =>
    scene.gateway([{ price: '10 sat', upstream: upstream.origin }], {
      clock,
      simnet,
      config: { challenge: POOL },
      wrapNode: (real) => ({
        ...real,
        // As a process that is gone does nothing any more: what it made stays at the node until it expires.
        cancelInvoice: async () => {},
        createInvoice: async (request, options) => {
          const invoice = await real.createInvoice(request, options);
          made.push(invoice.paymentHash);
          return invoice;
        },
      }),
    });
  const first = await start();
  for (let n = 0; n < 20; n += 1) await askChallenge(`${first.url}/quote`);
  const before = new Set(made);
  const second = await start();
  for (let n = 0; n < 20; n += 1) {
    assert.ok(!before.has((await askChallenge(`${second.url}/quote`)).paymentHash));
  }
});
