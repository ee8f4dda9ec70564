import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { describePrice } from '../../gateway/pricing/describe-price.ts';
import { formatPrice } from '../../gateway/pricing/format-price.ts';
import { parseAmountMsat } from '../../gateway/pricing/parse-amount.ts';
import { parsePrice } from '../../gateway/pricing/parse-price.ts';
import { PriceError } from '../../gateway/pricing/price-error.ts';

/** What is written, and its canonical form. */
const LEGAL: readonly (readonly [string, string])[] = [
  ['free', 'free'],
  [' Free ', 'free'],
  ['10 sat', '10000msat/call'],
  ['10sat', '10000msat/call'],
  ['10 SATS', '10000msat/call'],
  ['1 satoshi', '1000msat/call'],
  ['1500 msat', '1500msat/call'],
  ['0.5 sat', '500msat/call'],
  ['0.001 sat', '1msat/call'],
  ['1.5k sat', '1500000msat/call'],
  ['2M sat', '2000000000msat/call'],
  ['10 sat a call', '10000msat/call'],
  ['10 sat per call', '10000msat/call'],
  ['10 sat/call', '10000msat/call'],
  ['10 sat/request', '10000msat/call'],
  ['10 sat each', '10000msat/call'],
  ['500 sat for 100 calls', '500000msat/100calls'],
  ['500 sat for 1 call', '500000msat/1calls'],
  ['50 sat for 1k requests', '50000msat/1000calls'],
  ['1.5 sat for 3 calls', '1500msat/3calls'],
  ['1000 sat for 24h', '1000000msat/86400s-pass'],
  ['1000 sat for 24 hours', '1000000msat/86400s-pass'],
  ['1000 sat for a day', '1000000msat/86400s-pass'],
  ['200 sat for 10m', '200000msat/600s-pass'],
  ['200 sat for 1.5 minutes', '200000msat/90s-pass'],
  ['200 sat for 30 s', '200000msat/30s-pass'],
  ['200 sat for 2 weeks', '200000msat/1209600s-pass'],
  ['360 sat/hour', '360000msat/3600s'],
  ['360 sat an hour', '360000msat/3600s'],
  ['100 msat/second', '100msat/1s'],
  ['100 msat / 10 seconds', '100msat/10s'],
  ['0.1 msat/second', '1msat/10s'],
  ['1 sat/KB', '1000msat/1000B'],
  ['1 sat per MB', '1000msat/1000000B'],
  ['5 sat/GB', '5000msat/1000000000B'],
  ['0.1 msat/byte', '1msat/10B'],
  ['2 sat/event', '2000msat/1event'],
  ['2 sat/message', '2000msat/1event'],
  ['3 sat/1k tokens', '3000msat/1000unit:tokens'],
  ['3 sat per 1M tokens', '3000msat/1000000unit:tokens'],
  ['7 sat/image', '7000msat/1unit:image'],
  ['0.2 usd', '200000uUSD/call'],
  ['0.000001 EUR a call', '1uEUR/call'],
];

for (const [text, canonical] of LEGAL) {
  test(`"${text}" is ${canonical}`, () => {
    assert.equal(formatPrice(parsePrice(text)), canonical);
  });
}

