import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { testConfig } from '../support/config.ts';
import { askChallenge, buy, type TestGateway, withCredential } from '../support/gateway.ts';
import { openScene, termsOf, toService, type Upstream } from './scene.ts';

/* What was bought at a price is served at it; a later, lower price applies at once. */

async function openShop(
  t: TestContext,
  price: string,
): Promise<{ gateway: TestGateway; upstream: Upstream; reprice: (price: string) => void }> {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway([{ price, upstream: upstream.origin }]);
  const reprice = (next: string): void =>
    gateway.gateway.reload(testConfig([toService({ price: next, upstream: upstream.origin })]));
  return { gateway, upstream, reprice };
}

async function balanceAfterCall(gateway: TestGateway, credential: string): Promise<string | null> {
  const { status, headers } = await fetch(`${gateway.url}/quote`, withCredential(credential));
  assert.equal(status, 200);
  return headers.get('l402-balance-msat');
}

test('a higher price is for new buyers only', async (t) => {
  const { gateway, reprice } = await openShop(t, '30 sat for 3 calls');
  const credential = await buy(gateway, '/quote');
  reprice('60 sat for 3 calls');
  assert.equal(await balanceAfterCall(gateway, credential), '20000');
  assert.equal((await askChallenge(`${gateway.url}/quote`)).amountMsat, 60_000);
  const next = await buy(gateway, '/quote');
  assert.equal(await balanceAfterCall(gateway, next), '40000');
});

test('a lower price applies at once, and back up again only to what was bought', async (t) => {
  const { gateway, reprice } = await openShop(t, '30 sat for 3 calls');
  const credential = await buy(gateway, '/quote');
  reprice('5 sat');
  assert.equal(await balanceAfterCall(gateway, credential), '25000');
  reprice('99 sat');
  assert.equal(await balanceAfterCall(gateway, credential), '15000');
});

test('a challenge that was open when the price rose is honoured as it was offered', async (t) => {
  const { gateway, reprice } = await openShop(t, '10 sat');
  const { macaroon, invoice } = await askChallenge(`${gateway.url}/quote`);
  reprice('50 sat');
  const credential = `L402 ${macaroon}:${await gateway.pay(invoice)}`;
  assert.equal(await balanceAfterCall(gateway, credential), '0');
  assert.equal(termsOf(credential).price, '10000msat/call');
});

test('what is bought at a higher price can’t be spent at the lower one of an older credential', async (t) => {
  const { gateway, reprice } = await openShop(t, '10 sat');
  const old = await buy(gateway, '/quote');
  await balanceAfterCall(gateway, old);
  reprice('40 sat');
  const dear = await buy(gateway, '/quote', withCredential(old));
  assert.notEqual(termsOf(dear).accountId, termsOf(old).accountId);
  assert.equal(await balanceAfterCall(gateway, dear), '0');
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(old))).status, 402);
});

test('nor through an account that was renewed while the price was low for a while', async (t) => {
  const { gateway, reprice } = await openShop(t, '40 sat');
  const dear = await buy(gateway, '/quote');
  await balanceAfterCall(gateway, dear);
  reprice('10 sat');
  const cheap = await buy(gateway, '/quote', withCredential(dear));
  await balanceAfterCall(gateway, cheap);
  reprice('40 sat');
  const renewed = await buy(gateway, '/quote', withCredential(dear));
  assert.equal(termsOf(renewed).accountId, termsOf(dear).accountId);
  assert.equal(await balanceAfterCall(gateway, renewed), '0');
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(cheap))).status, 402);
});

test('a pass stays a pass when calls are sold, and credit stays credit when passes are', async (t) => {
  const { gateway, reprice } = await openShop(t, '10 sat for 10m');
  const pass = await buy(gateway, '/quote');
  reprice('20 sat for 2 calls');
  const credit = await buy(gateway, '/quote');
  reprice('90 sat for 9m');
  assert.equal(await balanceAfterCall(gateway, pass), null);
  assert.equal(await balanceAfterCall(gateway, credit), '10000');
  assert.equal(await balanceAfterCall(gateway, credit), '0');
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credit))).status, 402);
});

test('what becomes free costs nobody anything, and what was bought is there when it costs again', async (t) => {
  const { gateway, upstream, reprice } = await openShop(t, '10 sat');
  const credential = await buy(gateway, '/quote');
  reprice('free');
  assert.equal((await fetch(`${gateway.url}/quote`)).status, 200);
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credential))).status, 200);
  assert.ok(upstream.seen.every(({ headers }) => headers.authorization === undefined));
  reprice('10 sat');
  assert.equal(await balanceAfterCall(gateway, credential), '0');
});
