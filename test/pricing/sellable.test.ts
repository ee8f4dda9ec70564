import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePrice } from '../../gateway/pricing/parse-price.ts';
import { whyNotSellable } from '../../gateway/pricing/sellable.ts';

test('calls, bundles, passes and free routes are sold', () => {
  for (const text of ['free', '10 sat', '500 sat for 100 calls', '1000 sat for 24h']) {
    assert.equal(whyNotSellable(parsePrice(text)), undefined);
  }
});

test('what is refused comes with something to write instead that is sold', () => {
  for (const text of ['1 sat/KB', '3 sat/1k tokens', '0.2 usd']) {
    const instead = /`([^`]+)`/.exec(whyNotSellable(parsePrice(text)) ?? '')?.[1] ?? '';
    assert.equal(whyNotSellable(parsePrice(instead)), undefined);
  }
});
