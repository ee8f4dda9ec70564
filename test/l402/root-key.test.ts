import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { keyFingerprint, rootKeysOf } from '../../gateway/l402/root-key.ts';

const masterKey = Buffer.alloc(32, 7);
const identifier = Buffer.alloc(66, 9);

test('a root key is the HMAC of domain, generation length, generation and identifier', () => {
  const input = Buffer.concat([
    Buffer.from('sluice/root-key/v1'),
    Buffer.from([8]),
    Buffer.from('00ff00ff'),
    identifier,
  ]);
  const expected = createHmac('sha256', masterKey).update(input).digest();
  assert.deepEqual(rootKeysOf(masterKey, '00ff00ff')(identifier), expected);
});

test('another master key, generation or identifier gives another root key', () => {
  const keys = [
    rootKeysOf(masterKey, 'aa')(identifier),
    rootKeysOf(Buffer.alloc(32, 8), 'aa')(identifier),
    rootKeysOf(masterKey, 'ab')(identifier),
    rootKeysOf(masterKey, 'aa')(Buffer.alloc(66, 10)),
  ];
  assert.equal(new Set(keys.map((key) => key.toString('hex'))).size, keys.length);
});

test('a generation can not borrow bytes from the identifier behind it', () => {
  const long = rootKeysOf(masterKey, 'aab')(Buffer.from('c'));
  const short = rootKeysOf(masterKey, 'aa')(Buffer.from('bc'));
  assert.notDeepEqual(long, short);
});

test('a fingerprint names its key, and is no root key of it', () => {
  assert.match(keyFingerprint(masterKey), /^[0-9a-f]{64}$/);
  assert.equal(keyFingerprint(masterKey), keyFingerprint(Buffer.from(masterKey)));
  assert.notEqual(keyFingerprint(masterKey), keyFingerprint(Buffer.alloc(32, 8)));
  assert.notEqual(keyFingerprint(masterKey), rootKeysOf(masterKey, 'aa')(identifier).toString('hex'));
});

test('keys of another size and generations without a text are refused', () => {
  const refused = { name: 'L402Error', code: 'bad-key' };
  assert.throws(() => rootKeysOf(Buffer.alloc(31), 'aa')(identifier), refused);
  assert.throws(() => keyFingerprint(Buffer.alloc(0)), refused);
  for (const generation of ['', 'a'.repeat(256), '\ud800']) {
    assert.throws(() => rootKeysOf(masterKey, generation)(identifier), refused);
  }
});
