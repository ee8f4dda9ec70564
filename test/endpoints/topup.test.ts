import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { macaroonToBase64 } from '../../gateway/l402/macaroon.ts';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { type Store, StoreError } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { createSimnet } from '../../node/simnet/simnet.ts';
import { append, openScene, partsOf, type Scene, termsOf, toService, type Ware } from '../e2e/scene.ts';
import { ask, rawClient } from '../proxy/wire.ts';
import { testConfig } from '../support/config.ts';
import { eventually } from '../support/eventually.ts';
import {
  askChallenge,
  buy,
  type TestGateway,
  type TestGatewayOptions,
  withCredential,
} from '../support/gateway.ts';
import { askTopUp, payAmount, refusalOf, requestTopUp, untilCredited } from '../support/top-up.ts';

interface Shop {
  readonly scene: Scene;
  readonly gateway: TestGateway;
  readonly upstream: string;
}

async function openShop(
  t: TestContext,
  options: TestGatewayOptions = {},
  ware: Omit<Ware, 'upstream'> = { price: '10 sat' },
): Promise<Shop> {
  const scene = openScene(t);
  const upstream = (await scene.upstream()).origin;
  return { scene, upstream, gateway: await scene.gateway([{ ...ware, upstream }], options) };
}

/** A credential whose account is open and spent. */
async function buyAndSpend(gateway: TestGateway): Promise<string> {
  const credential = await buy(gateway, '/quote');
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(credential))).status, 200);
  return credential;
}

async function balanceOf({ store }: TestGateway, credential: string): Promise<number | undefined> {
  return (await store.account(termsOf(credential).accountId))?.balanceMsat;
}

async function isBalanced(store: Store): Promise<void> {
  const { creditedMsat, spentMsat, reservedMsat, expiredMsat, balanceMsat } = await store.totals();
  assert.equal(creditedMsat, spentMsat + reservedMsat + expiredMsat + balanceMsat);
}

test('a paid top-up is credited by the feed, without the client ever coming back', async (t) => {
  const { gateway } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  const made = await askTopUp(gateway.url, credential, { amountSats: 25 });
  assert.deepEqual([made.amountMsat, made.creditMsat, made.balanceMsat], [25_000, 25_000, 0]);
  assert.equal(made.invoice, made.paymentRequest);
  assert.equal(made.accountId, termsOf(credential).accountId);
  assert.equal(made.authorization, `Authorization: L402 ${made.macaroon}:<preimage>`);
  await gateway.pay(made.invoice);
  const account = await untilCredited(gateway.store, made.accountId, 35_000);
  assert.equal(account.balanceMsat, 25_000);
  assert.equal(account.expiresAtSec, Date.parse(made.validUntil) / 1000);
  const again = await fetch(`${gateway.url}/quote`, withCredential(credential));
  assert.deepEqual([again.status, again.headers.get('l402-balance-msat')], [200, '15000']);
  await isBalanced(gateway.store);
});

test('the answer is a 200 without a challenge header, that nobody may keep', async (t) => {
  const { gateway } = await openShop(t);
  const response = await requestTopUp(gateway.url, await buyAndSpend(gateway));
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('www-authenticate'), null);
  assert.equal(response.headers.get('cache-control'), 'no-store');
  const { amountMsat } = JSON.parse(await response.text());
  assert.equal(amountMsat, 10_000, 'without an amount it is what the challenge sells');
});

test('the new token is on the same account, at its price, and lives as long as the new credit', async (t) => {
  const { gateway } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  gateway.clock.ms += 86_400_000;
  const made = await askTopUp(gateway.url, credential, { amountMsat: 20_000 });
  const terms = termsOf(`L402 ${made.macaroon}:`);
  assert.equal(terms.accountId, termsOf(credential).accountId);
  assert.equal(terms.creditMsat, 20_000);
  assert.equal(terms.price, '10000msat/call');
  assert.equal(terms.service, 'quote');
  assert.equal(terms.validUntilSec, Date.parse(made.validUntil) / 1000);
  assert.equal(terms.validUntilSec, Date.parse(made.expiresAt) / 1000 + 30 * 86_400);
});

