import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parsePrice } from '../../gateway/pricing/parse-price.ts';
import {
  challengeTerms,
  lockedCallPrice,
  priceOfCall,
  type TermsContext,
} from '../../gateway/pricing/quote.ts';
import { msat } from '../../node/msat.ts';

const CONTEXT: TermsContext = {
  minInvoiceMsat: msat(1_000),
  precisionMsat: msat(1),
  validForSec: 2_592_000,
  invoiceExpirySec: 600,
  nowSec: 1_900_000_000,
};

test('a call is sold as credit of its price, valid after the last moment at which it can be paid', () => {
  assert.deepEqual(challengeTerms(parsePrice('10 sat'), CONTEXT), {
    invoiceMsat: 10_000,
    creditMsat: 10_000,
    validUntilSec: 1_900_000_000 + 600 + 2_592_000,
  });
});

test('a bundle is sold as credit of its total', () => {
  const terms = challengeTerms(parsePrice('50 sat for 100 calls'), CONTEXT);
  assert.equal(terms.invoiceMsat, 50_000);
  assert.equal(terms.creditMsat, 50_000);
});

test('a pass credits nothing and lasts from the last moment at which it can be paid', () => {
  assert.deepEqual(challengeTerms(parsePrice('200 sat for 10m'), CONTEXT), {
    invoiceMsat: 200_000,
    creditMsat: 0,
    validUntilSec: 1_900_000_000 + 600 + 600,
  });
});

test('below the smallest invoice the excess is credited', () => {
  const terms = challengeTerms(parsePrice('1 msat'), CONTEXT);
  assert.deepEqual([terms.invoiceMsat, terms.creditMsat], [1_000, 1_000]);
});

test('a node of whole sats rounds up, and a pass credits no excess', () => {
  const context = { ...CONTEXT, precisionMsat: msat(1_000) };
  assert.equal(challengeTerms(parsePrice('1500 msat'), context).creditMsat, 2_000);
  const pass = challengeTerms(parsePrice('1500 msat for 1h'), context);
  assert.deepEqual([pass.invoiceMsat, pass.creditMsat], [2_000, 0]);
});

test('an invoice always covers the price, the minimum and the precision, by less than one step', () => {
  const small = fc.integer({ min: 1, max: 100_000_000 });
  fc.assert(
    fc.property(small, small, fc.constantFrom(1, 10, 1_000), (amount, least, step) => {
      const context = { ...CONTEXT, minInvoiceMsat: msat(least), precisionMsat: msat(step) };
      const { invoiceMsat, creditMsat } = challengeTerms({ kind: 'call', amountMsat: msat(amount) }, context);
      assert.equal(invoiceMsat % step, 0);
      assert.ok(invoiceMsat >= Math.max(amount, least));
      assert.ok(invoiceMsat < Math.max(amount, least) + step);
      assert.equal(creditMsat, invoiceMsat);
    }),
  );
});

test('free, metered and fiat prices are not sold by a challenge', () => {
  for (const text of ['free', '1 sat/minute', '1 usd']) {
    assert.throws(() => challengeTerms(parsePrice(text), CONTEXT), RangeError);
  }
});

test('a call of a bundle costs its share, and one under a pass nothing', () => {
  assert.equal(priceOfCall(parsePrice('50 sat for 100 calls')), 500);
  assert.equal(priceOfCall(parsePrice('50 sat')), 50_000);
  assert.equal(priceOfCall(parsePrice('50 sat for 1h')), 0);
  assert.equal(priceOfCall(parsePrice('free')), 0);
  assert.throws(() => priceOfCall(parsePrice('1 sat/minute')), RangeError);
});

/** Today's price, the price it was bought at, what a call costs. */
const LOCKED: readonly (readonly [string, string, number])[] = [
  ['20 sat', '10 sat', 10_000],
  ['5 sat', '10 sat', 5_000],
  ['10 sat', '50 sat for 100 calls', 500],
  ['50 sat for 100 calls', '10 sat', 500],
  ['free', '10 sat', 0],
  ['10 sat', '200 sat for 10m', 0],
  ['900 sat for 10m', '200 sat for 10m', 0],
  ['200 sat for 10m', '10 sat', 10_000],
  ['10 sat', 'free', 10_000],
  ['10 sat', '1 sat/minute', 10_000],
  ['1 sat/minute', '10 sat', 10_000],
];

for (const [current, locked, expected] of LOCKED) {
  test(`bought at "${locked}", sold now at "${current}": a call costs ${expected} msat`, () => {
    assert.equal(lockedCallPrice(parsePrice(current), parsePrice(locked)), expected);
  });
}

test('a metered credit buys no pass', () => {
  assert.throws(() => lockedCallPrice(parsePrice('1 sat for 1h'), parsePrice('1 sat/minute')), RangeError);
});
