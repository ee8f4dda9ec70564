import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePrice } from '../../gateway/pricing/parse-price.ts';
import { whyNotSellable } from '../../gateway/pricing/sellable.ts';

test('calls, bundles, passes, metered prices and free routes are sold', () => {
  const sold = ['free', '10 sat', '500 sat for 100 calls', '1000 sat for 24h', '1 sat/KB', '3 sat/1k tokens'];
  for (const text of sold) {
    assert.equal(whyNotSellable(parsePrice(text)), undefined);
  }
});

test('what is refused comes with something to write instead that is sold', () => {
  const instead = /`([^`]+)`/.exec(whyNotSellable(parsePrice('0.2 usd')) ?? '')?.[1] ?? '';
  assert.equal(whyNotSellable(parsePrice(instead)), undefined);
});
