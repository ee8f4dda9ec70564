import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatAuthorization,
  formatChallenge,
  formatLsatChallenge,
  type ParsedChallenge,
  parseChallenges,
} from '../../gateway/l402/challenge.ts';
import { L402Error } from '../../gateway/l402/errors.ts';
import { GO_MACAROON } from '../vectors/macaroons.ts';

const macaroon = GO_MACAROON.base64;
const invoice = 'lnbcrt100n1pj9nr6mpp5argz38y5xs5h';
const preimage = GO_MACAROON.preimage;
const refused = { name: 'L402Error', code: 'bad-challenge' };

/** Challenges as plain data. */
function parsed(...values: readonly string[]): { scheme: string; token68?: string; params: object }[] {
  return parseChallenges(values).map((challenge) => ({
    ...challenge,
    params: Object.fromEntries(challenge.params),
  }));
}

test('a challenge has its keys in the order that every known client reads', () => {
  assert.equal(
    formatChallenge({ macaroon, invoice }),
    `L402 macaroon="${macaroon}", invoice="${invoice}", version="0", token="${macaroon}"`,
  );
});

test('the legacy challenge has the old scheme and the two old keys', () => {
  assert.equal(
    formatLsatChallenge({ macaroon, invoice }),
    `LSAT macaroon="${macaroon}", invoice="${invoice}"`,
  );
});

test('a credential is the macaroon, a colon and the preimage', () => {
  assert.equal(formatAuthorization(macaroon, preimage), `L402 ${macaroon}:${preimage}`);
});

test('nothing that could leave the quotes or the header line is written', () => {
  for (const wrong of ['', 'a"b', 'a b', 'a\r\nSet-Cookie: x', 'a,b', 'a\\']) {
    assert.throws(() => formatChallenge({ macaroon: wrong, invoice }), refused);
    assert.throws(() => formatChallenge({ macaroon, invoice: wrong }), refused);
    assert.throws(() => formatLsatChallenge({ macaroon: wrong, invoice }), refused);
    assert.throws(() => formatAuthorization(wrong, preimage), refused);
    assert.throws(() => formatAuthorization(macaroon, wrong), refused);
  }
});

test('our challenges are read back', () => {
  assert.deepEqual(
    parsed(formatChallenge({ macaroon, invoice }), formatLsatChallenge({ macaroon, invoice })),
    [
      { scheme: 'L402', params: { macaroon, invoice, version: '0', token: macaroon } },
      { scheme: 'LSAT', params: { macaroon, invoice } },
    ],
  );
});

test('several challenges in one value are told apart', () => {
  const value =
    'Newauth realm="apps, \\"x\\"", type=1, Negotiate, Negotiate YWI=, Basic realm=simple , ,L402 a = "b"';
  assert.deepEqual(parsed(value), [
    { scheme: 'Newauth', params: { realm: 'apps, "x"', type: '1' } },
    { scheme: 'Negotiate', params: {} },
    { scheme: 'Negotiate', params: {}, token68: 'YWI=' },
    { scheme: 'Basic', params: { realm: 'simple' } },
    { scheme: 'L402', params: { a: 'b' } },
  ]);
});

test('a token with padding is no parameter', () => {
  assert.deepEqual(parsed('Payment YQ==', 'Payment YQ=, X'), [
    { scheme: 'Payment', params: {}, token68: 'YQ==' },
    { scheme: 'Payment', params: {}, token68: 'YQ=' },
    { scheme: 'X', params: {} },
  ]);
});

test('names of parameters compare without regard to case', () => {
  assert.deepEqual(parsed('L402 MACAROON="a"'), [{ scheme: 'L402', params: { macaroon: 'a' } }]);
  assert.deepEqual(parsed('L402 __proto__="a"')[0]?.params, JSON.parse('{"__proto__":"a"}'));
});

test('no value and empty values hold no challenge', () => {
  assert.deepEqual(parsed(), []);
  assert.deepEqual(parsed('', ' , ,\t'), []);
});

test('broken challenges are refused', () => {
  const values = [
    '"L402"',
    'L402 macaroon="a',
    'L402 macaroon="a\\"',
    'L402 macaroon="a" invoice="b"',
    'L402 macaroon="a", macaroon="b"',
    'L402 macaroon="a", MACAROON="b"',
    'L402 macaroon=a"b"',
    'L402 macaroon=\u00e9',
    'L402 a=;',
    'L402 \u0000',
    '=a',
    'L402/x',
  ];
  for (const value of values) assert.throws(() => parseChallenges([value]), refused, value);
});

test('length, challenges and parameters are bounded', () => {
  assert.throws(() => parseChallenges([`L402 a="${'x'.repeat(70_000)}"`]), refused);
  assert.throws(() => parseChallenges(Array(10).fill(`L402 a="${'x'.repeat(7000)}"`)), refused);
  assert.throws(() => parseChallenges(['X,'.repeat(33)]), refused);
  const params = Array.from({ length: 33 }, (_, index) => `p${index}=1`).join(',');
  assert.throws(() => parseChallenges([`L402 ${params}`]), refused);
  assert.equal(parsed(`L402 a="${'\\x'.repeat(30_000)}"`)[0]?.scheme, 'L402');
});

test('every challenge that is written is read back, several in a value or one a value', () => {
  const token = fc.stringMatching(/^[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}$/);
  const params = fc.dictionary(
    token.map((name) => name.toLowerCase()),
    fc.stringMatching(/^[\t -~]{0,20}$/),
    { minKeys: 1, maxKeys: 4, noNullPrototype: true },
  );
  const list = fc.array(fc.tuple(token, params), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(list, fc.boolean(), (challenges, joined) => {
      const lines = challenges.map(([scheme, values]) => {
        const pairs = Object.entries(values).map(
          ([name, value]) => `${name}="${value.replace(/["\\]/g, '\\$&')}"`,
        );
        return `${scheme} ${pairs.join(', ')}`;
      });
      const expected = challenges.map(([scheme, values]) => ({ scheme, params: values }));
      assert.deepEqual(parsed(...(joined ? [lines.join(', ')] : lines)), expected);
    }),
  );
});

test('any text is a list of challenges or an L402Error', () => {
  const pieces = fc.constantFrom(
    'L402',
    ' ',
    ',',
    '=',
    '"',
    '\\',
    'a',
    'YQ==',
    'x="y"',
    '\t',
    '/',
    ':',
    '\u00e9',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(pieces, { maxLength: 40 }).map((p) => p.join('')),
  );
  fc.assert(
    fc.property(text, (value) => {
      let challenges: ParsedChallenge[];
      try {
        challenges = parseChallenges([value]);
      } catch (error) {
        assert.ok(error instanceof L402Error, String(error));
        return;
      }
      assert.ok(challenges.length <= 32);
    }),
    { numRuns: 3000 },
  );
});
