import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  affordableOutput,
  compileRates,
  dearestInputMsat,
  ratesOfPrice,
  usageMsat,
} from '../../../gateway/meter/usage/rates.ts';
import { NO_USAGE } from '../../../gateway/meter/usage/usage.ts';
import { parsePrice } from '../../../gateway/pricing/parse-price.ts';
import { msat } from '../../../node/msat.ts';
import { metered } from './fixtures/terms.ts';

test('a charge is the ceiling of the whole, not of its parts', () => {
  const rates = compileRates({
    input: { amountMsat: msat(1), per: 3 },
    output: { amountMsat: msat(1), per: 7 },
  });
  assert.equal(usageMsat(rates, { ...NO_USAGE, input: 1, output: 1 }), 1);
  assert.equal(usageMsat(rates, { ...NO_USAGE, input: 3, output: 7 }), 2);
  assert.equal(usageMsat(rates, { ...NO_USAGE, input: 3, output: 8 }), 3);
  assert.equal(usageMsat(rates, NO_USAGE), 0);
});

test('a price for a thousand tokens charges input and output alike', () => {
  const rates = ratesOfPrice(metered('3 sat/1k tokens'));
  assert.equal(usageMsat(rates, { ...NO_USAGE, input: 19, output: 10 }), 87);
  assert.equal(usageMsat(rates, { ...NO_USAGE, output: 1 }), 3);
});

test('cached input costs as input unless it has a rate of its own', () => {
  const input = { amountMsat: msat(1000), per: 1000 };
  const output = { amountMsat: msat(4000), per: 1000 };
  const usage = { input: 0, cachedInput: 1000, cacheWrite: 0, output: 0 };
  assert.equal(usageMsat(compileRates({ input, output }), usage), 1000);
  const cheap = compileRates({ input, output, cachedInput: { amountMsat: msat(100_000), per: 1_000_000 } });
  assert.equal(usageMsat(cheap, usage), 100);
});

test('an amount beyond every balance is held at 2^53 - 1', () => {
  const rates = compileRates({
    input: { amountMsat: msat(Number.MAX_SAFE_INTEGER), per: 1 },
    output: { amountMsat: msat(0), per: 1 },
  });
  assert.equal(usageMsat(rates, { ...NO_USAGE, input: 2_000_000 }), Number.MAX_SAFE_INTEGER);
});

test('a rate for no units has no meaning', () => {
  for (const per of [0, -1, 0.5, Number.NaN]) {
    assert.throws(
      () => compileRates({ input: { amountMsat: msat(1), per }, output: { amountMsat: msat(1), per: 1 } }),
      RangeError,
    );
  }
});

const rate = fc.record({
  amountMsat: fc.nat(100_000).map(msat),
  per: fc.constantFrom(1, 3, 7, 1000, 1_000_000),
});
const units = fc.nat(2_000_000);

test('charges agree with plain fractions', () => {
  fc.assert(
    fc.property(rate, rate, rate, rate, units, units, units, units, (a, b, c, d, i, r, w, o) => {
      const charge = usageMsat(compileRates({ input: a, output: b, cachedInput: c, cacheWrite: d }), {
        input: i,
        cachedInput: r,
        cacheWrite: w,
        output: o,
      });
      // Over the product of all denominators.
      const per = [a, b, c, d].map((one) => BigInt(one.per));
      const all = per.reduce((x, y) => x * y, 1n);
      const part = (one: typeof a, n: number) => (BigInt(n) * BigInt(one.amountMsat) * all) / BigInt(one.per);
      const sum = part(a, i) + part(b, o) + part(c, r) + part(d, w);
      assert.equal(BigInt(charge), (sum + all - 1n) / all);
    }),
  );
});

test('what a balance is said to buy, it buys, and not one unit more', () => {
  fc.assert(
    fc.property(rate, rate, fc.nat(10_000_000), fc.nat(100_000), (input, output, balance, inputUnits) => {
      const rates = compileRates({ input, output });
      const bought = affordableOutput(rates, msat(balance), inputUnits);
      if (bought === undefined) {
        assert.ok(dearestInputMsat(rates, inputUnits, 0) > balance);
        return;
      }
      if (output.amountMsat === 0) {
        assert.equal(bought, Number.POSITIVE_INFINITY);
        return;
      }
      assert.ok(dearestInputMsat(rates, inputUnits, bought) <= balance);
      assert.ok(dearestInputMsat(rates, inputUnits, bought + 1) > balance);
    }),
  );
});

test('the price grammar writes rates for thousands and millions', () => {
  assert.equal(parsePrice('150 msat/1M tokens').kind, 'metered');
  assert.equal(
    usageMsat(ratesOfPrice(metered('150 msat/1M tokens')), { ...NO_USAGE, output: 1_000_001 }),
    151,
  );
});
