import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { L402Error } from '../../gateway/l402/errors.ts';
import { decodeIdentifier, encodeIdentifier, IDENTIFIER_BYTES } from '../../gateway/l402/identifier.ts';
import { GO_MACAROON } from '../vectors/macaroons.ts';

const hex32 = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));
const refused = { name: 'L402Error', code: 'bad-identifier' };

test('an identifier has the bytes of the go-macaroon vector', () => {
  const { paymentHash, tokenId, identifier } = GO_MACAROON;
  assert.deepEqual(encodeIdentifier({ paymentHash, tokenId }), identifier);
  assert.deepEqual(decodeIdentifier(identifier), { paymentHash, tokenId });
});

test('every identifier comes back as it was', () => {
  fc.assert(
    fc.property(hex32, hex32, (paymentHash, tokenId) => {
      const bytes = encodeIdentifier({ paymentHash, tokenId });
      assert.equal(bytes.length, IDENTIFIER_BYTES);
      assert.deepEqual(decodeIdentifier(bytes), { paymentHash, tokenId });
    }),
  );
});

test('any bytes are an identifier that encodes to them, or an L402Error', () => {
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 66, maxLength: 66 }));
  fc.assert(
    fc.property(bytes, (raw) => {
      const input = Buffer.from(raw);
      try {
        assert.deepEqual(encodeIdentifier(decodeIdentifier(input)), input);
      } catch (error) {
        assert.ok(error instanceof L402Error);
      }
    }),
  );
});

test('another version, a missing byte and a byte too many are refused', () => {
  const future = Buffer.from(GO_MACAROON.identifier);
  future[1] = 1;
  assert.throws(() => decodeIdentifier(future), refused);
  assert.throws(() => decodeIdentifier(GO_MACAROON.identifier.subarray(0, 65)), refused);
  assert.throws(() => decodeIdentifier(Buffer.concat([GO_MACAROON.identifier, Buffer.alloc(1)])), refused);
});

test('ids that are upper case, short or not hex are not encoded', () => {
  const good = 'aa'.repeat(32);
  for (const wrong of ['AA'.repeat(32), 'aa'.repeat(31), `${'aa'.repeat(31)}zz`, '']) {
    assert.throws(() => encodeIdentifier({ paymentHash: wrong, tokenId: good }), refused);
    assert.throws(() => encodeIdentifier({ paymentHash: good, tokenId: wrong }), refused);
  }
});
