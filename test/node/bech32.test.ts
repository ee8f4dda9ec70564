import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeBech32, packWords, wordOf, wordsToBytes, wordsToNumber } from '../../node/bech32.ts';
import { otherBech32 } from './bolt11/sign-words.ts';

describe('vectors of BIP 173', () => {
  for (const text of [
    'A12UEL5L',
    'a12uel5l',
    'an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs',
    'abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw',
    `1${'1'.repeat(0)}1${'q'.repeat(82)}c8247j`,
    'split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w',
    '?1ezyfcl',
  ]) {
    test(`${text} is valid`, () => {
      const decoded = decodeBech32(text);
      assert.ok(decoded);
      assert.equal(otherBech32.encode(decoded.prefix, [...decoded.words], 90), text.toLowerCase());
    });
  }

  for (const [text, why] of [
    ['\x201nwldj5', 'a space'],
    ['\x7f1axkwrx', 'a control character'],
    ['\x801eym55h', 'a character that is not ASCII'],
    ['pzry9x0s0muk', 'no separator'],
    ['1pzry9x0s0muk', 'an empty prefix'],
    ['x1b4n0q5v', 'a character outside of the alphabet'],
    ['li1dgmt3', 'too short a checksum'],
    ['de1lg7wt\xff', 'a checksum that is not ASCII'],
    ['A1G7SGD8', 'a checksum of the upper-case prefix'],
    ['10a06t8', 'an empty prefix and no data'],
    ['1qzzfhee', 'an empty prefix and a checksum'],
    ['', 'an empty text'],
  ] as const) {
    test(`${JSON.stringify(text)}, with ${why}, is refused`, () =>
      assert.equal(decodeBech32(text), undefined));
  }
});

test('what another implementation wrote is read, whatever its length', () => {
  const prefix = fc.string({
    unit: fc.constantFrom(...'abcdefghilnrtz0123456789?_~'),
    minLength: 1,
    maxLength: 20,
  });
  const words = fc.array(fc.nat(31), { maxLength: 2000 });
  fc.assert(
    fc.property(prefix, words, fc.boolean(), (name, data, shout) => {
      const text = otherBech32.encode(name, data, Number.MAX_SAFE_INTEGER);
      const decoded = decodeBech32(shout ? text.toUpperCase() : text);
      assert.deepEqual(decoded && { ...decoded, words: [...decoded.words] }, { prefix: name, words: data });
    }),
  );
});

test('what another implementation refuses is refused, and nothing else', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.string({ unit: fc.constantFrom(...'qpzry9x8gf2tvdw0s3jn54khce6mua7l1QP'), maxLength: 40 }),
  );
  fc.assert(
    fc.property(text, (one) => {
      assert.equal(decodeBech32(one)?.prefix, otherBech32.decodeUnsafe(one, Number.MAX_SAFE_INTEGER)?.prefix);
    }),
    { numRuns: 1_000 },
  );
});

test('mixed case is refused, and so is a character that lower case makes one of ours', () => {
  assert.equal(decodeBech32('A12uEL5L'), undefined);
  const text = otherBech32.encode('k', [22, 1], 90).toUpperCase();
  assert.ok(decodeBech32(text));
  const kelvin = text.replaceAll('K', '\u212a');
  assert.equal(kelvin.toLowerCase(), text.toLowerCase());
  assert.equal(decodeBech32(kelvin), undefined);
});

test('words become whole bytes, as another implementation packs them, and numbers', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const words = Uint8Array.from(otherBech32.toWords(bytes));
      assert.deepEqual(wordsToBytes(words), bytes);
      const padded = new Uint8Array(Math.ceil((words.length * 5) / 8));
      packWords(words, padded);
      assert.deepEqual(padded.subarray(0, bytes.length), bytes);
      assert.ok(padded.subarray(bytes.length).every((byte) => byte === 0));
    }),
  );
  assert.equal(wordsToNumber(Uint8Array.of(1, 0, 31)), 1024 + 31);
  assert.deepEqual(['q', 'L', 'b', 'é', ''].map(wordOf), [0, 31, undefined, undefined, undefined]);
});
