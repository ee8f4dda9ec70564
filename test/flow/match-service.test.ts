import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ServiceConfig } from '../../config/config.ts';
import { compileRoutes, type Router } from '../../gateway/flow/match-service.ts';
import { canonicalPath } from '../../gateway/proxy/target.ts';
import { msat } from '../../node/msat.ts';

/** A service of which only the match counts. */
function service(name: string, match: Partial<ServiceConfig>): ServiceConfig {
  return {
    name,
    path: '/*',
    price: { kind: 'call', amountMsat: msat(1_000) },
    upstream: 'http://127.0.0.1:3000',
    requestHeaders: {},
    upstreamHost: 'upstream',
    chargeOn: [[200, 399]],
    validForSec: 60,
    capabilities: 'all',
    credentialInQuery: false,
    cacheControl: 'private, no-store',
    connectTimeoutMs: 1,
    headersTimeoutMs: 1,
    idleTimeoutMs: 1,
    maxBodyBytes: 1,
    ...match,
  };
}

function routerOf(services: Readonly<Record<string, Partial<ServiceConfig>>>): Router {
  return compileRoutes(Object.entries(services).map(([name, match]) => service(name, match)));
}

/** The name of the winner, `-` for none. The URL's path is made canonical first, as the gateway does. */
function winner(router: Router, request: string): string {
  const [method = '', host = '', path = ''] = request.split(' ');
  return router.match(method, host === '-' ? '' : host, canonicalPath(path))?.name ?? '-';
}

function assertWinners(router: Router, expected: Readonly<Record<string, string>>): void {
  for (const [request, name] of Object.entries(expected))
    assert.equal(winner(router, request), name, request);
}

test('the most specific path wins, whatever the order in the file', () => {
  const router = routerOf({
    rest: { path: '/*' },
    files: { path: '/files/*' },
    user: { path: '/users/:id' },
    me: { path: '/users/me' },
    posts: { path: '/users/:id/posts' },
  });
  assertWinners(router, {
    'GET - /': 'rest',
    'GET - /other': 'rest',
    'GET - /users': 'rest',
    'GET - /users/me': 'me',
    'GET - /users/7': 'user',
    'GET - /users/mean': 'user',
    'GET - /users/7/posts': 'posts',
    'GET - /users/me/posts': 'posts',
    'GET - /users/7/other': 'rest',
    'GET - /files/a/b/c': 'files',
    'GET - /filesystem': 'rest',
  });
});

test('a final slash and a long name do not fall to the free catch-all', () => {
  const router = routerOf({
    rest: { path: '/*', price: { kind: 'free' } },
    quote: { path: '/quote' },
    pack: { path: '/pack/*' },
    user: { path: '/users/:id' },
  });
  assertWinners(router, {
    'GET - /quote/': 'quote',
    'GET - /quote//': 'quote',
    'GET - //quote': 'quote',
    'GET - /./quote': 'quote',
    'GET - /x/../quote': 'quote',
    'GET - /%71uote': 'quote',
    'GET - /pack': 'pack',
    'GET - /pack/': 'pack',
    'GET - /pack/a': 'pack',
    [`GET - /users/${'7'.repeat(7_000)}`]: 'user',
    [`GET - /pack/${'7/'.repeat(3_000)}`]: 'pack',
  });
});

test('a path of its own beats the path that a `*` covers without its slash', () => {
  const router = routerOf({ index: { path: '/library' }, library: { path: '/library/*' } });
  assertWinners(router, {
    'GET - /library': 'index',
    'GET - /library/': 'index',
    'GET - /library/1': 'library',
  });
});

test('escapes are compared as they stand and never decoded again', () => {
  const router = routerOf({
    rest: { path: '/*' },
    percent: { path: '/a%2525b' },
    once: { path: '/a%25b' },
    cafe: { path: '/café/:x' },
    space: { path: '/with%20space' },
    colon: { path: '/v1/models:predict' },
    plus: { path: '/a+b' },
  });
  assertWinners(router, {
    'GET - /a%25b': 'once',
    'GET - /a%2525b': 'percent',
    'GET - /a%252525b': 'rest',
    'GET - /caf%C3%A9/1': 'cafe',
    'GET - /caf%c3%a9/1': 'cafe',
    'GET - /with%20space': 'space',
    'GET - /with+space': 'rest',
    'GET - /v1/models:predict': 'colon',
    'GET - /v1/models%3Apredict': 'rest',
    'GET - /a+b': 'plus',
    'GET - /a%2Bb': 'rest',
  });
});

test('what is no canonical path matches nothing', () => {
  const router = routerOf({ rest: { path: '/*' } });
  for (const path of ['', '*', 'quote', '/a?b', '/a#b', 'http://h/a']) {
    assert.equal(router.match('GET', '', path), undefined, path);
  }
});