test('after a change of price nothing is added to an account whose credentials lock another one', async (t) => {
  const { gateway, upstream } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  for (const price of ['20 sat', '4 sat']) {
    gateway.gateway.reload(testConfig([toService({ price, upstream })]));
    assert.deepEqual(
      await refusalOf(await requestTopUp(gateway.url, credential)),
      [409, 'price-changed'],
      price,
    );
  }
  gateway.gateway.reload(testConfig([toService({ price: '10 sat', upstream })]));
  assert.equal((await requestTopUp(gateway.url, credential)).status, 200);
});

test('a client that brings the preimage before the feed does is credited once, whatever comes after', async (t) => {
  const gate = Promise.withResolvers<void>();
  const { gateway } = await openShop(t, {
    wrapNode: (node) => ({
      ...node,
      async *settlements(cursor, signal) {
        await gate.promise;
        yield* node.settlements(cursor, signal);
      },
    }),
  });
  const credential = await buyAndSpend(gateway);
  const made = await askTopUp(gateway.url, credential, { amountSats: 20 });
  // Paid with 3 sat more than asked for: a wallet may do that.
  const preimage = await payAmount(gateway.simnet, made.invoice, 23_000);
  const early = await fetch(`${gateway.url}/quote`, withCredential(`L402 ${made.macaroon}:${preimage}`));
  assert.deepEqual([early.status, early.headers.get('l402-balance-msat')], [200, '10000']);
  gate.resolve();
  const account = await untilCredited(gateway.store, made.accountId, 33_000);
  assert.deepEqual([account.creditedMsat, account.spentMsat, account.balanceMsat], [33_000, 20_000, 13_000]);
  assert.deepEqual(await gateway.store.openOffers('', 10), []);
  await isBalanced(gateway.store);
});

test('a token presented after the feed has credited its payment credits nothing more, also when it was overpaid', async (t) => {
  const { gateway } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  const made = await askTopUp(gateway.url, credential, { amountSats: 20 });
  const preimage = await payAmount(gateway.simnet, made.invoice, 29_999);
  await untilCredited(gateway.store, made.accountId, 39_999);
  for (let call = 0; call < 2; call += 1) {
    const late = await fetch(`${gateway.url}/quote`, withCredential(`L402 ${made.macaroon}:${preimage}`));
    assert.equal(late.status, 200);
  }
  assert.equal(await balanceOf(gateway, credential), 9_999);
  assert.equal((await gateway.store.account(made.accountId))?.creditedMsat, 39_999);
  const { body } = await gateway.metrics.scrape();
  assert.match(body, /sluice_earned_msat_total\{service="quote"\} 39999\n/, 'income is counted once, too');
});

test('feed and preimage racing for many top-ups credit each of them once', async (t) => {
  const { gateway } = await openShop(t, {
    config: { topUp: { minMsat: msat(1_000), maxMsat: msat(100_000_000), maxOpen: 50 } },
  });
  const credential = await buyAndSpend(gateway);
  const made = await Promise.all(
    Array.from({ length: 30 }, () => askTopUp(gateway.url, credential, { amountSats: 10 })),
  );
  const statuses = await Promise.all(
    made.map(async ({ invoice, macaroon }) => {
      const preimage = await payAmount(gateway.simnet, invoice, 10_001);
      return (await fetch(`${gateway.url}/quote`, withCredential(`L402 ${macaroon}:${preimage}`))).status;
    }),
  );
  assert.deepEqual(new Set(statuses), new Set([200]));
  const { accountId } = termsOf(credential);
  const account = await untilCredited(gateway.store, accountId, 10_000 + 30 * 10_001);
  assert.deepEqual([account.creditedMsat, account.balanceMsat], [310_030, 30]);
  await isBalanced(gateway.store);
});

test('a top-up that was paid while the gateway was down is credited at its next start', async (t) => {
  const clock = { ms: Date.now() };
  const simnet = createSimnet({ nowMs: () => clock.ms });
  const store = createMemoryStore({ nowMs: () => clock.ms });
  t.after(() => simnet.close());
  const { scene, gateway, upstream } = await openShop(t, { clock, simnet, store });
  const credential = await buyAndSpend(gateway);
  const made = await askTopUp(gateway.url, credential, { amountSats: 40 });
  await gateway.gateway.stop();
  await payAmount(simnet, made.invoice);
  assert.equal((await store.account(made.accountId))?.creditedMsat, 10_000);
  await scene.gateway([{ price: '10 sat', upstream }], { clock, simnet, store });
  assert.equal((await untilCredited(store, made.accountId, 50_000)).balanceMsat, 40_000);
});

