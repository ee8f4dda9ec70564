import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parsePrice } from '../../gateway/pricing/parse-price.ts';
import {
  challengeTerms,
  lockedCallPrice,
  lockedMeteredPrice,
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

test('a metered price sells its deposit as credit, rounded up to what can be invoiced', () => {
  const price = parsePrice('100 msat/second');
  assert.deepEqual(challengeTerms(price, { ...CONTEXT, depositMsat: msat(100_000) }), {
    invoiceMsat: 100_000,
    creditMsat: 100_000,
    validUntilSec: 1_900_000_000 + 600 + 2_592_000,
  });
  const whole = { ...CONTEXT, precisionMsat: msat(1_000), depositMsat: msat(6_001) };
  assert.deepEqual(
    [challengeTerms(price, whole).invoiceMsat, challengeTerms(price, whole).creditMsat],
    [7_000, 7_000],
  );
  assert.equal(challengeTerms(price, { ...CONTEXT, depositMsat: msat(10) }).creditMsat, 1_000);
});

test('a deposit changes nothing for other prices', () => {
  assert.equal(
    challengeTerms(parsePrice('10 sat'), { ...CONTEXT, depositMsat: msat(500_000) }).invoiceMsat,
    10_000,
  );
});

test('free and fiat prices, and a metered one without a deposit, are not sold by a challenge', () => {
  const empty = { ...CONTEXT, depositMsat: msat(0) };
  assert.throws(() => challengeTerms(parsePrice('1 sat/minute'), empty), RangeError);
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

/** Today's price, the price it was bought at, the rate at which it is counted. */
const LOCKED_RATES: readonly (readonly [string, string, string | undefined])[] = [
  ['200 msat/second', '100 msat/second', '100 msat/second'],
  ['50 msat/second', '100 msat/second', '50 msat/second'],
  ['360 sat/hour', '100 msat/second', '100 msat/second'],
  ['359999 msat/hour', '100 msat/second', '359999 msat/hour'],
  ['360001 msat/hour', '100 msat/second', '100 msat/second'],
  ['10 msat/KB', '11 sat/MB', '10 msat/KB'],
  ['3 sat/1k tokens', '2 sat/1k tokens', '2 sat/1k tokens'],
  ['1 sat/1k words', '2 sat/1k tokens', '1 sat/1k words'],
  ['3 sat/1k tokens', '100 msat/second', '3 sat/1k tokens'],
  ['1 msat/KB', '100 msat/second', '1 msat/KB'],
  ['1 sat for 24h', '100 msat/second', undefined],
  ['10 sat', '100 msat/second', undefined],
  ['50 sat for 100 calls', '100 msat/second', undefined],
  ['free', '100 msat/second', undefined],
  ['100 msat/second', '10 sat', undefined],
  ['100 msat/second', '50 sat for 100 calls', undefined],
  ['100 msat/second', '1 sat for 24h', undefined],
  ['10 sat', '10 sat', undefined],
];

for (const [current, locked, expected] of LOCKED_RATES) {
  test(`bought at "${locked}", sold now at "${current}": ${expected ?? 'not counted'}`, () => {
    const rate = lockedMeteredPrice(parsePrice(current), parsePrice(locked));
    assert.deepEqual(rate, expected === undefined ? undefined : parsePrice(expected));
  });
}

test('rates beyond the exact range of floats are compared exactly', () => {
  const dear = parsePrice('9007199254740991 msat/9007199254740989 bytes');
  const cheap = parsePrice('9007199254740990 msat/9007199254740989 bytes');
  assert.equal(lockedMeteredPrice(cheap, dear), cheap);
  assert.equal(lockedMeteredPrice(dear, cheap), cheap);
});

test('every credential is counted, pays by the call, or (a deposit where only passes are sold) buys nothing: never two of these', () => {
  const sold = [
    '10 sat',
    '50 sat for 100 calls',
    '1 sat for 1h',
    '1 sat/minute',
    '1 sat/KB',
    '3 sat/1k tokens',
  ];
  for (const current of ['free', ...sold].map(parsePrice)) {
    for (const locked of sold.map(parsePrice)) {
      const buysNothing = locked.kind === 'metered' && current.kind === 'pass';
      if (lockedMeteredPrice(current, locked) === undefined && !buysNothing) {
        assert.ok(lockedCallPrice(current, locked) >= 0);
      } else {
        assert.throws(() => lockedCallPrice(current, locked), RangeError);
      }
    }
  }
});

test('no price that was bought at is ever raised', () => {
  const rate = fc.record({
    amount: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    per: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  });
  fc.assert(
    fc.property(rate, rate, (a, b) => {
      const [current, locked] = [a, b].map(({ amount, per }) => parsePrice(`${amount} msat/${per} bytes`));
      assert.ok(current?.kind === 'metered' && locked?.kind === 'metered');
      const held = lockedMeteredPrice(current, locked);
      assert.ok(held !== undefined);
      const least = (one: typeof held, other: typeof held): boolean =>
        BigInt(one.amountMsat) * BigInt(other.per) <= BigInt(other.amountMsat) * BigInt(one.per);
      assert.ok(least(held, locked) && least(held, current));
    }),
  );
});
