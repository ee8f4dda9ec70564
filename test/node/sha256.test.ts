import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { paymentHashOf, sha256 } from '../../node/sha256.ts';

test('digests are those of FIPS 180-4, of any length of input', () => {
  assert.equal(
    sha256(Buffer.from('abc')).toString('hex'),
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  );
  for (let length = 0; length < 200; length += 1) {
    const bytes = randomBytes(length);
    assert.deepEqual(sha256(bytes), createHash('sha256').update(bytes).digest());
  }
});

test('a digest is 32 bytes of its own', () => {
  const [first, second] = [sha256(Buffer.from('a')), sha256(Buffer.from('b'))];
  const before = Buffer.from(second);
  first.fill(0);
  assert.deepEqual(second, before);
  assert.equal(first.length, 32);
});

test('the payment hash of a preimage is its SHA-256, in lower-case hex', () => {
  assert.equal(
    paymentHashOf('00'.repeat(32)),
    '66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925',
  );
});