test('a credential that was never presented is presented by asking for a top-up', async (t) => {
  const { gateway } = await openShop(t);
  const credential = await buy(gateway, '/quote');
  const made = await askTopUp(gateway.url, credential);
  assert.equal(made.balanceMsat, 10_000);
});

test('a preimage caveat beside the header is no narrowing', async (t) => {
  const { gateway } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  const { macaroon, preimage } = partsOf(credential);
  const doubled = append(macaroon, `preimage=${preimage}`);
  assert.equal(
    (await requestTopUp(gateway.url, `L402 ${macaroonToBase64(doubled)}:${preimage}`)).status,
    200,
  );
});

test('who may not add to an account is told so with 403, never with a challenge, and costs the node nothing', async (t) => {
  const { gateway } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  const unpaid = await askChallenge(`${gateway.url}/quote`);
  const { macaroon, preimage } = partsOf(credential);
  const withCaveat = (caveat: string) => `L402 ${macaroonToBase64(append(macaroon, caveat))}:${preimage}`;
  const other = await openShop(t, { masterKeys: [Buffer.alloc(32, 7)] });
  const foreign = await buyAndSpend(other.gateway);
  const refused: Record<string, string | undefined> = {
    'no credential': undefined,
    'an unpaid one': `L402 ${unpaid.macaroon}:${'0'.repeat(64)}`,
    'one without a preimage': `L402 ${unpaid.macaroon}`,
    'one of another gateway': foreign,
    'a narrowed one': withCaveat('quote_valid_until=1900000000'),
    'one with an unknown condition': withCaveat('ip=192.0.2.1'),
    'one with another account': withCaveat(`quote_account=${'0'.repeat(64)}`),
    garbage: 'L402 x:y',
  };
  const invoices = gateway.simnet.openInvoices();
  for (const [name, authorization] of Object.entries(refused)) {
    const response = await requestTopUp(gateway.url, authorization, { amountSats: 10 });
    assert.equal(response.headers.get('www-authenticate'), null, name);
    assert.deepEqual(await refusalOf(response), [403, 'credential-refused'], name);
  }
  assert.equal(gateway.simnet.openInvoices(), invoices);
  assert.deepEqual(await gateway.store.openOffers('', 10), []);
});

test('an expired credential and one of a service that is gone add nothing', async (t) => {
  const { gateway, upstream } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  gateway.gateway.reload(testConfig([toService({ name: 'renamed', price: '10 sat', upstream })]));
  assert.deepEqual(await refusalOf(await requestTopUp(gateway.url, credential)), [403, 'credential-refused']);
  gateway.gateway.reload(testConfig([toService({ price: '10 sat', upstream })]));
  assert.equal((await requestTopUp(gateway.url, credential)).status, 200);
  gateway.clock.ms += 31 * 86_400_000;
  assert.deepEqual(await refusalOf(await requestTopUp(gateway.url, credential)), [403, 'credential-refused']);
});

