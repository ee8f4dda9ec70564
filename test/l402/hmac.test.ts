import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { hmacSha256 } from '../../gateway/l402/hmac.ts';

const hex = (text: string): Buffer => Buffer.from(text, 'hex');

/** RFC 4231, sections 4.2 to 4.5: those whose key fits into a block, and whose result is not cut. */
const RFC_4231 = [
  {
    key: hex('0b'.repeat(20)),
    data: Buffer.from('Hi There'),
    digest: 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
  },
  {
    key: Buffer.from('Jefe'),
    data: Buffer.from('what do ya want for nothing?'),
    digest: '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  },
  {
    key: hex('aa'.repeat(20)),
    data: hex('dd'.repeat(50)),
    digest: '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
  },
  {
    key: hex('0102030405060708090a0b0c0d0e0f10111213141516171819'),
    data: hex('cd'.repeat(50)),
    digest: '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
  },
];

test('it gives the digests of RFC 4231', () => {
  for (const { key, data, digest } of RFC_4231) assert.equal(hmacSha256(key, data).toString('hex'), digest);
});

test("it is Node's own HMAC, for any message and any key of up to a block", () => {
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength, size: 'max' });
  fc.assert(
    fc.property(bytes(64), bytes(9000), (key, message) => {
      const expected = createHmac('sha256', key).update(message).digest();
      assert.deepEqual(hmacSha256(key, message), expected);
    }),
  );
});

test('a longer key is refused rather than cut: it would have to be hashed first', () => {
  assert.throws(() => hmacSha256(Buffer.alloc(65), Buffer.alloc(1)), RangeError);
});

test('earlier results stay what they were', () => {
  const first = hmacSha256(Buffer.from('a'), Buffer.from('1'));
  const copy = Buffer.from(first);
  hmacSha256(Buffer.from('b'), Buffer.from('2'));
  assert.deepEqual(first, copy);
});
