import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../../gateway/errors.ts';
import { canonicalPath, canonicalTarget } from '../../gateway/proxy/target.ts';
import { upstreamAuthority, upstreamOrigin, upstreamPath } from '../../gateway/proxy/upstream-path.ts';

const SAME = [
  '/',
  '/a',
  '/a/',
  '/a/b.c',
  '/a/b;v=1/c',
  "/a!$&'()*+,=:@",
  '/@scope/name',
  '/a...b',
  '/a%20b',
  '/%C3%A9',
];
for (const path of SAME) {
  test(`${path} is canonical as it stands`, () => assert.equal(canonicalPath(path), path));
}

const CHANGED: readonly (readonly [string, string])[] = [
  ['//', '/'],
  ['//a///b//', '/a/b/'],
  ['/a/./b', '/a/b'],
  ['/a/../b', '/b'],
  ['/a/b/..', '/a/'],
  ['/a/b/.', '/a/b/'],
  ['/..', '/'],
  ['/../../etc', '/etc'],
  ['/a/%2e%2e/b', '/b'],
  ['/a/.%2E/b', '/b'],
  ['/a/%2e/b', '/a/b'],
  ['/a//../b', '/b'],
  ['/%70aid', '/paid'],
  ['/%7euser', '/~user'],
  ['/%c3%a9', '/%C3%A9'],
  ['/\u00c3\u00a9', '/%C3%A9'],
  ['/a%3fb', '/a%3Fb'],
  ['/{id}', '/%7Bid%7D'],
  ['/.well-known/x', '/.well-known/x'],
  // Decoded once and once only: a second decoding is the upstream's own affair.
  ['/%252e%252e/x', '/%252e%252e/x'],
];
for (const [from, to] of CHANGED) {
  test(`${JSON.stringify(from)} is ${to}`, () => assert.equal(canonicalPath(from), to));
}

const REFUSED = [
  '/a%2fb', '/a%2Fb', '/a%5cb', '/a\\b', '/a%00', '/a%0d%0aX: y', '/a%7f', '/a\u0001', '/a b', '/a\tb', '/%', '/%4', '/%zz', '/a#b', '/..;/admin',
  '/a/..;x=1/b', '/.;/b', '/%2e%2e;/b', '/..%3b/b', '/%c0%ae%c0%ae/', '/%ff', '/%ed%a0%80', '/\u0100',
]; // biome-ignore format: a list
for (const path of REFUSED) {
  test(`${JSON.stringify(path)} is refused`, () => {
    assert.throws(() => canonicalTarget('GET', path, 'a'), { code: 'bad-target', status: 400 });
  });
}

test('the query stays as it came, but for what can’t be sent', () => {
  assert.equal(canonicalTarget('GET', '/a?x=%2f..//%zz&{}', 'h').query, '?x=%2f..//%zz&{}');
  assert.equal(canonicalTarget('GET', '/a?x=\u00e9', 'h').query, '?x=%E9');
  assert.equal(canonicalTarget('GET', '/a?', 'h').query, '');
  assert.equal(canonicalTarget('GET', '/a?b?c', 'h').query, '?b?c');
  for (const query of ['/a?#', '/a?x y', '/a?\u0000', '/a?\r\n']) {
    assert.throws(() => canonicalTarget('GET', query, 'h'), { code: 'bad-target' });
  }
});

test('the host is in lower case, without port and final dot', () => {
  const hostOf = (host: string | undefined) => canonicalTarget('GET', '/', host).host;
  assert.equal(hostOf('Shop.Example:8402'), 'shop.example');
  assert.equal(hostOf('shop.example.'), 'shop.example');
  assert.equal(hostOf('[::1]:80'), '[::1]');
  assert.equal(hostOf('10.0.0.1'), '10.0.0.1');
  assert.equal(hostOf(undefined), '');
  assert.equal(hostOf(''), '');
  assert.equal(canonicalTarget('GET', '/', 'Shop.Example:8402').authority, 'shop.example:8402');
  for (const bad of [
    'a b',
    'a@b',
    'a/b',
    'a:b',
    'a:99999',
    'a,b',
    '[::1',
    '..',
    'a%20',
    'é',
    'a:1:2',
    'a"',
  ]) {
    assert.throws(() => hostOf(bad), { code: 'bad-target' }, bad);
  }
});

test('the authority of an absolute-form target wins over Host', () => {
  const target = canonicalTarget('GET', 'HTTP://Real.Example:81/a/../b?q', 'other.example');
  assert.deepEqual(target, {
    path: '/b',
    query: '?q',
    host: 'real.example',
    authority: 'real.example:81',
    form: 'absolute',
  });
  assert.equal(canonicalTarget('GET', 'http://h?q', undefined).path, '/');
  for (const url of [
    'ftp://h/',
    'http:///x',
    'http://u@h/',
    'http://h\\x/',
    'h:443',
    'x',
    '',
    '?a',
    'http:/h/x',
  ]) {
    assert.throws(() => canonicalTarget('GET', url, 'h'), { code: 'bad-target' }, url);
  }
});

