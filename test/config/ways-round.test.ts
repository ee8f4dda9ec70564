import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkConfig, warnConfig } from '../../config/check.ts';
import { resolveConfig } from '../../config/resolve.ts';
import { type ConfigFileInput, fileSchema } from '../../config/schema.ts';
import { findWaysRound } from '../../config/ways-round.ts';

type Written = Partial<ConfigFileInput['services'][number]>;

function warnings(services: Readonly<Record<string, Written>>): readonly string[] {
  const written = Object.entries(services).map(([name, keys]) => ({ name, price: '1 sat', ...keys }));
  const file = fileSchema.parse({ upstream: 'http://127.0.0.1:3000', services: written });
  return findWaysRound(resolveConfig(file, '/').services);
}

const FREE_REST: Written = { path: '/*', price: 'free' };

test('a free catch-all lets another case and a suffix of a paid path through', () => {
  const found = warnings({ quote: { path: '/quote' }, rest: FREE_REST });
  assert.equal(found.length, 2);
  assert.match(found[0] ?? '', /^quote: GET \/QUOTE is free \(rest\)\. .*`ignoreCase: true` on quote/);
  assert.match(found[1] ?? '', /^quote: GET \/quote;x is free \(rest\)/);
});

test('`ignoreCase` closes the first way, `/*` below the path the second', () => {
  assert.deepEqual(warnings({ quote: { path: '/quote/*', ignoreCase: true }, rest: FREE_REST }), []);
});

test('another upstream is no way round', () => {
  assert.deepEqual(
    warnings({ quote: { path: '/quote' }, rest: { ...FREE_REST, upstream: 'http://127.0.0.1:4000' } }),
    [],
  );
});

test('nor is a free service that takes other paths, nor a paid catch-all', () => {
  assert.deepEqual(warnings({ quote: { path: '/quote' }, gift: { path: '/free/*', price: 'free' } }), []);
  assert.deepEqual(warnings({ quote: { path: '/quote' }, rest: { path: '/*' } }), []);
});

test('methods that a paid service leaves to a free one', () => {
  const [found, ...others] = warnings({
    quote: { path: '/q/*', methods: ['POST'], ignoreCase: true },
    rest: FREE_REST,
  });
  assert.match(found ?? '', /^quote: GET, PUT, PATCH, DELETE \/q\/x is free \(rest\)/);
  assert.deepEqual(others, []);
});

test('another Host header', () => {
  const [found, ...others] = warnings({
    quote: { path: '/q/*', host: 'api.example.com', ignoreCase: true },
    rest: FREE_REST,
  });
  assert.match(found ?? '', /^quote: GET \/q\/x is free \(rest\) for a client that sends another Host/);
  assert.deepEqual(others, []);
});

test('the Host of a free service that takes every path', () => {
  const [found, ...others] = warnings({
    quote: { path: '/q/*', ignoreCase: true },
    docs: { ...FREE_REST, host: 'docs.example.com' },
  });
  assert.match(
    found ?? '',
    /^quote: GET \/q\/x is free \(docs\) for a client that sends Host: docs\.example\.com/,
  );
  assert.deepEqual(others, []);
  const apart = { path: '/docs/*', price: 'free', host: 'docs.example.com' };
  assert.deepEqual(warnings({ quote: { path: '/q/*', ignoreCase: true }, docs: apart }), []);
});

test('another path that is forwarded to the same place', () => {
  const [found, ...others] = warnings({
    paid: { path: '/v1/*', stripPrefix: '/v1', ignoreCase: true },
    gift: { path: '/gift/*', stripPrefix: '/gift', price: 'free' },
  });
  assert.match(found ?? '', /^paid: GET \/gift\/x is free \(gift\) and goes to the same place as \/v1\/x/);
  assert.deepEqual(others, []);
  const direct = warnings({ paid: { path: '/v1/*', stripPrefix: '/v1', ignoreCase: true }, rest: FREE_REST });
  assert.match(direct[0] ?? '', /^paid: GET \/x is free \(rest\) and goes to the same place/);
});

test('what the check lets pass, the router takes', () => {
  const segment = fc.constantFrom('a', 'A', 'b', ':x', ':y');
  const written = fc.record({
    path: fc
      .tuple(fc.array(segment, { maxLength: 2 }), fc.constantFrom('', '/*'))
      .map(([segments, rest]) => `/${segments.join('/')}${rest}`.replace('//', '/')),
    methods: fc.constantFrom(undefined, 'GET', ['GET', 'POST'], ['POST', 'POST']),
    host: fc.constantFrom(undefined, 'h', '*.h'),
    ignoreCase: fc.boolean(),
    price: fc.constantFrom('free', '1 sat'),
  });
  fc.assert(
    fc.property(fc.array(written, { minLength: 1, maxLength: 6 }), (services) => {
      const named = services.map((keys, index) => ({ name: `s${index}`, ...keys }));
      const config = resolveConfig(
        fileSchema.parse({ upstream: 'http://127.0.0.1:3000', services: named }),
        '/',
      );
      if (checkConfig(config).length === 0) warnConfig(config);
    }),
    { numRuns: 500 },
  );
});