test('HEAD is priced as GET', () => {
  const router = routerOf({ rest: { price: { kind: 'free' } }, quote: { path: '/quote', methods: ['GET'] } });
  assertWinners(router, { 'HEAD - /quote': 'quote', 'GET - /quote': 'quote', 'POST - /quote': 'rest' });
});

test('on one path the service that names the method comes first; others take the next path', () => {
  const router = routerOf({
    any: { path: '/items/:id' },
    write: { path: '/items/:key', methods: ['POST', 'PUT'] },
    purge: { path: '/items/*', methods: ['DELETE'] },
    exact: { path: '/items/1', methods: ['PATCH'] },
  });
  assertWinners(router, {
    'GET - /items/1': 'any',
    'POST - /items/1': 'write',
    'PUT - /items/1': 'write',
    'DELETE - /items/1': 'any',
    'DELETE - /items/1/2': 'purge',
    'PATCH - /items/1': 'exact',
    'PATCH - /items/2': 'any',
    'PROPFIND - /items/1': 'any',
    'GET - /items/1/2': '-',
  });
});

test('a host comes before every path: exact, then the longest wildcard, then services without one', () => {
  const router = routerOf({
    shared: { path: '/deep/er/path' },
    rest: { path: '/*' },
    api: { path: '/v1/*', host: 'api.example.com' },
    tenants: { path: '/*', host: '*.example.com' },
    eu: { path: '/v1/*', host: '*.eu.example.com' },
    v6: { path: '/*', host: '[::1]' },
  });
  assertWinners(router, {
    'GET api.example.com /v1/x': 'api',
    'GET api.example.com /deep/er/path': 'tenants',
    'GET www.example.com /v1/x': 'tenants',
    'GET a.b.example.com /v1/x': 'tenants',
    'GET a.eu.example.com /v1/x': 'eu',
    'GET a.eu.example.com /v2/x': 'tenants',
    'GET example.com /v1/x': 'rest',
    'GET example.com /deep/er/path': 'shared',
    'GET badexample.com /v1/x': 'rest',
    'GET [::1] /v1/x': 'v6',
    'GET - /v1/x': 'rest',
  });
});

test('case counts, unless a service ignores it', () => {
  const strict = routerOf({ rest: { path: '/*' }, quote: { path: '/Quote' } });
  assertWinners(strict, { 'GET - /Quote': 'quote', 'GET - /quote': 'rest', 'GET - /QUOTE': 'rest' });
  const loose = routerOf({
    rest: { path: '/*' },
    quote: { path: '/Quote/:id', ignoreCase: true },
    own: { path: '/quote/me' },
    cafe: { path: '/café', ignoreCase: true },
  });
  assertWinners(loose, {
    'GET - /quote/1': 'quote',
    'GET - /QUOTE/1': 'quote',
    'GET - /quote/me': 'own',
    'GET - /QUOTE/me': 'quote',
    'GET - /CAF%C3%A9': 'cafe',
    'GET - /other': 'rest',
  });
});

test('equal routes are refused', () => {
  const equal: readonly (readonly [Partial<ServiceConfig>, Partial<ServiceConfig>])[] = [
    [{ path: '/a/:id' }, { path: '/a/:name' }],
    [{ path: '/a' }, { path: '/a/' }],
    [{ path: '/%61' }, { path: '/a' }],
    [
      { path: '/a', methods: ['GET', 'POST'] },
      { path: '/a', methods: ['POST'] },
    ],
    [
      { path: '/a', host: 'h' },
      { path: '/a', host: 'h' },
    ],
  ];
  for (const [one, two] of equal)
    assert.throws(() => routerOf({ one, two }), /one and two have the same route/);
  routerOf({
    one: { path: '/a', methods: ['GET'] },
    two: { path: '/a', methods: ['POST'] },
    three: { path: '/a' },
  });
  routerOf({ one: { path: '/a', host: 'h' }, two: { path: '/a' } });
});

for (const path of [
  '',
  'a',
  '/a*',
  '/*/b',
  '/:',
  '/:a-:b',
  '/:a.json',
  '/a//b',
  '/a/../b',
  '/./a',
  '/a?b',
  '/a#b',
  '/a%2Fb',
  '/%zz',
  '/a/{id}',
  '/a/<id>',
  '/a/[id]',
]) {
  test(`"${path}" is no pattern`, () => {
    assert.throws(() => routerOf({ one: { path } }), RangeError);
  });
}

test('brackets that are meant are written percent-encoded', () => {
  assertWinners(routerOf({ one: { path: '/a/%7Bid%7D' } }), {
    'GET - /a/%7Bid%7D': 'one',
    'GET - /a/7': '-',
  });
});

