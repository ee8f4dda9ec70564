import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import macaroons from 'macaroons.js';
import { L402Error } from '../../gateway/l402/errors.ts';
import {
  decodeMacaroon,
  encodeMacaroon,
  holdsSignature,
  MAX_CAVEATS,
  MAX_MACAROON_BYTES,
  type Macaroon,
  macaroonFromText,
  macaroonToBase64,
  mintMacaroon,
} from '../../gateway/l402/macaroon.ts';
import { GO_MACAROON, LIBMACAROONS_V2 } from '../vectors/macaroons.ts';

const { rootKey, identifier, caveats } = GO_MACAROON;
const encoded = Buffer.from(GO_MACAROON.base64, 'base64');
const malformed = { name: 'L402Error', code: 'bad-macaroon' };
const tooLarge = { name: 'L402Error', code: 'macaroon-too-large' };

/** What a holder does, without the root key: macaroon.ts has no such function, so this is a second implementation. */
function append(macaroon: Macaroon, caveat: string): Macaroon {
  const signature = createHmac('sha256', macaroon.signature).update(caveat).digest();
  return { ...macaroon, caveats: [...macaroon.caveats, caveat], signature };
}

/** `tag length data` with the length as a minimal varint. */
function packet(tag: number, data: string | Buffer): Buffer {
  const bytes = Buffer.from(data);
  const length =
    bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, Math.floor(bytes.length / 128)];
  return Buffer.concat([Buffer.from([tag, ...length]), bytes]);
}

const VERSION = Buffer.from([2]);
const END = Buffer.from([0]);
const SIGNATURE = packet(6, Buffer.alloc(32, 5));

function refuses(...parts: readonly Buffer[]): void {
  assert.throws(() => decodeMacaroon(Buffer.concat(parts)), malformed);
}

const wellFormedText = fc.string({ unit: 'grapheme', maxLength: 60 });
const anyMacaroon: fc.Arbitrary<Macaroon> = fc.record(
  {
    location: wellFormedText,
    identifier: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    caveats: fc.array(wellFormedText, { maxLength: 20 }),
    signature: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
  },
  { noNullPrototype: true },
);

test('minting gives the signature and the bytes of go-macaroon', () => {
  const macaroon = mintMacaroon(rootKey, identifier, caveats);
  assert.equal(macaroon.signature.toString('hex'), GO_MACAROON.signatureHex);
  assert.equal(macaroonToBase64(macaroon), GO_MACAROON.base64);
});

test('macaroons.js, which made the chain before, gives the same signatures', () => {
  // Of a key that is a Buffer it takes the first step for done.
  const derived = createHmac('sha256', 'macaroons-key-generator').update(rootKey).digest();
  fc.assert(
    fc.property(wellFormedText, fc.array(wellFormedText, { maxLength: 8 }), (name, conditions) => {
      const theirs = new macaroons.MacaroonsBuilder('lsat', derived, name);
      for (const condition of conditions) theirs.add_first_party_caveat(condition);
      const ours = mintMacaroon(rootKey, Buffer.from(name), conditions);
      assert.deepEqual(ours.signature, theirs.getMacaroon().signatureBuffer);
    }),
  );
});

test('a preimage appended by a holder gives the signature of go-macaroon, and still holds', () => {
  const paid = append(macaroonFromText(GO_MACAROON.base64), `preimage=${GO_MACAROON.preimage}`);
  assert.equal(paid.signature.toString('hex'), GO_MACAROON.signatureWithPreimageHex);
  assert.ok(holdsSignature(rootKey, macaroonFromText(macaroonToBase64(paid))));
});

test('macaroons of libmacaroons decode, encode to the same bytes and have the signature that we mint', () => {
  for (const vector of LIBMACAROONS_V2) {
    const macaroon = macaroonFromText(vector.base64);
    assert.equal(macaroon.location, vector.location);
    assert.deepEqual(macaroon.identifier, vector.identifier);
    assert.deepEqual(macaroon.caveats, vector.caveats);
    assert.equal(macaroon.signature.toString('hex'), vector.signatureHex);
    assert.equal(macaroonToBase64(macaroon), vector.base64);
    const minted = mintMacaroon(vector.rootKey, vector.identifier, vector.caveats);
    assert.deepEqual(minted.signature, macaroon.signature);
  }
});

test('every macaroon comes back as it was', () => {
  fc.assert(
    fc.property(anyMacaroon, (macaroon) => {
      const bytes = encodeMacaroon(macaroon);
      assert.deepEqual(decodeMacaroon(bytes), macaroon);
    }),
  );
});

