import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  checkInvoice,
  decodeInvoice,
  hasNativeSecp256k1,
  publicKeyOf,
  readTimestampSec,
  signInvoice,
} from '../../node/bolt11.ts';
import { msat } from '../../node/msat.ts';
import { type Network, NodeError } from '../../node/node.ts';
import { fieldOf, hashField, signWords, USUAL_FIELDS } from './bolt11/sign-words.ts';
import { EXAMPLE_PAYEE, EXAMPLE_PRIVATE_KEY, INVALID_EXAMPLES, VALID_EXAMPLES } from './bolt11-examples.ts';

const KEY = Buffer.from(EXAMPLE_PRIVATE_KEY, 'hex');
const TERMS = {
  network: 'regtest',
  amountMsat: msat(10_000),
  paymentHash: 'a1'.repeat(32),
  paymentSecret: 'b2'.repeat(32),
  memo: 'quote',
  timestampSec: 1_800_000_000,
  expirySec: 600,
} as const;
const ASKED = {
  amountMsat: msat(10_000),
  memo: 'quote',
  network: 'regtest',
  nowSec: 1_800_000_000,
} as const;

describe('examples of BOLT 11', () => {
  for (const { title, bolt11, holds } of VALID_EXAMPLES) {
    test(`${title} decodes to what the document says`, () => {
      const decoded = decodeInvoice(bolt11);
      assert.partialDeepStrictEqual(decoded, holds);
      assert.equal(decoded.expiresAtSec, decoded.timestampSec + decoded.expirySec);
      assert.equal(readTimestampSec(bolt11), decoded.timestampSec);
      assert.equal('amountMsat' in decoded, 'amountMsat' in holds);
    });
  }
  for (const { title, bolt11 } of INVALID_EXAMPLES) {
    test(`${title} is refused`, () => assert.throws(() => decodeInvoice(bolt11), isBadInvoice));
  }
});

describe('decoding', () => {
  test('every network round-trips through its own prefix', () => {
    const prefixes = { mainnet: 'lnbc', testnet: 'lntb', signet: 'lntbs', regtest: 'lnbcrt' } as const;
    for (const [network, prefix] of Object.entries(prefixes)) {
      const bolt11 = signInvoice({ ...TERMS, network: network as Network }, KEY);
      assert.ok(bolt11.startsWith(`${prefix}100n1`));
      assert.equal(decodeInvoice(bolt11).network, network);
    }
  });

  test('whatever is signed decodes to the same terms', () => {
    const hex32 = fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .map((bytes) => Buffer.from(bytes).toString('hex'));
    const terms = fc.record({
      amountMsat: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map(msat),
      paymentHash: hex32,
      paymentSecret: hex32,
      memo: fc.string({ unit: 'grapheme', maxLength: 60 }).filter((memo) => Buffer.byteLength(memo) <= 639),
      timestampSec: fc.integer({ min: 0, max: 2 ** 35 - 1 }),
      expirySec: fc.integer({ min: 1, max: 31_536_000 }),
    });
    fc.assert(
      fc.property(terms, (one) => {
        const decoded = decodeInvoice(signInvoice({ ...one, network: 'regtest' }, KEY));
        assert.partialDeepStrictEqual(decoded, { ...one, network: 'regtest', payee: EXAMPLE_PAYEE });
      }),
      { numRuns: 200 },
    );
  });

  test('any damage to a character is noticed, and never is anything but a NodeError thrown', () => {
    const bolt11 = signInvoice(TERMS, KEY);
    const damage = fc.tuple(fc.nat(bolt11.length - 1), fc.string({ minLength: 1, maxLength: 1 }));
    fc.assert(
      fc.property(damage, ([at, character]) => {
        fc.pre(bolt11[at] !== character);
        assert.throws(
          () => decodeInvoice(bolt11.slice(0, at) + character + bolt11.slice(at + 1)),
          isBadInvoice,
        );
      }),
      { numRuns: 500 },
    );
  });

  test('garbage is refused with a NodeError', () => {
    const bech32 = fc.string({
      unit: fc.constantFrom(...'qpzry9x8gf2tvdw0s3jn54khce6mua7l1'),
      maxLength: 300,
    });
    const prefixed = bech32.map((text) => `lnbcrt1${text}`);
    fc.assert(
      fc.property(fc.oneof(fc.string(), bech32, prefixed), (text) => {
        assert.throws(() => decodeInvoice(text), isBadInvoice);
      }),
      { numRuns: 500 },
    );
  });

  test('a string of a megabyte is refused before it is read', () => {
    assert.throws(() => decodeInvoice(`lnbc1${'q'.repeat(1_000_000)}`), isBadInvoice);
  });

  test('the memo may have 639 bytes and no more', () => {
    const memo = `${'é'.repeat(319)}x`;
    assert.equal(decodeInvoice(signInvoice({ ...TERMS, memo }, KEY)).memo, memo);
    assert.throws(() => signInvoice({ ...TERMS, memo: `${memo}x` }, KEY), { code: 'rejected' });
  });

  test('an invoice without an amount has none', () => {
    const { amountMsat: _, ...terms } = TERMS;
    assert.equal(decodeInvoice(signInvoice(terms, KEY)).amountMsat, undefined);
  });

  test('a description hash takes the place of the memo', () => {
    const descriptionHash = 'c3'.repeat(32);
    const decoded = decodeInvoice(signInvoice({ ...TERMS, descriptionHash }, KEY));
    assert.equal(decoded.descriptionHash, descriptionHash);
    assert.equal(decoded.memo, undefined);
  });
});

