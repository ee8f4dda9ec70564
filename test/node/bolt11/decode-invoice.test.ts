import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import bolt11 from 'bolt11';
import fc from 'fast-check';
import { decodeInvoice } from '../../../node/bolt11/decode-invoice.ts';
import { NodeError } from '../../../node/node.ts';
import { EXAMPLE_PAYEE, EXAMPLE_PRIVATE_KEY } from '../bolt11-examples.ts';
import {
  type Field,
  fieldOf,
  hashField,
  otherBech32,
  signWords,
  USUAL_FIELDS,
  type Words,
} from './sign-words.ts';

const BECH32_OF = { mainnet: 'bc', testnet: 'tb', signet: 'tbs', regtest: 'bcrt' } as const;
const NETWORKS = Object.keys(BECH32_OF) as (keyof typeof BECH32_OF)[];
const TAG = {
  hash: 1,
  route: 3,
  expiry: 6,
  fallback: 9,
  memo: 13,
  secret: 16,
  payee: 19,
  descriptionHash: 23,
};
const OTHER_PAYEE = '029e03a901b85534ff1e92c43c74431f7ce72046060fcf7a95c37e148f78c77255';
const PAYEE_FIELD = fieldOf(TAG.payee, Buffer.from(EXAMPLE_PAYEE, 'hex'));

/** The `bolt11` package's opinion, by the rules of our own for fields that come twice or have another length. */
function secondOpinion(text: string, network: keyof typeof BECH32_OF) {
  const coin = {
    bech32: BECH32_OF[network],
    pubKeyHash: 0x6f,
    scriptHash: 0xc4,
    validWitnessVersions: [0, 1],
  };
  const { millisatoshis, payeeNodeKey, tags, timestamp = 0 } = bolt11.decode(text, coin);
  const data = (name: string): unknown[] => tags.filter((tag) => tag.tagName === name).map((tag) => tag.data);
  const hashes = (name: string) => data(name).filter((one) => /^[0-9a-f]{64}$/.test(String(one)));
  const [memo] = data('description');
  const [descriptionHash] = hashes('purpose_commit_hash');
  const [expirySec = 3600] = data('expire_time').map(Number);
  return {
    network,
    ...(millisatoshis ? { amountMsat: Number(millisatoshis) } : {}),
    paymentHash: hashes('payment_hash')[0],
    paymentSecret: hashes('payment_secret')[0],
    payee: payeeNodeKey,
    timestampSec: timestamp,
    expirySec,
    expiresAtSec: timestamp + expirySec,
    ...(memo === undefined ? {} : { memo }),
    ...(descriptionHash === undefined ? {} : { descriptionHash }),
  };
}

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const hex = (length: number) => bytes(length).map((one) => Buffer.from(one).toString('hex'));
const prefix = fc.record({
  network: fc.constantFrom(...NETWORKS),
  amountMsat: fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { nil: undefined }),
});

