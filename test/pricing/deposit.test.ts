import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { describeBought } from '../../gateway/pricing/describe-deposit.ts';
import { parseDeposit } from '../../gateway/pricing/parse-deposit.ts';
import { parsePrice } from '../../gateway/pricing/parse-price.ts';
import { PriceError } from '../../gateway/pricing/price-error.ts';
import { msat } from '../../node/msat.ts';

const DEPOSITS: readonly (readonly [string, object])[] = [
  ['100 sat', { kind: 'amount', amountMsat: 100_000 }],
  ['1500msat', { kind: 'amount', amountMsat: 1_500 }],
  ['1k sat', { kind: 'amount', amountMsat: 1_000_000 }],
  ['60s', { kind: 'quantity', count: 60, unit: 'second', unitName: 'second' }],
  ['1.5 minutes', { kind: 'quantity', count: 90, unit: 'second', unitName: 'second' }],
  ['10MB', { kind: 'quantity', count: 10_000_000, unit: 'byte', unitName: 'byte' }],
  ['1 GB', { kind: 'quantity', count: 1_000_000_000, unit: 'byte', unitName: 'byte' }],
  ['50 events', { kind: 'quantity', count: 50, unit: 'event', unitName: 'event' }],
  ['100k tokens', { kind: 'quantity', count: 100_000, unit: 'unit', unitName: 'tokens' }],
];

for (const [text, deposit] of DEPOSITS) {
  test(`the deposit "${text}"`, () => assert.deepEqual(parseDeposit(text), deposit));
}

test('what is no deposit is refused, with forms that are', () => {
  const refused = [
    '',
    '60',
    'sat',
    '0s',
    '0 sat',
    '0.5s',
    '-1 sat',
    '10 hors',
    '2 months',
    '500ms',
    '0.2 usd',
    '0.0001 msat',
  ];
  for (const text of [
    ...refused,
    '100 sat/hour',
    '60s or so',
    '1,000 sat',
    '9999999999999999999 weeks',
    'x'.repeat(201),
  ]) {
    assert.throws(
      () => parseDeposit(text),
      (error: unknown) => {
        assert.ok(error instanceof PriceError, text);
        for (const form of error.nearest.split('` or `')) parseDeposit(form);
        return true;
      },
      text,
    );
  }
});

test('no text makes anything but a deposit or a PriceError', () => {
  const word = fc.constantFrom(
    '1',
    '0.5',
    '1e9',
    'k',
    'M',
    'sat',
    's',
    'MB',
    'tokens',
    ' ',
    '/',
    '-',
    ',',
    'per',
  );
  const texts = fc.oneof(
    fc.array(word, { maxLength: 8 }).map((words) => words.join('')),
    fc.string(),
  );
  fc.assert(
    fc.property(texts, (text) => {
      try {
        parseDeposit(text);
      } catch (error) {
        assert.ok(error instanceof PriceError, String(error));
      }
    }),
  );
});

/** A price, an amount in msat, what it buys. */
const BOUGHT: readonly (readonly [string, number, string])[] = [
  ['100 msat/second', 100_000, '16 minutes 40 seconds'],
  ['100 msat/second', 6_000, '1 minute'],
  ['100 msat/second', 50, '500 ms'],
  ['1 sat/hour', 100_000, '4 days 4 hours'],
  ['10 msat/KB', 100_000, '10 MB'],
  ['3 sat/MB', 1_000, '333.33 KB'],
  ['1 sat/byte', 1_000, '1 byte'],
  ['2 sat/event', 3_000, '1 event'],
  ['3 sat/1k tokens', 100_000, '33333 tokens'],
];

for (const [price, amount, text] of BOUGHT) {
  test(`${amount} msat at ${price} buy ${text}`, () => {
    const parsed = parsePrice(price);
    assert.ok(parsed.kind === 'metered');
    assert.equal(describeBought(parsed, msat(amount)), text);
  });
}
