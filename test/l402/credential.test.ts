import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type CredentialCandidate,
  isCredentialHeader,
  MAX_CREDENTIALS,
  readCredentials,
  withoutCredentials,
} from '../../gateway/l402/credential.ts';
import { macaroonFromText, macaroonToBase64, mintMacaroon } from '../../gateway/l402/macaroon.ts';
import { GO_MACAROON } from '../vectors/macaroons.ts';

const macaroon = GO_MACAROON.base64;
const second = macaroonToBase64(
  mintMacaroon(Buffer.alloc(32, 1), GO_MACAROON.identifier, ['services=service2:0']),
);
const urlSafe = macaroon.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
const hex = Buffer.from(macaroon, 'base64').toString('hex');
const preimage = '0f1e'.repeat(16);
const credential = `${macaroon}:${preimage}`;
const one: CredentialCandidate = { macaroons: [macaroon], preimage, cacheKey: credential };

const basic = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

/** The candidates of one Authorization value, with nothing malformed beside them. */
function candidates(...values: readonly string[]): readonly CredentialCandidate[] {
  const reading = readCredentials(values.flatMap((value) => ['Authorization', value]));
  assert.equal(reading.malformed, undefined, values.join(' & '));
  return reading.candidates;
}

/** An Authorization value that was meant for us, can't be used, and must not reach the upstream. */
function isMalformed(value: string): void {
  const reading = readCredentials(['authorization', value]);
  assert.deepEqual(reading.candidates, [], value);
  assert.equal(typeof reading.malformed, 'string', value);
  assert.equal(withoutCredentials('authorization', value), undefined, value);
}

/** A header that is none of our business. */
function isForeign(name: string, value: string, options = {}): void {
  assert.deepEqual(readCredentials([name, value], options), { candidates: [] }, value);
  assert.equal(withoutCredentials(name, value, options), value);
  assert.equal(isCredentialHeader(name, value, options), false);
}

test('L402 and LSAT values are read in any case', () => {
  for (const scheme of ['L402', 'LSAT', 'l402', 'lsat', 'Lsat']) {
    assert.deepEqual(candidates(`${scheme} ${credential}`), [one]);
    assert.equal(isCredentialHeader('Authorization', `${scheme} ${credential}`), true);
  }
  assert.deepEqual(readCredentials(['AUTHORIZATION', `L402 \t ${credential} `]).candidates, [one]);
});

test('url-safe and unpadded macaroons and upper-case preimages are read', () => {
  const [candidate] = candidates(`L402 ${urlSafe}:${preimage.toUpperCase()}`);
  assert.equal(candidate?.preimage, preimage);
  assert.deepEqual(macaroonFromText(candidate?.macaroons[0] ?? ''), macaroonFromText(macaroon));
});

test('several macaroons before one preimage are one credential', () => {
  const both: CredentialCandidate = {
    macaroons: [macaroon, second],
    preimage,
    cacheKey: `${macaroon},${second}:${preimage}`,
  };
  assert.deepEqual(candidates(`L402 ${macaroon},${second}:${preimage}`), [both]);
  assert.deepEqual(candidates(`L402 ${macaroon}, ${second}:${preimage}`), [both]);
});

test('a macaroon without a preimage is a candidate that says so', () => {
  assert.deepEqual(candidates(`L402 ${macaroon}`), [{ macaroons: [macaroon], cacheKey: macaroon }]);
});

test('ours is found in a second Authorization header, behind the own one of the upstream', () => {
  assert.deepEqual(candidates('Bearer upstream-key', `L402 ${credential}`), [one]);
});

test('ours is found in one value with credentials of other schemes, which stay', () => {
  const others = [
    'Basic dXNlcjpwYXNzd29yZA==',
    'Bearer abc.def-ghi==',
    'Digest username="a, L402 x:y", uri = "/", nonce="\\", L402 z:w"',
    'Negotiate YWJj',
  ];
  for (const other of others) {
    assert.deepEqual(candidates(`${other}, L402 ${credential}`), [one]);
    assert.deepEqual(candidates(`L402 ${credential}, ${other}`), [one]);
    assert.equal(withoutCredentials('Authorization', `${other}, L402 ${credential}`), other);
    assert.equal(withoutCredentials('Authorization', `L402 ${credential},${other}`), other);
    assert.equal(isCredentialHeader('Authorization', `${other}, L402 ${credential}`), true);
    isForeign('Authorization', other);
  }
  const all = `${others.slice(0, 2).join(', ')}, L402 ${credential}, ${others.slice(2).join(', ')}`;
  assert.deepEqual(candidates(all), [one]);
  assert.equal(withoutCredentials('Authorization', all), others.join(', '));
});

test('two L402 credentials in one value are two candidates', () => {
  const other = { macaroons: [second], preimage, cacheKey: `${second}:${preimage}` };
  assert.deepEqual(candidates(`L402 ${credential}, L402 ${second}:${preimage}`), [one, other]);
  assert.deepEqual(candidates(`L402 ${credential}, ${second}:${preimage}`), [one, other]);
});