describe('the bolt11 package has the same opinion', () => {
  test('of whatever it signs', () => {
    const hop = fc.record({
      pubkey: fc.constantFrom(EXAMPLE_PAYEE, OTHER_PAYEE),
      short_channel_id: hex(8),
      fee_base_msat: fc.nat(2 ** 31 - 1),
      fee_proportional_millionths: fc.nat(2 ** 31 - 1),
      cltv_expiry_delta: fc.nat(65_535),
    });
    const memo = fc
      .string({ unit: 'grapheme', maxLength: 80 })
      .map((data) => ({ tagName: 'description', data }));
    const description = fc.oneof(
      memo,
      hex(32).map((data) => ({ tagName: 'purpose_commit_hash', data })),
    );
    const optional = fc.subarray([
      { tagName: 'min_final_cltv_expiry', data: 80 },
      { tagName: 'payee_node_key', data: EXAMPLE_PAYEE },
      { tagName: 'fallback_address', data: { code: 17, addressHash: '31'.repeat(20), address: '' } },
    ]);
    const expiry = fc.integer({ min: 0, max: 2 ** 40 }).map((data) => ({ tagName: 'expire_time', data }));
    const routes = fc.array(fc.array(hop, { minLength: 1, maxLength: 3 }), { maxLength: 3 });
    const invoice = fc.record({
      of: prefix,
      timestamp: fc.nat(2 ** 31 - 1),
      hashes: fc.tuple(hex(32), hex(32)),
      description,
      optional,
      expiry: fc.option(expiry, { nil: undefined }),
      routes,
      bits: fc.array(fc.boolean(), { minLength: 1, maxLength: 80 }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(invoice, ({ of, timestamp, hashes, description, optional, expiry, routes, bits, seed }) => {
        const tags = [
          { tagName: 'payment_hash', data: hashes[0] },
          { tagName: 'payment_secret', data: hashes[1] },
          description,
          ...optional,
          ...(expiry === undefined ? [] : [expiry]),
          ...routes.map((data) => ({ tagName: 'routing_info', data })),
          { tagName: 'feature_bits', data: { payment_secret: { required: true }, extra_bits: extra(bits) } },
        ];
        const from = seed % tags.length;
        const unsigned = bolt11.encode({
          network: {
            bech32: BECH32_OF[of.network],
            pubKeyHash: 0x6f,
            scriptHash: 0xc4,
            validWitnessVersions: [0, 1],
          },
          ...(of.amountMsat === undefined ? {} : { millisatoshis: String(of.amountMsat) }),
          timestamp,
          tags: [...tags.slice(from), ...tags.slice(0, from)] as never,
        });
        const text = bolt11.sign(unsigned, EXAMPLE_PRIVATE_KEY).paymentRequest ?? '';
        fc.pre(text.length <= 4096);
        assert.deepEqual(decodeInvoice(text), secondOpinion(text, of.network));
      }),
      { numRuns: 300 },
    );
  });

  test('of fields that nobody knows, come twice, or have any length', () => {
    const words = (maxLength: number) => fc.array(fc.nat(31), { maxLength });
    const known = new Set(Object.values(TAG));
    const unknown = fc.tuple(
      fc.nat(31).filter((tag) => !known.has(tag)),
      words(120),
    );
    const odd = fc.oneof(
      unknown,
      fc.tuple(fc.constantFrom(TAG.memo, TAG.route), words(120)),
      fc.tuple(fc.constantFrom(TAG.secret, TAG.descriptionHash), fc.oneof(words(70), words(53))),
      fc.tuple(fc.constant(TAG.hash), words(51)),
      fc.tuple(fc.constant(TAG.expiry), words(7)),
      fc.constantFrom<Field>(PAYEE_FIELD, hashField(TAG.secret, 0x77), hashField(TAG.descriptionHash, 0x78)),
    );
    const fields = fc
      .array(odd, { maxLength: 8 })
      .chain((some) =>
        fc.shuffledSubarray([...USUAL_FIELDS, ...some], { minLength: USUAL_FIELDS.length + some.length }),
      );
    const invoice = fc.record({
      of: prefix,
      timestampSec: fc.nat(2 ** 31),
      fields,
      s: fc.constantFrom('low', 'high'),
    });
    fc.assert(
      fc.property(invoice, ({ of, fields, ...rest }) => {
        // The package takes a high s beside a payee field; BOLT 11 does not.
        const s = fields.includes(PAYEE_FIELD) ? 'low' : (rest.s as 'low' | 'high');
        const amount = of.amountMsat === undefined ? '' : `${of.amountMsat}0p`;
        const text = signWords({ ...rest, s, fields, prefix: `ln${BECH32_OF[of.network]}${amount}` });
        assert.deepEqual(decodeInvoice(text), secondOpinion(text, of.network));
      }),
      { numRuns: 500 },
    );
  });
});

describe('an invoice that breaks a rule is refused', () => {
  const refused = (title: string, words: Words, why: RegExp) =>
    test(title, () => {
      assert.throws(
        () => decodeInvoice(signWords(words)),
        (error) => isBadInvoice(error) && why.test(error.message),
      );
    });
  const twice = [...USUAL_FIELDS, hashField(TAG.hash, 0xa1)];
  refused('with two payment hashes, though they are equal', { fields: twice }, /exactly one payment hash/);
  refused('without a payment hash', { fields: USUAL_FIELDS.slice(1) }, /exactly one payment hash/);
  refused('without a payment secret', { fields: [hashField(TAG.hash, 1), [TAG.memo, []]] }, /payment secret/);
  refused('when a field is longer than what is left', { tail: [TAG.memo, 31, 31] }, /cut short/);
  refused('when a field ends in its length', { tail: [TAG.memo, 0] }, /cut short/);
  refused('when a field ends in its tag', { tail: [TAG.memo] }, /cut short/);
  refused(
    'whose expiry leaves what a date can say',
    { fields: expiring([7, ...Array(8).fill(31)]) },
    /longer/,
  );
  refused('whose expiry is no number any more', { fields: expiring(Array(1023).fill(31)) }, /longer/);
  refused(
    'signed by another than its payee field says',
    {
      fields: [...USUAL_FIELDS, fieldOf(TAG.payee, Buffer.from(OTHER_PAYEE, 'hex'))],
    },
    /signature/,
  );
  refused(
    'whose payee field is no key',
    {
      fields: [...USUAL_FIELDS, fieldOf(TAG.payee, new Uint8Array(33).fill(2).fill(0xff, 1))],
    },
    /signature/,
  );
  refused(
    'with a high s beside its payee field',
    { fields: [...USUAL_FIELDS, PAYEE_FIELD], s: 'high' },
    /signature/,
  );
  for (const signature of [
    new Uint8Array(65),
    new Uint8Array(65).fill(0xff),
    new Uint8Array(65).fill(1).fill(4, 64),
    new Uint8Array(65).fill(0xff, 0, 32).fill(1, 32, 64),
  ]) {
    refused(
      `with the signature ${Buffer.from(signature).toString('hex').slice(-68)}`,
      { signature },
      /signature/,
    );
  }

  for (const amount of [
    '0',
    '00',
    '0u',
    '010u',
    '1x',
    '1k',
    'u',
    '1uu',
    '-1u',
    '1.5u',
    '1p',
    '25p',
    '90071993m',
  ].concat(
    '90072',
    '90071993p',
    `${Number.MAX_SAFE_INTEGER + 1}0p`,
    `${'9'.repeat(18)}p`,
    '9'.repeat(400),
    `1${'0'.repeat(30)}p`,
  )) {
    refused(
      `with the amount ${amount.slice(0, 40)}`,
      { prefix: `lnbc${amount}` },
      /amount|money|msat|bech32/,
    );
  }
  for (const name of ['lnbt', 'lnsb', 'lnb', 'ln', 'xlnbc', 'lnbcrtt', 'lnbcc', 'lntbst', 'bc']) {
    refused(`of the unknown prefix ${name}`, { prefix: name }, /begin/);
  }
});

describe('an amount is exact', () => {
  for (const [amount, amountMsat] of [
    ['1', 1e11],
    ['90071', 9_007_100_000_000_000],
    ['1m', 1e8],
    ['1u', 1e5],
    ['1n', 100],
    ['10p', 1],
    ['20p', 2],
    ['1000n', 100_000],
    ['90071992547409910p', Number.MAX_SAFE_INTEGER],
    ['90071992547409n', 9_007_199_254_740_900],
  ] as const) {
    test(`${amount} is ${amountMsat} msat`, () => {
      assert.equal(decodeInvoice(signWords({ prefix: `lnbc${amount}` })).amountMsat, amountMsat);
    });
  }
});

test('a memo is read as UTF-8, and what is not becomes replacement characters', () => {
  const memoOf = (memo: Uint8Array) =>
    decodeInvoice(signWords({ fields: [...USUAL_FIELDS.slice(0, 2), fieldOf(TAG.memo, memo)] })).memo;
  assert.equal(memoOf(Buffer.from('ナンセンス 1杯')), 'ナンセンス 1杯');
  assert.equal(memoOf(Uint8Array.of(0x61, 0xff, 0x62)), 'a\ufffdb');
});

test('a payee field is believed when its key signed', () => {
  assert.equal(decodeInvoice(signWords({ fields: [...USUAL_FIELDS, PAYEE_FIELD] })).payee, EXAMPLE_PAYEE);
});

test('a last moment that a date can just say is taken', () => {
  const expiry = 8_640_000_000_000 - 1_800_000_000;
  const words = Array.from({ length: 9 }, (_, at) => Math.floor(expiry / 32 ** (8 - at)) % 32);
  const { expiresAtSec } = decodeInvoice(signWords({ fields: expiring(words) }));
  assert.equal(new Date(expiresAtSec * 1000).getTime(), 8.64e15);
});

describe('damage', () => {
  const text = signWords({});

  test('each character, exchanged for each other one, is noticed', () => {
    const others = [...'qpzry9x8gf2tvdw0s3jn54khce6mua7l', ...'1bioQPZRY \u212a\u0130é'];
    for (let at = 0; at < text.length; at += 1) {
      for (const other of others) {
        if (other === text[at]) continue;
        assert.throws(() => decodeInvoice(text.slice(0, at) + other + text.slice(at + 1)), isBadInvoice);
      }
    }
  });

  test('each beginning and each end of it is refused', () => {
    for (let at = 0; at < text.length; at += 1) {
      assert.throws(() => decodeInvoice(text.slice(0, at)), isBadInvoice);
      if (at > 0) assert.throws(() => decodeInvoice(text.slice(at)), isBadInvoice);
    }
  });

  test('the q that the checksum does not notice before a last p makes another signature, of nobody known', () => {
    const weak = Array.from({ length: 1_000 }, (_, at) => signWords({ timestampSec: at })).filter((one) =>
      one.endsWith('p'),
    );
    assert.ok(weak.length > 0);
    for (const one of weak) {
      for (const longer of [`${one.slice(0, -1)}qp`, `${one.slice(0, -1)}qqp`]) {
        assert.notEqual(otherBech32.decodeUnsafe(longer, Number.MAX_SAFE_INTEGER), undefined);
        assert.notEqual(payeeOf(longer), EXAMPLE_PAYEE);
      }
    }
  });

  test('what is signed and random inside decodes or is refused, and is never anything else', () => {
    const word = fc.nat(31);
    const names = fc.constantFrom('lnbc', 'lntb1u', 'lntbs20m', 'lnbcrt9p', 'lnbcrt100n');
    const invoice = fc.record({
      prefix: names,
      timestampSec: fc.nat(2 ** 31),
      tail: fc.oneof(
        fc.array(word, { maxLength: 400 }),
        fc.array(word, { minLength: 3_000, maxLength: 3_900 }),
      ),
      signature: fc.option(
        bytes(65).map((one) => one.fill((one[64] ?? 0) & 3, 64)),
        { nil: undefined },
      ),
    });
    fc.assert(
      fc.property(invoice, fc.boolean(), ({ signature, ...rest }, bare) => {
        const fields = bare ? [] : USUAL_FIELDS;
        payeeOf(signWords({ ...rest, fields, ...(signature === undefined ? {} : { signature }) }));
      }),
      { numRuns: 500 },
    );
  });

  test('a text of 4,096 characters is read, and a longer one is not looked at', () => {
    const long = (tail: number) => signWords({ fields: [...USUAL_FIELDS, ...filling(tail)] });
    const room = 4096 - long(0).length;
    assert.equal(payeeOf(long(room)), EXAMPLE_PAYEE);
    assert.throws(() => decodeInvoice(long(room + 1)), /more than 4096 characters/);
  });
});

/** Fields of an unknown tag that take so many words more than three of them do when empty. */
function filling(words: number): readonly Field[] {
  const lengths = [0, 1, 2, 3].map((at) => Math.min(1023, Math.max(0, words - at * 1023)));
  return lengths.map((length) => [30, Array<number>(length).fill(0)]);
}

/** Who signed; undefined when it is refused, as an invoice is. */
function payeeOf(text: string): string | undefined {
  try {
    return decodeInvoice(text).payee;
  } catch (error) {
    isBadInvoice(error);
    return undefined;
  }
}

function expiring(words: readonly number[]): readonly Field[] {
  return [...USUAL_FIELDS, [TAG.expiry, words]];
}

function extra(bits: readonly boolean[]) {
  return { start_bit: 20, bits: [...bits], has_required: false };
}

function isBadInvoice(error: unknown): error is NodeError {
  assert.ok(error instanceof NodeError, String(error));
  assert.equal(error.code, 'bad-invoice');
  return true;
}
