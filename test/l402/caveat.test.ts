import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readTerms, type Terms, type TermsRefusal, termsToCaveats } from '../../gateway/l402/caveat.ts';
import { msat } from '../../node/msat.ts';

const terms: Terms = {
  service: 'quote',
  capabilities: 'read,write',
  validUntilSec: 1_900_000_000,
  accountId: 'ab'.repeat(32),
  creditMsat: msat(500_000),
  price: '500000 msat for 100 calls',
};
const minted = termsToCaveats(terms);
const preimage = '0f'.repeat(32);

function refuses(caveats: readonly string[], reason: TermsRefusal): void {
  assert.deepEqual(readTerms(caveats), { kind: 'refused', reason }, caveats.slice(6).join(' | '));
}

/** The reading of the minted terms with caveats appended; fails when it is refused. */
function reads(...appended: readonly string[]) {
  const reading = readTerms([...minted, ...appended]);
  assert.equal(reading.kind, 'terms', appended.join(' | '));
  return reading;
}

/** The minted prefix with one caveat replaced. */
function changed(position: number, caveat: string): string[] {
  return minted.with(position, caveat);
}

const anyTerms: fc.Arbitrary<Terms> = fc.record(
  {
    service: fc.stringMatching(/^[a-z0-9-]{1,20}$/),
    capabilities: fc.stringMatching(/^[a-z:._/-]{1,9}(,[A-Z=]{1,9}){0,3}$/),
    validUntilSec: fc.maxSafeNat(),
    accountId: fc.stringMatching(/^[0-9a-f]{64}$/),
    creditMsat: fc.maxSafeNat().map(msat),
    price: fc.stringMatching(/^[ -~äß]{1,40}$/),
  },
  { noNullPrototype: true },
);

test('terms are written as six caveats in the agreed order', () => {
  assert.deepEqual(minted, [
    'services=quote:0',
    'quote_capabilities=read,write',
    'quote_valid_until=1900000000',
    `quote_account=${'ab'.repeat(32)}`,
    'quote_credit_msat=500000',
    'quote_price=500000 msat for 100 calls',
  ]);
});

test('terms come back as they were minted', () => {
  fc.assert(
    fc.property(anyTerms, (anyOf) => {
      assert.deepEqual(readTerms(termsToCaveats(anyOf)), {
        kind: 'terms',
        minted: anyOf,
        validUntilSec: anyOf.validUntilSec,
        capabilities: anyOf.capabilities,
        narrowed: false,
      });
    }),
  );
});

test('terms that could not be read back are not written', () => {
  const wrong: Partial<Terms>[] = [
    { service: '' },
    { service: 'my_service' },
    { service: 'Quote' },
    { capabilities: '' },
    { capabilities: 'read,,write' },
    { capabilities: 'read, write' },
    { validUntilSec: 1.5 },
    { validUntilSec: -1 },
    { validUntilSec: Number.NaN },
    { validUntilSec: 2 ** 53 },
    { accountId: 'AB'.repeat(32) },
    { accountId: '' },
    { price: '' },
    { price: '1 sat\nfree' },
    { price: '\ud800' },
  ];
  for (const part of wrong) {
    assert.throws(() => termsToCaveats({ ...terms, ...part }), { name: 'L402Error', code: 'bad-terms' });
  }
});

test('every appended money caveat is refused, whatever it says', () => {
  for (const caveat of [
    'quote_credit_msat=9007199254740991',
    'quote_credit_msat=500000',
    'quote_credit_msat=0',
    'quote_price=free',
    'quote_price=500000 msat for 100 calls',
  ]) {
    refuses([...minted, caveat], 'appended-terms');
    refuses([...minted, `preimage=${preimage}`, caveat], 'appended-terms');
  }
});

test("a victim's account appended is refused, and so is one's own", () => {
  refuses([...minted, `quote_account=${'cd'.repeat(32)}`], 'appended-terms');
  refuses([...minted, `quote_account=${terms.accountId}`], 'appended-terms');
});

