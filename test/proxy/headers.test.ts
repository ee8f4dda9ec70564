import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  headersToSet,
  overrideHeaders,
  type RequestHeaderRules,
  requestHeaders,
  responseHeaders,
  responseTrailers,
} from '../../gateway/proxy/headers.ts';

const RULES: RequestHeaderRules = {
  isCredential: (name, value) => name === 'authorization' && /^(?:l402|lsat) /i.test(value),
  peer: { address: '192.0.2.1', trusted: false, proto: 'https', authority: 'shop.example:8402' },
  host: 'inner:3000',
  set: headersToSet({}),
  add: [],
};

function made(raw: readonly string[], rules: Partial<RequestHeaderRules> = {}): [string, string][] {
  const flat = requestHeaders(raw, { ...RULES, ...rules });
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[i * 2] ?? '', flat[i * 2 + 1] ?? '']);
}

function values(pairs: readonly (readonly [string, string])[], name: string): string[] {
  return pairs.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
}

test('plain headers pass with their spelling, order and duplicates', () => {
  const pairs = made(['X-B', '1', 'x-a', '2', 'X-B', '3']);
  assert.deepEqual(pairs.slice(0, 4), [
    ['Host', 'inner:3000'],
    ['X-B', '1'],
    ['x-a', '2'],
    ['X-B', '3'],
  ]);
});

test('hop-by-hop headers and those that Connection names are removed', () => {
  const pairs = made([
    'Connection', 'keep-alive, X-Secret , Upgrade', 'connection', 'x-other', 'X-Secret', '1', 'x-OTHER', '2', 'Keep-Alive', 'timeout=5',
    'Upgrade', 'h2c', 'HTTP2-Settings', 'AA', 'Proxy-Authorization', 'Basic x', 'Proxy-Connection', 'x', 'Transfer-Encoding', 'chunked',
    'Trailer', 'X', 'Expect', '100-continue', 'X-Kept', 'yes',
  ]); // biome-ignore format: pairs
  const names = pairs.map(([name]) => name.toLowerCase());
  assert.deepEqual(names, [
    'host',
    'x-kept',
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-forwarded-host',
    'forwarded',
  ]);
});

test('Connection can’t take away what the gateway adds, nor the length of the body', () => {
  const pairs = made(
    [
      'Connection',
      'L402-Account, X-Forwarded-For, Content-Length, Host, X-Key',
      'Content-Length',
      '5',
      'X-Key',
      'theirs',
    ],
    { add: ['L402-Account', 'abc'], set: headersToSet({ 'X-Key': 'ours' }) },
  );
  assert.deepEqual(values(pairs, 'l402-account'), ['abc']);
  assert.deepEqual(values(pairs, 'x-forwarded-for'), ['192.0.2.1']);
  assert.deepEqual(values(pairs, 'content-length'), ['5']);
  assert.deepEqual(values(pairs, 'host'), ['inner:3000']);
  assert.deepEqual(values(pairs, 'x-key'), ['ours']);
});

test('of TE only trailers passes', () => {
  assert.deepEqual(values(made(['TE', 'gzip, trailers;q=1', 'Connection', 'TE']), 'te'), ['trailers']);
  assert.deepEqual(values(made(['TE', 'gzip']), 'te'), []);
});

test('every credential is removed, also a second one, and an Authorization of the upstream’s own passes', () => {
  const pairs = made([
    'Authorization',
    'L402 a:b',
    'authorization',
    'LSAT c:d',
    'AUTHORIZATION',
    'Bearer theirs',
  ]);
  assert.deepEqual(values(pairs, 'authorization'), ['Bearer theirs']);
});

test('what only the gateway may say, and ways to ask for something else, are removed', () => {
  const names = [
    'L402-Account', 'l402-paid-msat', 'L402-Signature', 'X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override',
    'X-Original-URL', 'X-Rewrite-URL', 'L402_Account', 'X_Original_URL', 'x_forwarded_for', 'Content_Length', 'Transfer_Encoding', 'HOST',
    'L402.Account', 'l402!paid~msat', 'X.Forwarded.For', 'Content.Length',
  ]; // biome-ignore format: a list
  const pairs = made(names.flatMap((name) => [name, 'evil']));
  assert.ok(!JSON.stringify(pairs).includes('evil'));
});

test('a header with an underscore or a dot that means nothing here passes', () => {
  assert.deepEqual(values(made(['X_Mine', '1', 'X.Mine', '2']), 'x_mine'), ['1']);
  assert.deepEqual(values(made(['X_Mine', '1', 'X.Mine', '2']), 'x.mine'), ['2']);
});

test('no twin of a header that the operator sets, or that the gateway puts over others, stands beside it', () => {
  const twins = ['X_Api_Key', 'x.api.key', 'X-Api-Key', 'X_API-KEY'];
  const pairs = made(
    twins.flatMap((name) => [name, 'mine']),
    { set: headersToSet({ 'X-Api-Key': 'secret' }) },
  );
  assert.ok(!JSON.stringify(pairs).includes('mine'));
  assert.deepEqual(values(pairs, 'x-api-key'), ['secret']);
  assert.deepEqual(
    overrideHeaders(['Accept_Encoding', 'br', 'Accept', 'x'], ['Accept-Encoding', 'identity']),
    ['Accept', 'x', 'Accept-Encoding', 'identity'],
  );
});

test('an upstream can’t say in another spelling what only the gateway may say', () => {
  assert.deepEqual(responseHeaders(['L402_Balance_Msat', '5', 'L402.Price', '1', 'X', 'y']), ['X', 'y']);
});

