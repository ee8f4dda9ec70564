import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { describePrice } from '../../gateway/pricing/describe-price.ts';
import { formatPrice, parseCanonicalPrice } from '../../gateway/pricing/format-price.ts';
import { parsePrice } from '../../gateway/pricing/parse-price.ts';
import type { Price } from '../../gateway/pricing/price.ts';
import { PriceError } from '../../gateway/pricing/price-error.ts';
import { type Msat, msat } from '../../node/msat.ts';

const amount: fc.Arbitrary<Msat> = fc.integer({ min: 1, max: 2 ** 53 - 1 }).map(msat);
const count = fc.integer({ min: 1, max: 1_000_000_000 });

/** Any price that parsePrice could make. */
const anyPrice: fc.Arbitrary<Price> = fc.oneof(
  fc.constant<Price>({ kind: 'free' }),
  amount.map((amountMsat): Price => ({ kind: 'call', amountMsat })),
  fc.tuple(fc.integer({ min: 1, max: 9_000_000 }), count).map(
    ([each, calls]): Price => ({
      kind: 'bundle',
      totalMsat: msat(each * calls),
      calls,
      perCallMsat: msat(each),
    }),
  ),
  fc
    .tuple(amount, fc.integer({ min: 1, max: 300_000_000 }))
    .map(([amountMsat, durationSec]): Price => ({ kind: 'pass', amountMsat, durationSec })),
  fc
    .tuple(amount, count, fc.constantFrom('second', 'byte', 'event'))
    .map(([amountMsat, per, unit]): Price => ({ kind: 'metered', amountMsat, per, unit, unitName: unit })),
  fc
    .tuple(amount, count, fc.constantFrom('tokens', 'images', 'gpu-cycles'))
    .map(
      ([amountMsat, per, unitName]): Price => ({ kind: 'metered', amountMsat, per, unit: 'unit', unitName }),
    ),
  fc
    .tuple(fc.integer({ min: 1, max: 2 ** 53 - 1 }), fc.constantFrom('USD', 'EUR', 'JPY'))
    .map(([microUnits, currency]): Price => ({ kind: 'fiat', microUnits, currency })),
);

test('the canonical text reads back as the same price and is safe inside a caveat', () => {
  fc.assert(
    fc.property(anyPrice, (price) => {
      const text = formatPrice(price);
      assert.match(text, /^[a-zA-Z0-9/:-]{4,100}$/);
      assert.deepEqual(parseCanonicalPrice(text), price);
    }),
  );
});

test('what people are shown can be written back and is the same price', () => {
  fc.assert(
    fc.property(anyPrice, (price) => {
      assert.deepEqual(parsePrice(describePrice(price)), price);
    }),
  );
});

test('whatever the strict reader accepts formats to the very same text', () => {
  const near = fc
    .tuple(
      fc.constantFrom('', '0', '1', '10000', '007', '99999999999999999'),
      fc.constantFrom('msat/', 'uUSD/', 'uxx/'),
    )
    .chain((head) =>
      fc
        .constantFrom(
          'call',
          '100calls',
          '0calls',
          '3calls',
          '60s-pass',
          '1s',
          '1000B',
          '1unit:tokens',
          '1unit:',
          '1event',
          ' call',
        )
        .map((tail) => head.join('') + tail),
    );
  fc.assert(
    fc.property(fc.oneof(near, fc.string({ maxLength: 120 })), (text) => {
      try {
        assert.equal(formatPrice(parseCanonicalPrice(text)), text);
      } catch (error) {
        assert.ok(error instanceof PriceError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

for (const text of [
  '',
  'FREE',
  'free ',
  '0msat/call',
  '010msat/call',
  '10msat/3calls',
  '10msat/0s',
  '10msat/1unit:s p',
  '9007199254740992msat/call',
  '10sat/call',
  '10msat/1e3s',
]) {
  test(`"${text}" is not canonical`, () => {
    assert.throws(() => parseCanonicalPrice(text), PriceError);
  });
}

/** A price as written, and how it is shown. */
const SHOWN: readonly (readonly [string, string])[] = [
  ['free', 'free'],
  ['10 sat', '10 sat a call'],
  ['0.5 sat', '500 msat a call'],
  ['500 sat for 100 calls', '500 sat for 100 calls'],
  ['1000 sat for 1 day', '1000 sat for 24 hours'],
  ['200 sat for 10m', '200 sat for 10 minutes'],
  ['7k sat for 1 week', '7000 sat for 7 days'],
  ['360 sat/hour', '360 sat per hour'],
  ['100 msat/second', '100 msat per second'],
  ['1 sat/KB', '1 sat per KB'],
  ['3 sat/1k tokens', '3 sat per 1000 tokens'],
  ['0.20 usd', '0.2 usd a call'],
];

for (const [written, shown] of SHOWN) {
  test(`"${written}" is shown as "${shown}"`, () => {
    assert.equal(describePrice(parsePrice(written)), shown);
  });
}