test('* is for OPTIONS only', () => {
  assert.equal(canonicalTarget('OPTIONS', '*', 'h').form, 'asterisk');
  assert.equal(canonicalTarget('OPTIONS', 'http://h:1', 'x').form, 'asterisk');
  assert.throws(() => canonicalTarget('GET', '*', 'h'), { code: 'bad-target' });
});

const PIECES = fc.array(
  fc.oneof(
    fc.constantFrom(
      '/',
      '//',
      '.',
      '..',
      '%2e',
      '%2E%2e',
      ';',
      '..;',
      '%2f',
      '%5C',
      '\\',
      '%',
      '%41',
      '%25',
      '%00',
      '#',
      '?',
      'a',
      'é',
      '%c3%a9',
      ' ',
    ),
    fc.string({ maxLength: 4 }),
  ),
  { maxLength: 14 },
);

test('whatever comes in, the canonical path is idempotent, clean and below the root, or refused as bad-target', () => {
  fc.assert(
    fc.property(PIECES, (pieces) => {
      let path: string;
      try {
        path = canonicalPath(`/${pieces.join('')}`);
      } catch (error) {
        assert.ok(error instanceof GatewayError && error.code === 'bad-target');
        return;
      }
      assert.equal(canonicalPath(path), path);
      assert.match(path, /^\/[\x21-\x7e]*$/);
      assert.ok(!path.includes('//') && !/[\\#]|%(?:2[eEfF]|5[cC]|[01])/.test(path));
      // As the WHATWG URL parser of a browser or an upstream reads it, it asks for the same path.
      assert.equal(new URL(path.replaceAll('?', '%3F'), 'http://h').pathname.length >= 1, true);
      let depth = 0;
      for (const segment of path.split('/').slice(1)) {
        depth += segment === '..' ? -1 : 1;
        assert.ok(segment !== '..' && segment !== '.' && depth >= 0);
      }
    }),
    { numRuns: 5_000 },
  );
});

test('no target makes canonicalTarget throw anything but bad-target', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('GET', 'OPTIONS', 'POST'),
      fc.oneof(
        fc.string(),
        fc.string({ unit: 'binary' }),
        PIECES.map((pieces) => `http://h${pieces.join('')}`),
      ),
      fc.option(fc.string(), { nil: undefined }),
      (method, url, host) => {
        try {
          canonicalTarget(method, url, host);
        } catch (error) {
          assert.ok(error instanceof GatewayError && error.code === 'bad-target');
        }
      },
    ),
    { numRuns: 3_000 },
  );
});

test('prefixes are stripped and added at segment borders, and the base path stays in front', () => {
  const at = (path: string, stripPrefix?: string, addPrefix?: string, upstream = 'http://u:1') =>
    upstreamPath(canonicalTarget('GET', path, 'h'), {
      upstream,
      ...(stripPrefix === undefined ? {} : { stripPrefix }),
      ...(addPrefix === undefined ? {} : { addPrefix }),
    });
  assert.equal(at('/api/x?q', '/api'), '/x?q');
  assert.equal(at('/api', '/api'), '/');
  assert.equal(at('/api/', '/api/'), '/');
  assert.equal(at('/apis/x', '/api'), '/apis/x');
  assert.equal(at('/x', undefined, '/v2'), '/v2/x');
  assert.equal(at('/api/x', '/api', '/v2/'), '/v2/x');
  assert.equal(at('/x', undefined, undefined, 'http://u:1/base/'), '/base/x');
  assert.equal(at('/api/x?y=/../z', '/api', '/v2', 'http://u:1/base'), '/base/v2/x?y=/../z');
  assert.equal(at('/api/%2e%2e/%2e%2e/x', '/api', undefined, 'http://u:1/base'), '/base/x');
  assert.equal(at('/caf%c3%a9/x', '/café'), '/x');
  assert.equal(upstreamPath(canonicalTarget('OPTIONS', '*', 'h'), { upstream: 'http://u' }), '*');
});

test('an upstream’s origin and authority leave out its path', () => {
  assert.equal(upstreamOrigin({ upstream: 'https://u.example:444/base' }), 'https://u.example:444');
  assert.equal(upstreamAuthority({ upstream: 'https://u.example:444/base' }), 'u.example:444');
  assert.equal(upstreamAuthority({ upstream: 'http://[::1]:80/' }), '[::1]');
});