test('an undeclared peer’s claims are replaced by what the connection shows', () => {
  const pairs = made([
    'X-Forwarded-For', '1.2.3.4', 'X-Forwarded-Proto', 'http', 'X-Forwarded-Host', 'evil', 'Forwarded', 'for=1.2.3.4', 'X-Real-IP', '1.2.3.4',
    'X-Forwarded-Port', '1', 'True-Client-IP', '1.2.3.4', 'CF-Connecting-IP', '1.2.3.4',
  ]); // biome-ignore format: pairs
  assert.deepEqual(pairs, [
    ['Host', 'inner:3000'],
    ['X-Forwarded-For', '192.0.2.1'],
    ['X-Forwarded-Proto', 'https'],
    ['X-Forwarded-Host', 'shop.example:8402'],
    ['Forwarded', 'for=192.0.2.1;host="shop.example:8402";proto=https'],
  ]);
});

test('a trusted peer’s chain is continued', () => {
  const pairs = made(
    ['X-Forwarded-For', '203.0.113.9', 'x-forwarded-for', '10.1.1.1', 'X-Forwarded-Proto', 'https', 'X-Forwarded-Host', 'pub.example',
      'Forwarded', 'for=203.0.113.9', 'X-Real-IP', '203.0.113.9'], // biome-ignore format: pairs
    { peer: { address: '::ffff:10.0.0.2', trusted: true, proto: 'http', authority: 'shop.example' } },
  );
  assert.deepEqual(values(pairs, 'x-forwarded-for'), ['203.0.113.9, 10.1.1.1, 10.0.0.2']);
  assert.deepEqual(values(pairs, 'x-forwarded-proto'), ['https']);
  assert.deepEqual(values(pairs, 'x-forwarded-host'), ['pub.example']);
  assert.deepEqual(values(pairs, 'forwarded'), [
    'for=203.0.113.9, for=10.0.0.2;host="shop.example";proto=http',
  ]);
  assert.deepEqual(values(pairs, 'x-real-ip'), ['203.0.113.9']);
});

test('an IPv6 peer stands in quotes and brackets in Forwarded', () => {
  const pairs = made([], { peer: { address: '2001:db8::1', trusted: false, proto: 'http', authority: '' } });
  assert.deepEqual(values(pairs, 'forwarded'), ['for="[2001:db8::1]";proto=http']);
});

test('a configured header replaces the client’s and ours of that name', () => {
  const pairs = made(['X-Key', 'guess', 'X-KEY', 'guess'], {
    set: headersToSet({ 'X-Key': 'secret', 'X-Forwarded-Host': 'fixed' }),
  });
  assert.deepEqual(values(pairs, 'x-key'), ['secret']);
  assert.deepEqual(values(pairs, 'x-forwarded-host'), ['fixed']);
});

test('no mixture of headers lets a protected name through', () => {
  const name = fc.constantFrom(
    'Connection', 'L402-Account', 'l402_account', 'X-Original-URL', 'Transfer-Encoding', 'Host', 'Upgrade', 'X-A', 'Forwarded', 'Expect', 'TE',
  ); // biome-ignore format: a list
  const value = fc.constantFrom('evil', 'close', 'X-A', 'l402-account, host', ',,', 'trailers');
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 12 }), (headers) => {
      const pairs = made(headers.flat(), { add: ['L402-Account', 'abc'] });
      assert.deepEqual(values(pairs, 'l402-account'), ['abc']);
      assert.deepEqual(values(pairs, 'host'), ['inner:3000']);
      for (const gone of [
        'connection',
        'upgrade',
        'transfer-encoding',
        'expect',
        'l402_account',
        'x-original-url',
      ]) {
        assert.deepEqual(values(pairs, gone), []);
      }
    }),
  );
});

test('a response loses hop-by-hop headers, what its Connection names, and the upstream’s payment headers', () => {
  const flat = responseHeaders(
    [
      'Connection', 'close, X-Hop', 'X-Hop', '1', 'Keep-Alive', 'timeout=5', 'WWW-Authenticate', 'L402 macaroon="x"', 'www-authenticate',
      'Basic realm="r"', 'WWW-Authenticate', 'Basic realm="r", Payment id="1"', 'Payment-Receipt', 'x', 'L402-Balance-Msat', '9', 'Alt-Svc', 'h3=":443"',
      'Date', 'Thu, 01 Jan 1970 00:00:00 GMT', 'X-Kept', 'yes',
    ].map((part) => Buffer.from(part)),
  ); // biome-ignore format: pairs
  assert.deepEqual(flat, [
    'www-authenticate', 'Basic realm="r"', 'Date', 'Thu, 01 Jan 1970 00:00:00 GMT', 'X-Kept', 'yes',
  ]); // biome-ignore format: pairs
});

test('a Content-Length beside Transfer-Encoding does not reach the client', () => {
  assert.deepEqual(responseHeaders(['Content-Length', '5', 'X-A', '1', 'Transfer-Encoding', 'chunked']), [
    'X-A',
    '1',
  ]);
});

test('bytes over 0x7f in a header stay the bytes they are', () => {
  assert.deepEqual(responseHeaders([Buffer.from('X-A'), Buffer.from([0xe9])]), ['X-A', '\u00e9']);
});

test('headers put over others replace them whatever their case', () => {
  assert.deepEqual(overrideHeaders(['Cache-Control', 'public', 'X-A', '1'], ['cache-control', 'no-store']), [
    'X-A',
    '1',
    'cache-control',
    'no-store',
  ]);
});

test('trailers lose what frames, authenticates or caches', () => {
  assert.deepEqual(
    responseTrailers(['X-Sum', '1', 'Content-Length', '3', 'Set-Cookie', 'a=b', 'L402-Price', 'x']),
    [['X-Sum', '1']],
  );
});