/** What is refused, and the legal form that the message shows. */
const REFUSED: readonly (readonly [string, string])[] = [
  ['', 'free` or `10 sat'],
  ['   ', 'free` or `10 sat'],
  ['fre', 'free'],
  ['free!', 'free'],
  ['frei', 'free'],
  ['gratis', 'free` or `10 sat'],
  ['0', '10 sat'],
  ['0 sat', 'free'],
  ['0.000 sat', 'free'],
  ['-5 sat', 'free` or `10 sat'],
  ['10', '10 sat'],
  ['ten sat', 'free` or `10 sat'],
  ['10 stas', '10 sat'],
  ['10 satz', '10 sat'],
  ['10 mast', '10 msat'],
  ['10 ksat', '10 sat'],
  ['1,000 sat', '1000 sat'],
  ['1_000 sat for 24h', '1000 sat for 24h'],
  ['1.2.3 sat', '12.3 sat'],
  ['.5 sat', 'free` or `10 sat'],
  ['5. sat', '5 sat'],
  ['1e3 sat', '1 sat'],
  ['0x10 sat', '10 sat'],
  ['1m sat', '1M sat'],
  ['$0.20', '0.20 usd'],
  ['€5', '5 eur'],
  ['0.00001 btc', '1000 sat'],
  ['0.0001 sat', '1 msat'],
  ['1.5 msat', '2 msat'],
  ['99999999999999 sat', '1000 sat'],
  ['0.0000001 usd', '0.000001 usd'],
  ['10 sat today', '10 sat for 100 calls'],
  ['10 sat for', '10 sat for 100 calls` or `10 sat for 24h'],
  ['10 sat for ever', '10 sat for 100 calls` or `10 sat for 24h'],
  ['10 sat for 2 months', '10 sat for 60 days'],
  ['10 sat for 3 huors', '10 sat for 3 hours'],
  ['10 sat for 1h30m', '10 sat for 100 calls` or `10 sat for 24h'],
  ['10 sat for 0s', '10 sat for 24h'],
  ['10 sat for 1000 weeks', '10 sat for 24h'],
  ['10 sat for 0 calls', '10 sat for 1 call'],
  ['10 sat for 1.5 calls', '10 sat for 2 calls'],
  ['100 sat for 3 calls', '99999 msat for 3 calls'],
  ['1 msat for 5 calls', '5 msat for 5 calls'],
  ['10 sat/100 calls', '10 sat for 100 calls'],
  ['10 sat/', '10 sat/minute'],
  ['10 sat/hor', '10 sat/hour'],
  ['10 sat/secnod', '10 sat/second'],
  ['10 sat/cal', '10 sat/call'],
  ['10 sat/KiB', '10 sat/KB'],
  ['10 sat/month', '10 sat/30 days'],
  ['10 sat/0 seconds', '100 msat/second'],
  ['10 sat/hour/day', '10 sat/hour'],
  ['1 usd/hour', '1 usd'],
  ['1 usd for 24h', '1 usd'],
  [`${'1'.repeat(201)} sat`, '10 sat'],
];

for (const [text, nearest] of REFUSED) {
  test(`"${text.slice(0, 40)}" is refused and the message shows \`${nearest}\``, () => {
    assert.throws(
      () => parsePrice(text),
      (error) => {
        assert.ok(error instanceof PriceError);
        assert.equal(error.nearest, nearest);
        assert.ok(error.message.includes(nearest));
        return true;
      },
    );
  });
}

test('every legal form that a message shows is legal', () => {
  for (const [, nearest] of REFUSED) for (const form of nearest.split('` or `')) parsePrice(form);
});

test('no mistyped price is free, and what is refused always shows a legal form', () => {
  const piece = fc.constantFrom(
    ...[
      '10',
      '0',
      '0.5',
      '1,000',
      '1.',
      'k',
      'K',
      'M',
      'm',
      'sat',
      'msat',
      'usd',
      'btc',
      'for',
      'a',
      'an',
      'per',
      '/',
      '-',
      '$',
    ],
    ...[
      'call',
      'calls',
      'hour',
      'h',
      's',
      'day',
      'KB',
      'tokens',
      'event',
      'free',
      'each',
      '100',
      '3',
      '24h',
      '10m',
      'month',
    ],
  );
  const written = fc.oneof(
    fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(' ')),
    fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
    fc.string({ maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 20 }),
  );
  fc.assert(
    fc.property(written, (text) => {
      try {
        const price = parsePrice(text);
        if (price.kind === 'free') assert.equal(text.trim().toLowerCase(), 'free');
        if (price.kind === 'bundle') assert.equal(price.perCallMsat * price.calls, price.totalMsat);
        assert.equal(formatPrice(parsePrice(describePrice(price))), formatPrice(price));
      } catch (error) {
        assert.ok(error instanceof PriceError, String(error));
        for (const form of error.nearest.split('` or `')) parsePrice(form);
      }
    }),
    { numRuns: 4_000 },
  );
});

test('decimals are exact: every count of msat written in sat is that count', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 53 - 1 }), (amount) => {
      const text = `${Math.floor(amount / 1000)}.${String(amount % 1000).padStart(3, '0')} sat`;
      assert.deepEqual(parsePrice(text), { kind: 'call', amountMsat: amount });
    }),
  );
});

test('an amount alone is read without a sale', () => {
  assert.equal(parseAmountMsat('1 sat'), 1_000);
  assert.equal(parseAmountMsat('2.5k sat'), 2_500_000);
  assert.throws(() => parseAmountMsat('1 sat for 3 calls'), PriceError);
  assert.throws(() => parseAmountMsat('1 usd'), PriceError);
  assert.throws(() => parseAmountMsat(''), PriceError);
});

test('what is wrong is said without repeating what was written', () => {
  for (const text of ['s3cr3t-value', '10 s3cr3t', '10 sat s3cr3t', '10 sat for s3cr3t', '10 sat/5 s3cr3t']) {
    assert.throws(
      () => parsePrice(text),
      (error) => error instanceof PriceError && !error.problem.includes('s3cr3t'),
    );
  }
});