test('a Bearer token of the form macaroon:preimage is ours', () => {
  assert.deepEqual(candidates(`Bearer ${credential}`), [one]);
  assert.deepEqual(candidates(`bearer ${macaroon},${second}:${preimage}`)[0]?.macaroons, [macaroon, second]);
  assert.equal(withoutCredentials('Authorization', `Bearer ${credential}`), undefined);
});

test('macaroon:preimage without a scheme is ours, for clients that know only an API key', () => {
  assert.deepEqual(candidates(credential), [one]);
  assert.deepEqual(candidates(`${macaroon}, ${second}:${preimage}`)[0]?.macaroons, [macaroon, second]);
  assert.equal(withoutCredentials('Authorization', credential), undefined);
});

test('a Basic password of that form is ours, whatever the user name', () => {
  for (const value of [basic('', credential), basic('user', credential), basic(macaroon, preimage)]) {
    assert.deepEqual(candidates(value), [one]);
    assert.equal(withoutCredentials('Authorization', value), undefined);
    assert.equal(withoutCredentials('Authorization', `${value}, Bearer x`), 'Bearer x');
  }
});

test("Bearer and Basic values of the upstream's own survive", () => {
  isForeign('Authorization', `Bearer sk-live:${'ab'.repeat(32)}`);
  isForeign('Authorization', `Bearer ${'eyJhbGciOiJIUzI1NiJ9.'.repeat(60)}`);
  isForeign('Authorization', `Bearer Ag${'E'.repeat(300)}:${preimage}`);
  isForeign('Authorization', basic('user', 'password'));
  isForeign('Authorization', basic('user', `${'p'.repeat(400)}:${preimage}`));
  isForeign('Authorization', `Basic ${'!'.repeat(400)}`);
  isForeign('Authorization', '');
  isForeign('Authorization', 'Negotiate');
});

test('the same credential has the same cache key in every form, another text has another', () => {
  const forms = [`L402 ${credential}`, `Bearer ${credential}`, basic('u', credential), credential];
  const keys = forms.map((form) => candidates(form)[0]?.cacheKey);
  assert.deepEqual(new Set(keys), new Set([credential]));
  assert.notEqual(candidates(`L402 ${macaroon}:${preimage.toUpperCase()}`)[0]?.cacheKey, credential);
});

test('a Payment credential is not ours to read, and is not forwarded', () => {
  const value = 'Payment eyJjaGFsbGVuZ2UiOiJ4In0';
  assert.deepEqual(readCredentials(['Authorization', value]), { candidates: [] });
  assert.equal(withoutCredentials('Authorization', value), undefined);
  assert.equal(withoutCredentials('Authorization', `payment a="b", c="d", Bearer x`), 'Bearer x');
  assert.deepEqual(readCredentials(['x-l402', value], { credentialHeader: 'x-l402' }), { candidates: [] });
});

test('the configured header takes every form and is never forwarded', () => {
  const options = { credentialHeader: 'x-l402' };
  for (const value of [credential, `L402 ${credential}`, `Bearer ${credential}`]) {
    assert.deepEqual(readCredentials(['X-L402', value], options), { candidates: [one] });
    assert.equal(withoutCredentials('X-L402', value, options), undefined);
    isForeign('X-L402', value);
  }
  assert.equal(withoutCredentials('x-l402', 'anything', options), undefined);
  const headers = ['Authorization', 'Bearer upstream-key', 'X-L402', credential];
  assert.deepEqual(readCredentials(headers, options).candidates, [one]);
  isForeign('Authorization', 'Bearer upstream-key', options);
});

test('a configured header may have the name of a known one', () => {
  assert.deepEqual(readCredentials(['macaroon', credential], { credentialHeader: 'macaroon' }).candidates, [
    one,
  ]);
  const options = { credentialHeader: 'authorization' };
  assert.equal(withoutCredentials('Authorization', 'Bearer upstream-key', options), 'Bearer upstream-key');
  assert.deepEqual(readCredentials(['Authorization', `L402 ${credential}`], options).candidates, [one]);
});

test("the hex headers of Aperture's gRPC client are read", () => {
  for (const name of ['Grpc-Metadata-Macaroon', 'macaroon', 'MACAROON']) {
    for (const value of [hex, hex.toUpperCase(), ` ${hex} `]) {
      const reading = readCredentials([name, value]);
      assert.deepEqual(reading, { candidates: [{ macaroons: [macaroon], cacheKey: macaroon }] });
      assert.equal(withoutCredentials(name, value), undefined);
    }
  }
});

test("a macaroon of LND in the same header is the upstream's", () => {
  isForeign('Grpc-Metadata-Macaroon', `0201036c6e64${'00'.repeat(100)}`);
  isForeign('Macaroon', 'something else');
});

test('a query token is read, and blanks in it are the plus signs that form decoding took', () => {
  assert.deepEqual(readCredentials([], { queryToken: `${urlSafe}:${preimage}` }).candidates.length, 1);
  const decoded = new URLSearchParams(`t=${credential}`).get('t') ?? '';
  assert.match(decoded, / /);
  assert.deepEqual(readCredentials(['Host', 'example.com'], { queryToken: decoded }).candidates, [one]);
  assert.deepEqual(readCredentials([], { queryToken: '' }), { candidates: [] });
});