test('any bytes are a macaroon that encodes to exactly them, or an L402Error', () => {
  const mutated = fc
    .tuple(anyMacaroon, fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 3 }), fc.nat(4))
    .map(([macaroon, changes, cut]) => {
      const bytes = encodeMacaroon(macaroon);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      return bytes.subarray(0, bytes.length - cut);
    });
  const noise = fc.uint8Array({ maxLength: 300 }).map((raw) => Buffer.concat([VERSION, raw]));
  fc.assert(
    fc.property(fc.oneof(mutated, noise), (bytes) => {
      try {
        assert.deepEqual(encodeMacaroon(decodeMacaroon(bytes)), bytes);
      } catch (error) {
        assert.ok(error instanceof L402Error, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test('text that is no macaroon gives an L402Error and nothing else', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.base64String({ maxLength: 400 }));
  fc.assert(
    fc.property(text, (value) => {
      assert.throws(() => macaroonFromText(value), L402Error);
    }),
    { numRuns: 1000 },
  );
});

test('every flipped bit makes a macaroon unreadable or breaks its signature', () => {
  assert.ok(holdsSignature(rootKey, decodeMacaroon(encoded)));
  for (let bit = 0; bit < encoded.length * 8; bit += 1) {
    const changed = Buffer.from(encoded);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    let macaroon: Macaroon;
    try {
      macaroon = decodeMacaroon(changed);
    } catch (error) {
      assert.ok(error instanceof L402Error);
      continue;
    }
    assert.equal(holdsSignature(rootKey, macaroon), false, `bit ${bit}`);
  }
});

test('another root key, a removed caveat, a reordered caveat and a cut signature do not hold', () => {
  const macaroon = mintMacaroon(rootKey, identifier, caveats);
  assert.equal(holdsSignature(Buffer.alloc(32), macaroon), false);
  assert.equal(holdsSignature(rootKey, { ...macaroon, caveats: caveats.slice(0, 2) }), false);
  assert.equal(holdsSignature(rootKey, { ...macaroon, caveats: [...caveats].reverse() }), false);
  assert.equal(
    holdsSignature(rootKey, { ...macaroon, signature: macaroon.signature.subarray(0, 31) }),
    false,
  );
  assert.equal(holdsSignature(rootKey, { ...macaroon, location: 'elsewhere' }), false);
});

test('a caveat that a holder wrote without signing it does not hold', () => {
  const macaroon = mintMacaroon(rootKey, identifier, caveats);
  assert.equal(holdsSignature(rootKey, { ...macaroon, caveats: [...caveats, 'preimage=00'] }), false);
});

test('standard and url-safe base64, padded or not, give the same macaroon', () => {
  const standard = LIBMACAROONS_V2[0]?.base64 ?? '';
  assert.match(standard, /[+/].*=$/);
  const urlSafe = standard.replaceAll('+', '-').replaceAll('/', '_');
  const expected = macaroonFromText(standard);
  for (const text of [standard.replace(/=+$/, ''), urlSafe, urlSafe.replace(/=+$/, '')]) {
    assert.deepEqual(macaroonFromText(text), expected);
  }
});

test('mixed alphabets, blanks, wrong padding and set unused bits are not base64', () => {
  const standard = LIBMACAROONS_V2[0]?.base64 ?? '';
  const wrong = [
    standard.replace('/', '_'),
    ` ${standard}`,
    `${standard}\n`,
    `${standard}=`,
    standard.replace('=', '=='),
    `=${standard}`,
    standard.replace('c=', 'd='),
    standard.slice(0, -3),
    `${standard.slice(0, 40)}!${standard.slice(40)}`,
  ];
  for (const text of wrong) {
    assert.throws(() => macaroonFromText(text), { name: 'L402Error', code: 'bad-base64' }, text);
  }
});

test('fields that are missing, repeated, unknown or out of order are refused', () => {
  const id = packet(2, 'id');
  decodeMacaroon(Buffer.concat([VERSION, id, END, END, SIGNATURE]));
  refuses(VERSION, END, END, SIGNATURE);
  refuses(VERSION, id, id, END, END, SIGNATURE);
  refuses(VERSION, packet(1, 'a'), packet(1, 'a'), id, END, END, SIGNATURE);
  refuses(VERSION, id, packet(1, 'a'), END, END, SIGNATURE);
  refuses(VERSION, packet(3, 'a'), id, END, END, SIGNATURE);
  refuses(VERSION, id, END, id, id, END, END, SIGNATURE);
  refuses(VERSION, id, END, packet(1, 'a'), id, END, END, SIGNATURE);
  refuses(VERSION, id, END, END, SIGNATURE, SIGNATURE);
  refuses(VERSION, id, END, END);
  refuses(VERSION, id, END, SIGNATURE);
});

test('a third-party caveat is refused', () => {
  const id = packet(2, 'id');
  refuses(VERSION, id, END, id, packet(4, 'vid'), END, END, SIGNATURE);
  refuses(VERSION, id, END, packet(1, 'there'), id, packet(4, 'vid'), END, END, SIGNATURE);
});

test('a second way to write the same macaroon is refused', () => {
  refuses(VERSION, packet(1, ''), packet(2, 'id'), END, END, SIGNATURE);
  refuses(VERSION, Buffer.from([2, 0x82, 0x00]), Buffer.from('id'), END, END, SIGNATURE);
  refuses(VERSION, Buffer.from([0x82, 0x00, 2]), Buffer.from('id'), END, END, SIGNATURE);
  refuses(encoded, END);
});

test('lengths that reach past the end are refused', () => {
  refuses(VERSION, Buffer.from([2, 0x7f]), Buffer.from('id'));
  refuses(VERSION, Buffer.from([2, 0xff, 0x7f]), Buffer.from('id'));
  refuses(VERSION, Buffer.from([2, 0xff, 0xff, 0xff, 0xff, 0x0f]), Buffer.from('id'));
  refuses(VERSION, Buffer.from([2]));
  for (let length = 0; length < encoded.length; length += 1) refuses(encoded.subarray(0, length));
});

test('a signature of another size is refused', () => {
  const start = [VERSION, packet(2, 'id'), END, END];
  refuses(...start, packet(6, Buffer.alloc(31)));
  refuses(...start, packet(6, Buffer.alloc(33)));
  refuses(...start, packet(6, ''));
});

test('other versions and text forms of macaroons are refused', () => {
  refuses(Buffer.from([1]), encoded.subarray(1));
  refuses(Buffer.from('0021location http://example.org/'));
  refuses(Buffer.from('{"v":2}'));
});

test('caveats that are not UTF-8 are refused, so that no two of them can be read as one text', () => {
  const id = packet(2, 'id');
  for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
    refuses(VERSION, id, END, packet(2, Buffer.from(bytes)), END, END, SIGNATURE);
    refuses(VERSION, packet(1, Buffer.from(bytes)), id, END, END, SIGNATURE);
  }
});

test('a byte order mark stays in its caveat', () => {
  const macaroon = mintMacaroon(rootKey, identifier, ['\ufeffa=b', 'a=b']);
  assert.deepEqual(decodeMacaroon(encodeMacaroon(macaroon)).caveats, ['\ufeffa=b', 'a=b']);
});

test('a lone surrogate is neither minted nor written', () => {
  const macaroon = mintMacaroon(rootKey, identifier, []);
  assert.throws(() => mintMacaroon(rootKey, identifier, ['\ud800']), malformed);
  assert.throws(() => encodeMacaroon({ ...macaroon, caveats: ['\udfff'] }), malformed);
  assert.throws(() => encodeMacaroon({ ...macaroon, location: '\udfff' }), malformed);
});

test('64 caveats are read, 65 are refused everywhere', () => {
  const most = Array.from({ length: MAX_CAVEATS }, (_, index) => `c=${index}`);
  const macaroon = mintMacaroon(rootKey, identifier, most);
  assert.deepEqual(decodeMacaroon(encodeMacaroon(macaroon)), macaroon);
  const more = append(macaroon, 'c=64');
  assert.throws(() => mintMacaroon(rootKey, identifier, more.caveats), tooLarge);
  assert.throws(() => encodeMacaroon(more), tooLarge);
  assert.equal(holdsSignature(rootKey, more), false);
  const body = Buffer.concat(more.caveats.flatMap((caveat) => [packet(2, caveat), END]));
  const bytes = Buffer.concat([VERSION, packet(2, identifier), END, body, END, SIGNATURE]);
  assert.throws(() => decodeMacaroon(bytes), tooLarge);
});

test('8 KB are read, one byte more is refused everywhere', () => {
  const room = MAX_MACAROON_BYTES - encodeMacaroon(mintMacaroon(rootKey, identifier, [])).length - 4;
  const full = mintMacaroon(rootKey, identifier, ['c'.repeat(room)]);
  const bytes = encodeMacaroon(full);
  assert.equal(bytes.length, MAX_MACAROON_BYTES);
  assert.deepEqual(macaroonFromText(macaroonToBase64(full)), full);
  assert.throws(() => encodeMacaroon(mintMacaroon(rootKey, identifier, ['c'.repeat(room + 1)])), tooLarge);
  assert.throws(() => decodeMacaroon(Buffer.concat([bytes, END])), tooLarge);
  assert.throws(() => macaroonFromText('A'.repeat(1_000_000)), tooLarge);
});

test('no error shows what it was given', () => {
  const secret = 'c2VjcmV0LXNlY3JldA';
  assert.throws(
    () => macaroonFromText(`${secret}!`),
    (error: Error) => !error.message.includes(secret),
  );
});
