import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createBudget, createMemoryTokenStore } from '../../client/index.ts';
import { readMacaroonTerms } from '../../client/macaroon-terms.ts';
import { openShop } from '../../client/open-shop.ts';
import type { Offer } from '../../client/read-offer.ts';
import { findStored } from '../../client/stored-tokens.ts';
import { beginVisit } from '../../client/visit.ts';
import { msat } from '../../node/msat.ts';
import { makeMacaroon } from './support.ts';

const ORIGIN = 'http://shop';

function hashOf(service: string): string {
  return Buffer.from(service).toString('hex').padStart(64, '0');
}

function offerOf(service: string): Offer {
  const paymentHash = 'ff'.repeat(32);
  const macaroon = makeMacaroon(paymentHash, [`services=${service}:0`]);
  const url = new URL(`${ORIGIN}/api/${service}`);
  const quote = {
    url: url.href,
    service,
    amountMsat: msat(1_000),
    memo: '',
    paymentHash,
    invoice: 'invoice',
  };
  return {
    challenge: { scheme: 'L402', macaroon, invoice: 'invoice' },
    terms: readMacaroonTerms(macaroon),
    url,
    quote: { ...quote, expiresAtSec: Number.MAX_SAFE_INTEGER },
    network: 'regtest',
  };
}

describe('the stored tokens of a folder that many services share', () => {
  it('are tried a few times, and the one that an offer names is among them', async () => {
    const store = createMemoryTokenStore();
    const shop = openShop({
      wallet: {
        payInvoice: () => Promise.reject(new Error('nothing is to be paid')),
        lookupPayment: async () => undefined,
      },
      budget: createBudget({ perRequestMsat: msat(1) }),
      store,
    });
    for (const service of ['first', 'second', 'third', 'fourth', 'fifth']) {
      await store.put({
        paymentHash: hashOf(service),
        origin: ORIGIN,
        service,
        scopes: ['/api/*'],
        scheme: 'L402',
        macaroon: makeMacaroon(hashOf(service), [`services=${service}:0`]),
        invoice: 'invoice',
        amountMsat: msat(1_000),
        invoiceExpiresAtSec: 1,
        createdAtMs: 1,
        state: { kind: 'ready', preimage: '00'.repeat(32) },
      });
    }
    const request = { method: 'GET', headers: new Headers(), settings: {}, idempotent: true };
    const url = new URL(`${ORIGIN}/api/first`);
    const visit = beginVisit({ ...request, url, signal: undefined }, shop.clock);
    const tried: string[] = [];
    for (const offer of [undefined, undefined, undefined, offerOf('first')]) {
      const token = await findStored(shop, visit, offer);
      if (token === undefined) continue;
      visit.tried.add(token.paymentHash);
      tried.push(token.service);
    }
    assert.deepEqual(tried, ['fifth', 'fourth', 'first']);
    assert.equal(await findStored(shop, visit, offerOf('second')), undefined);
  });
});