test('the radix tree finds what a search through all services finds', () => {
  const segment = fc.constantFrom('a', 'b', 'ab', 'abc', ':x', ':y', 'é', 'a:b');
  const pattern = fc
    .tuple(fc.array(segment, { maxLength: 4 }), fc.constantFrom('', '/*'))
    .map(([segments, rest]) => `/${segments.join('/')}${rest}`.replace(/^\/\//, '/'));
  const aService = fc.record({
    path: pattern,
    methods: fc.constantFrom(undefined, ['GET'], ['POST'], ['GET', 'PUT']),
    host: fc.constantFrom(undefined, undefined, 'h.test', '*.test'),
  });
  const request = fc.record({
    method: fc.constantFrom('GET', 'HEAD', 'POST', 'DELETE'),
    host: fc.constantFrom('', 'h.test', 'i.test', 'other'),
    path: fc
      .array(fc.constantFrom('a', 'b', 'ab', 'abc', 'abcd', '%C3%A9', 'a:b', 'z', 'a%25'), { maxLength: 5 })
      .map((parts) => `/${parts.join('/')}`),
  });
  fc.assert(
    fc.property(
      fc.array(aService, { minLength: 1, maxLength: 8 }),
      fc.array(request, { minLength: 5, maxLength: 20 }),
      (written, requests) => {
        const services = written.map(({ path, methods, host }, index) =>
          service(`s${index}`, { path, ...(methods && { methods }), ...(host && { host }) }),
        );
        let router: Router;
        try {
          router = compileRoutes(services);
        } catch (error) {
          assert.match(String(error), /have the same route/);
          return;
        }
        for (const { method, host, path } of requests) {
          const { winner: explained, candidates } = router.explain(
            method,
            host === '' ? path : `http://${host}${path}`,
          );
          const priced = method === 'HEAD' ? 'GET' : method;
          const able = candidates.filter(({ service: { methods } }) => methods?.includes(priced) ?? true);
          const hostRank = ({ host: own }: ServiceConfig): number =>
            own === undefined ? 1 : own === host ? 3 : own === '*.test' && host.endsWith('.test') ? 2 : 0;
          const possible = able.filter((candidate) => hostRank(candidate.service) > 0);
          const best = possible.reduce<ServiceConfig | undefined>((sofar, { service: next }) => {
            if (sofar === undefined) return next;
            const difference = hostRank(next) - hostRank(sofar) || comparePaths(next.path, sofar.path);
            if (difference !== 0) return difference > 0 ? next : sofar;
            return next.methods === undefined ? sofar : next;
          }, undefined);
          assert.equal(explained?.name, best?.name, `${method} ${host} ${path}`);
        }
      },
    ),
    { numRuns: 400 },
  );
});

/** Specificity, said once more in other words: a string for each path that sorts as the rule does. */
function comparePaths(a: string, b: string): number {
  const key = (path: string): string =>
    `${path
      .slice(1)
      .split('/')
      .map((part) => (part === '' ? '' : part === '*' ? 'A' : part.startsWith(':') ? 'C' : 'D'))
      .join('')}B`;
  return key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0;
}

test('an explanation names every candidate, the winner first, and where the request goes', () => {
  const router = routerOf({
    rest: { path: '/*', price: { kind: 'free' } },
    pack: { path: '/pack/*', upstream: 'http://10.0.0.1:9000/base', stripPrefix: '/pack', addPrefix: '/v2' },
    write: { path: '/pack/*', methods: ['POST'] },
    other: { path: '/pack/:x', host: 'api.example.com' },
    loud: { path: '/PACK/*' },
  });
  const {
    winner: won,
    upstreamUrl,
    candidates,
    target,
  } = router.explain('GET', 'http://h:8402/x/../pack/7?q=1');
  assert.equal(won?.name, 'pack');
  assert.equal(target.path, '/pack/7');
  assert.equal(upstreamUrl, 'http://10.0.0.1:9000/base/v2/7?q=1');
  assert.deepEqual(
    candidates.map(({ service: { name }, wins, reason }) => `${name} ${wins}: ${reason}`),
    [
      'pack true: most specific host, then path, then method',
      'write false: does not take GET, only POST',
      'loud false: is written in another case: /PACK/*',
      'rest false: pack has the more specific path',
      'other false: is for host api.example.com only',
    ],
  );
  assert.equal(router.explain('POST', '/pack/7').candidates[1]?.reason, 'write names the method');
  assert.equal(router.explain('GET', 'http://api.example.com/pack/7').winner?.name, 'other');
});

test('an explanation refuses a URL that the gateway would refuse', () => {
  assert.throws(() => routerOf({ rest: {} }).explain('GET', '/a%2Fb'), { code: 'bad-target' });
});