test('another service appended is refused', () => {
  refuses([...minted, 'services=other:0'], 'appended-terms');
  refuses([...minted, 'services=quote:0'], 'appended-terms');
  refuses([...minted, 'services=quote:1,other:0'], 'appended-terms');
});

test('any other condition with the prefix of the own service is refused', () => {
  for (const caveat of ['quote_tier=gold', 'quote_', 'quote_account', 'quote_valid_until ', 'quote_=1']) {
    refuses([...minted, caveat], 'appended-terms');
  }
});

test('a look-alike of our own conditions is refused, not ignored', () => {
  for (const caveat of [
    ' quote_account=00',
    'quote_account =00',
    'QUOTE_credit_msat=1',
    'Services=other:0',
    '\tservices=other:0',
    'quote_valid_until =1',
  ]) {
    refuses([...minted, caveat], 'appended-terms');
  }
});

test('conditions that we do not know are ignored, and count as narrowing', () => {
  for (const caveat of [
    'ip=192.0.2.1',
    'other_account=00',
    'other_valid_until=1',
    'no condition',
    '',
    '=',
    'service=x',
    'quotes_x=1',
  ]) {
    const reading = reads(caveat);
    assert.equal(reading.narrowed, true);
    assert.equal(reading.validUntilSec, terms.validUntilSec);
    assert.deepEqual(reading.minted, terms);
  }
});

test('an appended expiry narrows the effective one and leaves the minted one', () => {
  const reading = reads('quote_valid_until=1800000000', 'quote_valid_until=1700000000');
  assert.equal(reading.validUntilSec, 1_700_000_000);
  assert.equal(reading.minted.validUntilSec, terms.validUntilSec);
  assert.equal(reading.narrowed, true);
  assert.equal(reads('quote_valid_until=1900000000').validUntilSec, 1_900_000_000);
});

test('an appended expiry that is later than the one before it is refused', () => {
  refuses([...minted, 'quote_valid_until=1900000001'], 'widened');
  refuses([...minted, 'quote_valid_until=1700000000', 'quote_valid_until=1800000000'], 'widened');
});

test('an expiry that is not a canonical whole number is refused', () => {
  const wrong = [
    '',
    '-1',
    '+1',
    '01',
    '1.0',
    '1e3',
    ' 1',
    '1 ',
    '0x1',
    'NaN',
    '٣',
    '9007199254740992',
    '1_0',
  ];
  for (const value of wrong) {
    refuses([...minted, `quote_valid_until=${value}`], 'widened');
    refuses(changed(2, `quote_valid_until=${value}`), 'no-terms');
    refuses(changed(4, `quote_credit_msat=${value}`), 'no-terms');
  }
});

test('appended capabilities narrow, and may only repeat names that were there', () => {
  assert.equal(reads('quote_capabilities=write').capabilities, 'write');
  assert.equal(reads('quote_capabilities=write,read', 'quote_capabilities=read').capabilities, 'read');
  refuses([...minted, 'quote_capabilities=admin'], 'widened');
  refuses([...minted, 'quote_capabilities=read,admin'], 'widened');
  refuses([...minted, 'quote_capabilities=all'], 'widened');
  refuses([...minted, 'quote_capabilities=read', 'quote_capabilities=write'], 'widened');
  refuses([...minted, 'quote_capabilities='], 'widened');
  refuses([...minted, 'quote_capabilities=read,'], 'widened');
});

test('a token for all capabilities may be narrowed to any, once', () => {
  const all = termsToCaveats({ ...terms, capabilities: 'all' });
  const reading = readTerms([...all, 'quote_capabilities=read']);
  assert.equal(reading.kind === 'terms' && reading.capabilities, 'read');
  refuses([...all, 'quote_capabilities=read', 'quote_capabilities=all'], 'widened');
});

test('an appended preimage is read and does not narrow', () => {
  const upper = preimage.toUpperCase();
  const reading = reads(`preimage=${upper}`, `preimage=${preimage}`);
  assert.equal(reading.preimage, preimage);
  assert.equal(reading.narrowed, false);
  assert.equal(reads(`preimage=${preimage}`, 'quote_valid_until=1').narrowed, true);
});

