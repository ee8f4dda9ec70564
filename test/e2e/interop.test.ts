import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { type TestContext, test } from 'node:test';
import { fetch402, fetchWithL402, type PaidResponse } from '@getalby/lightning-tools/402';
import { MemoryTokenStore, PaymentResult, setupL402Interceptor, type Wallet } from 'l402';
import { testConfig } from '../support/config.ts';
import type { TestGateway, TestGatewayOptions } from '../support/gateway.ts';
import { openScene, type Upstream } from './scene.ts';

/* Clients that others wrote, from npm, unmodified: `@getalby/lightning-tools` and `l402` pay through the simulated wallet. */

interface Shop {
  readonly gateway: TestGateway;
  readonly upstream: Upstream;
  /** How many payments the wallet made, and what they came to. */
  paid(): Promise<readonly [payments: number, msat: number]>;
}

async function openShop(t: TestContext, options: TestGatewayOptions = {}): Promise<Shop> {
  const scene = openScene(t);
  const upstream = await scene.upstream();
  const gateway = await scene.gateway(
    [
      { price: '10 sat', upstream: upstream.origin },
      { name: 'pack', path: '/pack/*', price: '50 sat for 100 calls', upstream: upstream.origin },
      { name: 'library', path: '/library/*', price: '200 sat for 10m', upstream: upstream.origin },
      { name: 'free', path: '/free/*', price: 'free', upstream: upstream.origin },
    ],
    options,
  );
  const before = await gateway.payer.balanceMsat();
  const paid = async (): Promise<readonly [number, number]> => {
    const payments = await gateway.payer.history(100);
    return [payments.length, before - (await gateway.payer.balanceMsat())];
  };
  return { gateway, upstream, paid };
}

/** The wallet as Alby's functions take it. */
function albyWallet({ gateway }: Shop) {
  return {
    payInvoice: async ({ invoice }: { invoice: string }) => ({ preimage: await gateway.pay(invoice) }),
  };
}

type Axios = Parameters<typeof setupL402Interceptor>[0];

/** An axios instance, of the axios that the l402 package brings, which pays. */
function payingAxios({ gateway }: Shop): Axios {
  const require = createRequire(createRequire(import.meta.url).resolve('l402'));
  const axios: { create(config: { proxy: false }): Axios } = require('axios');
  const instance = axios.create({ proxy: false });
  const wallet: Wallet = {
    payInvoice: async (invoice) => new PaymentResult(await gateway.pay(invoice), true),
  };
  setupL402Interceptor(instance, wallet, new MemoryTokenStore());
  return instance;
}

for (const [name, pay] of [
  ['fetchWithL402', fetchWithL402],
  ['fetch402', fetch402],
] as const) {
  test(`${name} pays a call once and reads the answer`, async (t) => {
    const shop = await openShop(t);
    const answer = await pay(`${shop.gateway.url}/quote`, {}, { wallet: albyWallet(shop) });
    assert.equal(answer.status, 200);
    assert.equal(await answer.text(), 'paid for');
    assert.equal(answer.payment?.amountSat, 10);
    assert.deepEqual(await shop.paid(), [1, 10_000]);
    assert.equal(shop.upstream.seen.length, 1);
  });

  test(`${name} reuses the credential of a bundle and of a pass without paying again`, async (t) => {
    const shop = await openShop(t);
    for (const path of ['/pack/a', '/library/a']) {
      const wallet = albyWallet(shop);
      const first = await pay(shop.gateway.url + path, {}, { wallet });
      assert.equal(first.status, 200);
      const credentials = first.payment?.credentials;
      assert.ok(credentials);
      for (let n = 0; n < 3; n += 1) {
        const next: PaidResponse = await pay(`${shop.gateway.url}${path}${n}`, {}, { wallet, credentials });
        assert.equal(next.status, 200);
        assert.equal(next.payment?.paid, false);
      }
    }
    assert.deepEqual(await shop.paid(), [2, 250_000]);
    assert.equal(shop.upstream.seen.length, 8);
  });

  test(`${name} is told 402 when what it reuses is spent, and pays for a POST with its body`, async (t) => {
    const shop = await openShop(t);
    const wallet = albyWallet(shop);
    const first = await pay(`${shop.gateway.url}/quote`, { method: 'POST', body: 'hello' }, { wallet });
    assert.equal(first.status, 200);
    assert.equal(shop.upstream.seen[0]?.body, 'hello');
    const credentials = first.payment?.credentials;
    assert.ok(credentials);
    const spent = await pay(`${shop.gateway.url}/quote`, {}, { wallet, credentials });
    assert.equal(spent.status, 402);
    assert.deepEqual(await shop.paid(), [1, 10_000]);
  });

  test(`${name} pays nothing for what is free, and pays the L402 line also when the legacy one stands below it`, async (t) => {
    const shop = await openShop(t, {
      config: { challenge: { ...testConfig([]).challenge, legacyLsat: true } },
    });
    const wallet = albyWallet(shop);
    assert.equal((await pay(`${shop.gateway.url}/free/x`, {}, { wallet })).status, 200);
    assert.deepEqual(await shop.paid(), [0, 0]);
    assert.equal((await pay(`${shop.gateway.url}/quote`, {}, { wallet })).status, 200);
    assert.deepEqual(await shop.paid(), [1, 10_000]);
  });
}

test('fetch402 keeps to its own limit, and the gateway’s invoice says its amount', async (t) => {
  const shop = await openShop(t);
  const options = { wallet: albyWallet(shop), maxAmount: 9 };
  await assert.rejects(fetch402(`${shop.gateway.url}/quote`, {}, options));
  assert.deepEqual(await shop.paid(), [0, 0]);
  assert.equal((await fetch402(`${shop.gateway.url}/quote`, {}, { ...options, maxAmount: 10 })).status, 200);
});

test('l402 pays a call once, and once more when its stored token is spent', async (t) => {
  const shop = await openShop(t);
  const axios = payingAxios(shop);
  const first = await axios.get(`${shop.gateway.url}/quote`);
  assert.deepEqual([first.status, first.data], [200, 'paid for']);
  assert.deepEqual(await shop.paid(), [1, 10_000]);
  assert.equal((await axios.get(`${shop.gateway.url}/quote`)).status, 200);
  assert.deepEqual(await shop.paid(), [2, 20_000]);
  assert.equal(shop.upstream.seen.length, 2);
});

test('l402 serves a bundle and a pass from its token store', async (t) => {
  const shop = await openShop(t);
  const axios = payingAxios(shop);
  for (let n = 0; n < 3; n += 1) {
    assert.equal((await axios.get(`${shop.gateway.url}/pack/a`)).status, 200);
    assert.equal((await axios.get(`${shop.gateway.url}/library/a`)).status, 200);
  }
  assert.deepEqual(await shop.paid(), [2, 250_000]);
  assert.equal(shop.upstream.seen.length, 6);
});

test('l402 pays for a POST with its body, again when its pass is over, and nothing for a free path', async (t) => {
  const shop = await openShop(t);
  const axios = payingAxios(shop);
  await axios.get(`${shop.gateway.url}/free/x`);
  assert.deepEqual(await shop.paid(), [0, 0]);
  await axios.post(`${shop.gateway.url}/library/a`, 'hello');
  assert.equal(shop.upstream.seen.at(-1)?.body, 'hello');
  shop.gateway.clock.ms += 21 * 60_000;
  await axios.post(`${shop.gateway.url}/library/a`, 'again');
  assert.equal(shop.upstream.seen.at(-1)?.body, 'again');
  assert.deepEqual(await shop.paid(), [2, 400_000]);
});