describe('checking', () => {
  const bolt11 = signInvoice(TERMS, KEY);
  const invoice = {
    bolt11,
    paymentHash: TERMS.paymentHash,
    amountMsat: TERMS.amountMsat,
    expiresAtSec: 1_800_000_600,
  };

  test('an invoice as asked passes', () => {
    const decoded = checkInvoice(invoice, { ...ASKED, payee: EXAMPLE_PAYEE, maxExpirySec: 600 });
    assert.equal(decoded.payee, publicKeyOf(KEY));
  });

  const refused = (title: string, change: object, asked: object, names: RegExp) =>
    test(`${title} is refused, by name`, () => {
      assert.throws(
        () => checkInvoice({ ...invoice, ...change }, { ...ASKED, ...asked }),
        (error) => isBadInvoice(error) && names.test((error as Error).message),
      );
    });
  refused('another hash', { paymentHash: 'a2'.repeat(32) }, {}, /payment hash/);
  refused('another amount', {}, { amountMsat: msat(9_999) }, /amount/);
  refused('an amount that the node reports otherwise', { amountMsat: msat(1) }, {}, /amount/);
  refused('another network', {}, { network: 'mainnet' }, /network/);
  refused('another payee', {}, { payee: `02${'11'.repeat(32)}` }, /payee/);
  refused('another memo', {}, { memo: 'quota' }, /description/);
  refused('a memo where none was asked for', {}, { memo: '' }, /description/);
  refused('a memo in place of a hash', {}, { descriptionHash: 'c3'.repeat(32) }, /description hash/);
  const both = [...USUAL_FIELDS.slice(0, 2), fieldOf(13, Buffer.from('quote')), hashField(23, 0xc3)];
  const withMemoAndHash = signWords({ fields: both });
  const hashed = { bolt11: signInvoice({ ...TERMS, descriptionHash: 'c3'.repeat(32) }, KEY) };
  refused('another description hash', hashed, { descriptionHash: 'c4'.repeat(32) }, /description hash/);
  refused('a hash in place of a memo', hashed, {}, /description hash/);
  refused(
    'a memo beside the hash',
    { bolt11: withMemoAndHash },
    { descriptionHash: 'c3'.repeat(32) },
    /description/,
  );
  refused('another expiry', { expiresAtSec: 1_800_000_601 }, {}, /expiry/);
  refused('an expired invoice', {}, { nowSec: 1_800_000_600 }, /expired/);
  refused('one that lives too long', {}, { maxExpirySec: 500 }, /longer/);

  test('a description hash as asked passes, whatever the memo would have been', () => {
    const asked = { ...ASKED, memo: 'not in it', descriptionHash: 'c3'.repeat(32) };
    assert.equal(checkInvoice({ ...invoice, ...hashed }, asked).descriptionHash, asked.descriptionHash);
  });

  test('a memo passes though it has half a surrogate pair, which UTF-8 has no bytes for', () => {
    for (const memo of ['\ud83d half', 'half \ude80', '☕ 🚀', '', '\u0000', '\ufeffx', 'é e\u0301']) {
      checkInvoice({ ...invoice, bolt11: signInvoice({ ...TERMS, memo }, KEY) }, { ...ASKED, memo });
    }
  });

  test('the memo of a node is not repeated in an error', () => {
    const bolt11 = signInvoice({ ...TERMS, memo: 'look here' }, KEY);
    assert.throws(
      () => checkInvoice({ ...invoice, bolt11 }, ASKED),
      (error) => isBadInvoice(error) && !(error as Error).message.includes('look here'),
    );
  });

  test('clocks may differ by a minute', () => {
    checkInvoice(invoice, { ...ASKED, nowSec: 1_799_999_945, maxExpirySec: 600 });
  });
});

test('the compiled secp256k1 is found where it is installed', () => {
  assert.equal(typeof hasNativeSecp256k1(), 'boolean');
});

function isBadInvoice(error: unknown): boolean {
  assert.ok(error instanceof NodeError, String(error));
  assert.equal(error.code, 'bad-invoice');
  return true;
}
