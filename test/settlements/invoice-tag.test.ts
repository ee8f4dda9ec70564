import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { invoiceTag, readMemo, tagMemo } from '../../gateway/settlements/invoice-tag.ts';

const TAG = invoiceTag('ab'.repeat(16));

test('a tag is eight hex digits, and another generation has another one', () => {
  assert.match(TAG, /^[0-9a-f]{8}$/);
  assert.equal(invoiceTag('ab'.repeat(16)), TAG);
  assert.notEqual(invoiceTag('ac'.repeat(16)), TAG);
});

test('a person reads the memo first, and the tag says which service and whose', () => {
  assert.equal(tagMemo('My shop: quote', TAG), `My shop: quote [sluice:${TAG}]`);
  assert.deepEqual(readMemo(tagMemo('My shop: quote', TAG)), { tag: TAG, service: 'quote' });
  assert.deepEqual(readMemo(tagMemo('a: b: live-2, top-up', TAG)), { tag: TAG, service: 'live-2' });
  assert.deepEqual(readMemo(tagMemo('A Thing', TAG)), { tag: TAG, service: undefined });
});

test('what is not at the end, or not of this form, is no tag', () => {
  for (const memo of ['', 'coffee', `[sluice:${TAG}] coffee`, '[sluice:xyz]', '[sluice:ABCDEF01]']) {
    assert.equal(readMemo(memo), undefined, memo);
  }
});

test('any memo keeps its tag and fits into an invoice', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 900 }), (memo) => {
      const tagged = tagMemo(memo, TAG);
      assert.ok(Buffer.byteLength(tagged) <= 639);
      assert.equal(readMemo(tagged)?.tag, TAG);
      assert.doesNotMatch(tagged.replace(memo, ''), /\ufffd/);
    }),
    { numRuns: 300 },
  );
});

test('reading any memo ends, whatever it holds', () => {
  fc.assert(fc.property(fc.string({ maxLength: 2_000 }), (memo) => void readMemo(`${memo}[sluice:${TAG}]`)));
});
