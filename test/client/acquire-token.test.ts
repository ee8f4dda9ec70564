import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { acquireToken } from '../../client/acquire-token.ts';
import type { PaidToken, Purchase } from '../../client/buyer.ts';
import { createBudget, createMemoryTokenStore, PaymentError } from '../../client/index.ts';
import { isShared, readMacaroonTerms } from '../../client/macaroon-terms.ts';
import { openShop } from '../../client/open-shop.ts';
import { toRecord } from '../../client/purchase-record.ts';
import type { Offer } from '../../client/read-offer.ts';
import { beginVisit, type Shop, type Visit } from '../../client/visit.ts';
import { msat } from '../../node/msat.ts';
import { makeMacaroon } from './support.ts';

const URL_OF_PACK = new URL('http://shop/pack/a');
let hashes = 0;
let bought: Offer[];
let shop: Shop;
/** How the purchases end, in their order: with a token once they are at an end. */
let ends: (PaymentError | Error | undefined)[];

beforeEach(() => {
  bought = [];
  ends = [];
  const store = createMemoryTokenStore();
  const opened = openShop({
    wallet: { payInvoice: () => Promise.reject(new Error('not here')), lookupPayment: async () => undefined },
    budget: createBudget({ perRequestMsat: msat(1_000_000) }),
    store,
  });
  const buy = async (offer: Offer): Promise<Purchase> => {
    bought.push(offer);
    const end = ends[bought.length - 1];
    await new Promise((resolve) => setImmediate(resolve));
    if (end !== undefined) throw end;
    const token: PaidToken = {
      ...toRecord(offer, Date.now()),
      state: { kind: 'ready', preimage: '00'.repeat(32) },
    };
    await store.put(token);
    return { token, amountMsat: token.amountMsat, feeMsat: msat(0), recovered: false };
  };
  shop = { ...opened, buyer: { ...opened.buyer, buy } };
});

function offerOf(price: string, creditMsat: number): Offer {
  hashes += 1;
  const paymentHash = hashes.toString(16).padStart(64, '0');
  const macaroon = makeMacaroon(paymentHash, [
    'services=pack:0',
    `pack_account=${paymentHash}`,
    `pack_credit_msat=${creditMsat}`,
    `pack_price=${price}`,
  ]);
  const amountMsat = msat(creditMsat);
  const quote = { url: URL_OF_PACK.href, service: 'pack', amountMsat, memo: '', paymentHash };
  return {
    challenge: { scheme: 'L402', macaroon, invoice: `invoice of ${paymentHash}` },
    terms: readMacaroonTerms(macaroon),
    url: URL_OF_PACK,
    quote: { ...quote, invoice: `invoice of ${paymentHash}`, expiresAtSec: Number.MAX_SAFE_INTEGER },
    network: 'regtest',
  };
}

function visit(signal?: AbortSignal): Visit {
  const request = { url: URL_OF_PACK, method: 'GET', headers: new Headers(), settings: {}, idempotent: true };
  return beginVisit({ ...request, signal }, shop.clock);
}

function acquireTogether(requests: number, price = '20000msat/4calls', creditMsat = 20_000) {
  const visits = Array.from({ length: requests }, () => visit());
  return Promise.allSettled(visits.map((one) => acquireToken(shop, one, offerOf(price, creditMsat))));
}

function users(outcomes: Awaited<ReturnType<typeof acquireTogether>>): readonly number[] {
  const counts = new Map<string, number>();
  for (const outcome of outcomes) {
    const key = outcome.status === 'fulfilled' ? outcome.value.paymentHash : 'failed';
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts.values()];
}

describe('requests that were offered the same at once', () => {
  it('share a bundle as far as its calls go, and buy the next one one at a time', async () => {
    assert.deepEqual(users(await acquireTogether(10)), [4, 4, 2]);
    assert.equal(bought.length, 3);
  });

  it('share a pass without end', async () => {
    assert.deepEqual(users(await acquireTogether(50, '200000msat/600s-pass', 0)), [50]);
  });

  it('have a token each when it is for one call', async () => {
    assert.deepEqual(users(await acquireTogether(3, '10000msat/call', 10_000)), [1, 1, 1]);
    assert.ok(!isShared(offerOf('10000msat/1calls', 10_000).terms));
  });

  it('pay again when the wallet or the store fails the first one, and not a third time', async () => {
    for (const code of ['payment-failed', 'wallet-failed', 'store-failed'] as const) {
      const failure = new PaymentError(code, 'as a test has it');
      bought = [];
      ends = [failure];
      assert.deepEqual(users(await acquireTogether(5)), [1, 4]);
      bought = [];
      ends = [failure, failure, failure];
      assert.deepEqual(users(await acquireTogether(5, '1000msat/5calls', 5_000)), [5]);
      assert.equal(bought.length, 2);
    }
  });

  it('pay nothing else while the end of a payment is not known, and ask nobody twice who has declined', async () => {
    for (const code of ['payment-unknown', 'declined'] as const) {
      bought = [];
      ends = [new PaymentError(code, 'as a test has it')];
      assert.deepEqual(users(await acquireTogether(5)), [5]);
      assert.equal(bought.length, 1);
    }
  });

  it('find out each by itself whether their budget allows it', async () => {
    ends = Array.from({ length: 4 }, () => new PaymentError('over-budget', 'too much'));
    assert.deepEqual(users(await acquireTogether(6)), [4, 2]);
    assert.equal(bought.length, 5);
  });

  it('go on with the next one when the first has bought too often, or is called off before it buys', async () => {
    const [busy, calledOff, last] = [visit(), visit(AbortSignal.abort(new Error('called off'))), visit()];
    busy.bought.add('one').add('two');
    const outcomes = await Promise.allSettled(
      [busy, calledOff, last].map((one) => acquireToken(shop, one, offerOf('20000msat/4calls', 20_000))),
    );
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason.message : 'bought')),
      [
        'This request has bought 2 times and is still asked to pay. What was bought is kept.',
        'called off',
        'bought',
      ],
    );
    assert.equal(bought.length, 1);
  });
});