test('a broken credential is reported, and is not forwarded', () => {
  isMalformed(`L402 ${macaroon}:`);
  isMalformed(`L402 ${macaroon}:${preimage.slice(1)}`);
  isMalformed(`L402 ${macaroon}:${preimage}0`);
  isMalformed(`L402 ${macaroon}:${preimage.slice(1)}g`);
  isMalformed(`L402 ${macaroon}: ${preimage}`);
  isMalformed(`L402 :${preimage}`);
  isMalformed(`Bearer ${macaroon}:${preimage.slice(1)}`);
  isMalformed(basic('user', `${macaroon}:${preimage.slice(1)}`));
  assert.match(readCredentials(['Macaroon', `${hex}0`]).malformed ?? '', /hex/);
  assert.equal(withoutCredentials('Macaroon', `${hex}0`), undefined);
  assert.match(readCredentials(['Macaroon', hex.repeat(100)]).malformed ?? '', /too long/);
});

test('a blank inside a macaroon makes it no macaroon, and is not forwarded either', () => {
  for (const value of [
    `L402 ${macaroon} :${preimage}`,
    `Bearer ${macaroon} :${preimage}`,
    `${macaroon} :${preimage}`,
  ]) {
    for (const candidate of candidates(value)) {
      assert.throws(() => macaroonFromText(candidate.macaroons[0] ?? ''), { code: 'bad-base64' });
    }
    assert.equal(withoutCredentials('Authorization', value), undefined);
  }
});

test('a broken credential does not hide a good one', () => {
  const reading = readCredentials(['Authorization', 'L402 x:y', 'Authorization', `L402 ${credential}`]);
  assert.deepEqual(reading.candidates, [one]);
  assert.equal(typeof reading.malformed, 'string');
});

test('a reason never shows what was sent', () => {
  const reason = readCredentials(['Authorization', `L402 ${macaroon}:hunter2`]).malformed ?? '';
  assert.ok(!reason.includes('hunter2') && !reason.includes(macaroon.slice(0, 12)));
});

test('one request makes us verify a bounded number of macaroons', () => {
  const many = readCredentials(
    Array.from({ length: 50 }, () => ['Authorization', `L402 ${credential}`]).flat(),
  );
  assert.equal(many.candidates.length, MAX_CREDENTIALS);
  assert.match(many.malformed ?? '', /at most/);
  const wide = `L402 ${Array(MAX_CREDENTIALS + 1)
    .fill(macaroon)
    .join(',')}:${preimage}`;
  assert.deepEqual(readCredentials(['Authorization', wide]).candidates, []);
});

test('other headers are left alone, also when they look alike', () => {
  for (const name of [
    'Proxy-Authorization',
    'X-Authorization',
    'Authorizatio',
    'Accept',
    '',
    ':path',
    'macaroons',
  ]) {
    isForeign(name, `L402 ${credential}`);
  }
  assert.deepEqual(readCredentials(['Authorization']), { candidates: [] });
  assert.deepEqual(readCredentials([]), { candidates: [] });
});

test('any headers give a bounded reading, and no L402 credential is left in what is forwarded', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'L402 ',
      'LSAT ',
      'Bearer ',
      'Basic ',
      'Payment ',
      'Digest ',
      ',',
      ', ',
      ' ',
      '"',
      '\\',
      '=',
    ),
    fc.constantFrom(macaroon, credential, `:${preimage}`, basic('u', credential).slice(6), 'a="b"', 'YQ=='),
    fc.string({ maxLength: 5 }),
  );
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 12 }).map((p) => p.join('')),
  );
  const name = fc.constantFrom('Authorization', 'X-L402', 'Macaroon', 'Grpc-Metadata-Macaroon', 'Host');
  const options = { credentialHeader: 'x-l402' };
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 4 }), value, (headers, queryToken) => {
      const reading = readCredentials(headers.flat(), { ...options, queryToken });
      assert.ok(reading.candidates.length <= MAX_CREDENTIALS);
      for (const candidate of reading.candidates) {
        assert.ok(candidate.macaroons.every((text) => text !== ''));
        assert.match(candidate.preimage ?? preimage, /^[0-9a-f]{64}$/);
      }
      const forwarded = headers.flatMap(([header, sent]) => {
        const rest = withoutCredentials(header, sent, options);
        assert.equal(isCredentialHeader(header, sent, options), rest !== sent);
        return rest === undefined ? [] : [header, rest];
      });
      assert.deepEqual(readCredentials(forwarded, options), { candidates: [] });
    }),
    { numRuns: 3000 },
  );
});

test('a long hostile value is read in linear time', () => {
  const size = 500_000;
  for (const unit of [',', '"', ', "', 'L402 ,', 'a ', ' =', '\\"', 'L402 x:y,', '\t']) {
    const value = unit.repeat(Math.ceil(size / unit.length));
    const { candidates: few } = readCredentials(['Authorization', value, 'Authorization', `L402 ${value}`]);
    assert.ok(few.length <= MAX_CREDENTIALS);
    withoutCredentials('Authorization', value);
  }
});
