import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isFixedPrice, listedOrders } from '../../gateway/flow/challenge-order.ts';
import { msat } from '../../node/msat.ts';
import { testConfig, testService } from '../support/config.ts';

const UPSTREAM = { path: '/*', upstream: 'http://127.0.0.1:1' };
const NODE = {
  minInvoiceMsat: msat(1),
  precisionMsat: msat(1_000),
  cancel: true,
  settlementFeed: true,
  playMoney: true,
};

test('a price is fixed when everybody is asked for the same: not what is charged by reports', () => {
  for (const price of [
    '10 sat',
    '500 sat for 100 calls',
    '1000 sat for 24h',
    '100 msat/second',
    '1 sat/KB',
  ]) {
    assert.ok(isFixedPrice(testService({ ...UPSTREAM, price })), price);
  }
  assert.ok(!isFixedPrice(testService({ ...UPSTREAM, price: 'free' })));
  const usage = { kind: 'header', header: 'x-units', unitName: 'images', estimateUnits: 1 };
  const reported = testService({ ...UPSTREAM, price: '3 sat/image' });
  assert.ok(reported.metering);
  assert.ok(!isFixedPrice({ ...reported, metering: Object.assign({ ...reported.metering }, { usage }) }));
});

test('the orders of a configuration are what its challenges ask for: by price, memo and expiry', () => {
  const config = testConfig([
    testService({ ...UPSTREAM, name: 'quote', price: '1500 msat' }),
    testService({ ...UPSTREAM, name: 'open', price: 'free' }),
  ]);
  assert.deepEqual(listedOrders(config, NODE), [
    { service: 'quote', amountMsat: 2_000, memo: 'Test : quote', expirySec: 600 },
  ]);
});