test('a preimage that is not 64 hex digits, or a second one, is refused', () => {
  refuses([...minted, 'preimage='], 'bad-preimage');
  refuses([...minted, 'preimage'], 'bad-preimage');
  refuses([...minted, `preimage=${preimage}0`], 'bad-preimage');
  refuses([...minted, `preimage=${preimage}`, `preimage=${'ff'.repeat(32)}`], 'bad-preimage');
});

test('a prefix in any other order is refused', () => {
  for (let a = 0; a < minted.length; a += 1) {
    for (let b = a + 1; b < minted.length; b += 1) {
      const swapped = minted.with(a, minted[b] ?? '').with(b, minted[a] ?? '');
      refuses(swapped, 'no-terms');
    }
  }
});

test('a prefix with a caveat missing, doubled or put in between is refused', () => {
  for (let position = 0; position < minted.length; position += 1) {
    refuses(minted.toSpliced(position, 1), 'no-terms');
    refuses(minted.slice(0, position), 'no-terms');
    refuses(minted.toSpliced(position, 0, 'ip=192.0.2.1'), 'no-terms');
    const doubled = readTerms(minted.toSpliced(position, 0, minted[position] ?? ''));
    // Only the price can stand twice in a row: then the second is an appended one.
    const reason = position === 5 ? 'appended-terms' : 'no-terms';
    assert.deepEqual(doubled, { kind: 'refused', reason });
  }
});

test('a prefix whose caveats name another service is refused', () => {
  const other = termsToCaveats({ ...terms, service: 'other' });
  for (let position = 0; position < minted.length; position += 1) {
    refuses(changed(position, other[position] ?? ''), 'no-terms');
  }
});

test('a prefix of another form is refused', () => {
  for (const services of ['services=quote:1', 'services=quote', 'services=quote:0,other:0', 'services=:0']) {
    refuses(changed(0, services), 'no-terms');
  }
  refuses(changed(0, 'services=quote:0\n'), 'no-terms');
  refuses(changed(3, `quote_account=${'AB'.repeat(32)}`), 'no-terms');
  refuses(changed(3, 'quote_account=constructor'), 'no-terms');
  refuses(changed(5, 'quote_price='), 'no-terms');
  refuses(changed(5, 'quote_price=1\n2'), 'no-terms');
});

test('an Aperture token, which carries no account, is refused', () => {
  refuses(
    ['services=quote:0', 'quote_capabilities=add', 'quote_valid_until=1900000000', `preimage=${preimage}`],
    'no-terms',
  );
  refuses([], 'no-terms');
});

test('whatever is appended, the minted terms stay and the effective ones only shrink', () => {
  const caveat = fc.oneof(
    fc.string(),
    fc
      .tuple(fc.constantFrom('services', 'preimage', 'ip', 'other_account'), fc.string())
      .map((p) => p.join('=')),
    fc
      .tuple(
        fc.constantFrom('valid_until', 'capabilities', 'account', 'credit_msat', 'price', 'x'),
        fc.oneof(fc.string(), fc.nat(2_000_000_000).map(String), fc.constantFrom('read', 'write', 'all')),
      )
      .map(([name, value]) => `quote_${name}=${value}`),
  );
  fc.assert(
    fc.property(fc.array(caveat, { maxLength: 8 }), (appended) => {
      const reading = readTerms([...minted, ...appended]);
      if (reading.kind === 'refused') return;
      assert.deepEqual(reading.minted, terms);
      assert.ok(reading.validUntilSec <= terms.validUntilSec);
      assert.ok(reading.capabilities.split(',').every((name) => ['read', 'write'].includes(name)));
      for (const text of appended) assert.doesNotMatch(text, /^quote_(account|credit_msat|price)/);
    }),
    { numRuns: 2000 },
  );
});

test('any caveats at all are terms or a refusal', () => {
  const almost = fc.array(fc.oneof(fc.string(), fc.constantFrom(...minted)), { maxLength: 12 });
  fc.assert(
    fc.property(almost, (caveats) => {
      assert.ok(['terms', 'refused'].includes(readTerms(caveats).kind));
    }),
    { numRuns: 1000 },
  );
});
