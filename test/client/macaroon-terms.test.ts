import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isShared, readMacaroonTerms } from '../../client/macaroon-terms.ts';

// From go-macaroon v2.1.0.
const VECTOR =
  'AgEEbHNhdAJCAAAC1EmjH7smfI81Lplop54+X8lcG76qUC/WRU695aS+3KqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqAAITc2VydmljZXM9c2VydmljZTE6MAACInNlcnZpY2UxX2NhcGFiaWxpdGllcz1hZGQsc3VidHJhY3QAAh9zZXJ2aWNlMV92YWxpZF91bnRpbD0xOTAwMDAwMDAwAAAGIAIOHTlZtfJphluUVOszAmJlJxjWppSsaz2Pm8bKkCgD';
const TERMS = {
  paymentHash: '02d449a31fbb267c8f352e9968a79e3e5fc95c1bbeaa502fd6454ebde5a4bedc',
  service: 'service1',
  validUntilSec: 1_900_000_000,
};

describe('readMacaroonTerms', () => {
  it('reads payment hash, service and expiry of a macaroon of another implementation', () => {
    assert.deepEqual(readMacaroonTerms(VECTOR), TERMS);
    assert.deepEqual(readMacaroonTerms(VECTOR.replaceAll('+', '-').replaceAll('/', '_')), TERMS);
  });

  it('has no terms for what it can not read', () => {
    for (const text of ['', 'AgEE', '!', VECTOR.slice(0, 200), 'A'.repeat(12_000)]) {
      assert.deepEqual(readMacaroonTerms(text), {});
    }
  });

  it('never throws and always ends', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, isVersion2) => {
        if (isVersion2) bytes.set([2].slice(0, bytes.length));
        assert.ok(readMacaroonTerms(Buffer.from(bytes).toString('base64')));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('isShared', () => {
  it('is true for passes, bundles, credit for several calls, and what is unknown', () => {
    assert.ok(isShared({}));
    assert.ok(isShared({ price: '200000 msat for 600s', creditMsat: 0 }));
    assert.ok(isShared({ price: '500000 msat for 100 calls', creditMsat: 500_000 }));
    assert.ok(isShared({ price: '100 msat', creditMsat: 1_000 }));
  });

  it('is false for the credit of one call', () => {
    assert.ok(!isShared({ price: '10000 msat', creditMsat: 10_000 }));
    assert.ok(!isShared({ price: '10000msat/call', creditMsat: 10_000 }), 'as the gateway writes it');
    assert.ok(isShared({ price: '100msat/1s', creditMsat: 60_000 }));
  });
});