test('a revoked account gets no top-up, and one that was paid all the same can not be spent', async (t) => {
  const { gateway } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  const made = await askTopUp(gateway.url, credential, { amountSats: 10 });
  const revoked = await fetch(`${gateway.adminUrl}/api/accounts/${made.accountId}/revoke`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${gateway.adminToken}` },
  });
  assert.equal(revoked.status, 200);
  assert.deepEqual(await refusalOf(await requestTopUp(gateway.url, credential)), [403, 'credential-refused']);
  const preimage = await payAmount(gateway.simnet, made.invoice);
  await untilCredited(gateway.store, made.accountId, 20_000);
  const spent = await fetch(`${gateway.url}/quote`, withCredential(`L402 ${made.macaroon}:${preimage}`));
  assert.equal(spent.status, 402);
});

test('a pass has no balance to add to', async (t) => {
  const { gateway } = await openShop(t, {}, { price: '200 sat for 10m' });
  const pass = await buy(gateway, '/quote');
  assert.equal((await fetch(`${gateway.url}/quote`, withCredential(pass))).status, 200);
  assert.deepEqual(await refusalOf(await requestTopUp(gateway.url, pass)), [403, 'credential-refused']);
});

test('credit can not be turned into a pass when the service sells passes now', async (t) => {
  const { gateway, upstream } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  gateway.gateway.reload(testConfig([toService({ price: '200 sat for 10m', upstream })]));
  assert.deepEqual(await refusalOf(await requestTopUp(gateway.url, credential)), [403, 'credential-refused']);
});

test('an account has a few unpaid top-ups at a time; paying one makes room', async (t) => {
  const { gateway } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  const made = await askTopUp(gateway.url, credential);
  await askTopUp(gateway.url, credential);
  await askTopUp(gateway.url, credential);
  const invoices = gateway.simnet.openInvoices();
  const refused = await requestTopUp(gateway.url, credential);
  assert.equal(refused.headers.get('retry-after'), '600');
  assert.deepEqual(await refusalOf(refused), [429, 'too-many-top-ups']);
  assert.equal(gateway.simnet.openInvoices(), invoices);
  await gateway.pay(made.invoice);
  await eventually(
    () => requestTopUp(gateway.url, credential),
    ({ status }) => status === 200,
  );
});

test('top-ups asked for at once are bounded too, and the invoices of those refused are cancelled', async (t) => {
  const { gateway } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  const responses = await Promise.all(
    Array.from({ length: 12 }, () => requestTopUp(gateway.url, credential)),
  );
  const statuses = responses.map(({ status }) => status).sort();
  assert.deepEqual(statuses, [200, 200, 200, ...Array(9).fill(429)]);
  const open = gateway.simnet
    .wallet('gateway')
    .invoices({ offset: 0, limit: 100, order: 'forwards' })
    .filter(({ state }) => state === 'open');
  assert.equal(open.length, 3);
  assert.equal((await gateway.store.openOffers('', 100)).length, 3);
});

test('an amount out of bounds is refused with the bounds', async (t) => {
  const { gateway } = await openShop(t, {
    config: { topUp: { minMsat: msat(5_000), maxMsat: msat(50_000), maxOpen: 20 } },
  });
  const credential = await buyAndSpend(gateway);
  for (const body of [{ amountMsat: 4_999 }, { amountSats: 51 }, { amountMsat: Number.MAX_SAFE_INTEGER }]) {
    const response = await requestTopUp(gateway.url, credential, body);
    const text = await response.text();
    assert.equal(response.status, 400, text);
    assert.match(text, /"bad-amount".*from 5 sat to 50 sat/);
  }
  for (const body of [{ amountMsat: 5_000 }, { amountSats: 50 }]) {
    assert.equal((await requestTopUp(gateway.url, credential, body)).status, 200);
  }
});

test('a node that takes whole sats only gets whole sats, and what that adds is credited', async (t) => {
  const { gateway } = await openShop(t, {
    wrapNode: (node) => ({ ...node, capabilities: { ...node.capabilities, precisionMsat: msat(1_000) } }),
  });
  const made = await askTopUp(gateway.url, await buyAndSpend(gateway), { amountMsat: 10_001 });
  assert.deepEqual([made.amountMsat, made.creditMsat], [11_000, 11_000]);
});

test('hostile bodies are refused, and none of them makes an invoice', async (t) => {
  const { gateway } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  const invoices = gateway.simnet.openInvoices();
  const bodies: readonly (readonly [body: string, status: number])[] = [
    ['{', 400],
    ['[]', 400],
    ['null', 400],
    ['7', 400],
    ['"10"', 400],
    ['{"amountMsat":"10000"}', 400],
    ['{"amountMsat":-10000}', 400],
    ['{"amountMsat":0}', 400],
    ['{"amountMsat":1.5}', 400],
    ['{"amountMsat":1e400}', 400],
    ['{"amountMsat":null}', 400],
    ['{"amountMsat":{"valueOf":1}}', 400],
    ['{"amountSats":9007199254740993}', 400],
    ['{"amountSats":9007199254740}', 400],
    ['{"amountMsat":10000,"amountSats":10}', 400],
    ['{"amount":10000}', 400],
    ['{"__proto__":{"amountMsat":10000}}', 400],
    [`{"amountMsat":10000,"x":"${'a'.repeat(5_000)}"}`, 413],
    ['['.repeat(4_000), 400],
  ];
  for (const [body, status] of bodies) {
    const response = await requestTopUp(gateway.url, credential, body);
    assert.equal(response.status, status, body.slice(0, 60));
    assert.equal((await refusalOf(response))[1] === 'internal', false);
  }
  const gzipped = await ask(
    `${gateway.url}/.l402/topup`,
    { method: 'POST', headers: { Authorization: credential, 'Content-Encoding': 'gzip' } },
    Buffer.from('1f8b08', 'hex'),
  );
  assert.equal(gzipped.status, 400);
  assert.equal(gateway.simnet.openInvoices(), invoices);
  assert.deepEqual(await gateway.store.openOffers('', 10), []);
});

test('a body that curl calls a form is read as the JSON that it is', async (t) => {
  const { gateway } = await openShop(t);
  const response = await fetch(`${gateway.url}/.l402/topup`, {
    method: 'POST',
    headers: {
      Authorization: await buyAndSpend(gateway),
      'Content-Type': 'application/x-www-form-urlencoded',
    },
    body: '{"amountSats": 12}',
  });
  assert.equal(JSON.parse(await response.text()).amountMsat, 12_000);
});

test("a stranger's body is not waited for", async (t) => {
  const { gateway } = await openShop(t);
  const port = Number(new URL(gateway.url).port);
  const client = await rawClient(
    port,
    'POST /.l402/topup HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n{"amountMsat"',
  );
  await client.until('credential-refused');
  client.socket.destroy();
});

test('with the node down a top-up is 503, and no offer is left behind', async (t) => {
  const { gateway } = await openShop(t);
  const credential = await buyAndSpend(gateway);
  gateway.simnet.configure({ offline: true });
  const response = await requestTopUp(gateway.url, credential);
  assert.ok(response.headers.get('retry-after'));
  assert.deepEqual(await refusalOf(response), [503, 'node-unavailable']);
  assert.deepEqual(await gateway.store.openOffers('', 10), []);
  gateway.simnet.configure({ offline: false });
  assert.equal((await requestTopUp(gateway.url, credential)).status, 200);
});

test('a node that returns another invoice than was asked for is not believed, and no offer is written', async (t) => {
  let lie = false;
  const { gateway } = await openShop(t, {
    wrapNode: (node) => ({
      ...node,
      createInvoice: (request, options) =>
        node.createInvoice(lie ? { ...request, amountMsat: msat(1) } : request, options),
    }),
  });
  const credential = await buyAndSpend(gateway);
  lie = true;
  assert.deepEqual(await refusalOf(await requestTopUp(gateway.url, credential)), [503, 'node-unavailable']);
  assert.deepEqual(await gateway.store.openOffers('', 10), []);
});

test('when the store does not take the offer, nobody sees the invoice, and it can not be paid', async (t) => {
  const clock = { ms: Date.now() };
  const store = createMemoryStore({ nowMs: () => clock.ms });
  const { gateway } = await openShop(t, {
    clock,
    store: {
      ...store,
      offer: () => Promise.reject(new StoreError('unavailable', 'the store is away')),
    },
  });
  const credential = await buyAndSpend(gateway);
  const response = await requestTopUp(gateway.url, credential);
  assert.deepEqual(await refusalOf(response), [503, 'store-unavailable']);
  const states = gateway.simnet
    .wallet('gateway')
    .invoices({ offset: 0, limit: 100, order: 'forwards' })
    .map(({ state }) => state);
  assert.deepEqual(states.sort(), ['cancelled', 'settled']);
});

test('other methods are told which one there is', async (t) => {
  const { gateway } = await openShop(t);
  const response = await fetch(`${gateway.url}/.l402/topup`);
  assert.deepEqual([response.status, response.headers.get('allow')], [405, 'POST']);
});
