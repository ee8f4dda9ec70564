import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { atPath, parseJsonPath } from '../../../gateway/meter/usage/json-path.ts';
import { JsonPluck } from '../../../gateway/meter/usage/json-pluck.ts';
import { JsonRecord } from '../../../gateway/meter/usage/json-record.ts';
import { cut, splitEverywhere } from './fixtures/split.ts';

function pluck(
  text: string,
  paths: readonly string[],
  pieces: readonly Buffer[] = [Buffer.from(text)],
): unknown[] {
  const wanted = paths.map(parseJsonPath);
  const plucked = new JsonPluck(wanted);
  for (const piece of pieces) plucked.write(piece);
  return wanted.map((path) => plucked.at(path));
}

test('a path is names with dots and indexes', () => {
  assert.deepEqual(parseJsonPath('usage.total_tokens'), ['usage', 'total_tokens']);
  assert.deepEqual(parseJsonPath('a[0].b'), ['a', 0, 'b']);
  assert.deepEqual(parseJsonPath('[2][13].x-y'), [2, 13, 'x-y']);
});

test('anything else is no path', () => {
  for (const text of [
    '',
    '.',
    '.a',
    'a.',
    'a..b',
    'a[',
    'a[x]',
    'a[-1]',
    'a[0]b',
    'a b',
    '$..x',
    'a[*]',
    `a${'.a'.repeat(16)}`,
  ]) {
    assert.throws(() => parseJsonPath(text), RangeError, text);
  }
});

test('a path reads own members only', () => {
  assert.equal(atPath({ a: [{ b: 3 }] }, ['a', 0, 'b']), 3);
  assert.equal(atPath({}, ['constructor']), undefined);
  assert.equal(atPath([], ['length']), undefined);
  assert.equal(atPath('text', ['length']), undefined);
  assert.equal(atPath({ a: { 0: 1 } }, ['a', 0]), undefined);
});

const DOCUMENT =
  ' {"x":"a\\"b}{][\\\\","us\\u0061ge" : {"total": 12 ,"more":[1,{"total":9}]}, "a":[{"b":1},{"b" :-2.5e1}],"n":null,"t":true,"s":"\\u00e9\\n"}';

test('values are found wherever the chunks are split', () => {
  const paths = ['usage.total', 'a[1].b', 'n', 't', 's', 'usage.missing', 'x'];
  const expected = [12, -25, null, true, 'é\n', undefined, 'a"b}{][\\'];
  for (const pieces of splitEverywhere(Buffer.from(DOCUMENT)))
    assert.deepEqual(pluck(DOCUMENT, paths, pieces), expected);
});

test('a whole object can be found', () => {
  assert.deepEqual(pluck(DOCUMENT, ['usage']), [{ total: 12, more: [1, { total: 9 }] }]);
});

test('of two members of one name the later counts', () => {
  assert.deepEqual(pluck('{"u":1,"v":{"u":5},"u":2}', ['u']), [2]);
});

test('a value that is too long is not kept', () => {
  assert.deepEqual(pluck(`{"long":"${'x'.repeat(20_000)}","n":1}`, ['long', 'n']), [undefined, 1]);
});

test('a document nested without end is given up', () => {
  const deep = '['.repeat(100_000);
  assert.deepEqual(pluck(`{"n":1,"d":${deep}`, ['n', 'd']), [1, undefined]);
});

test('agrees with JSON.parse on any document, split anywhere', () => {
  fc.assert(
    fc.property(
      fc.record({
        usage: fc.jsonValue(),
        a: fc.array(fc.jsonValue(), { maxLength: 3 }),
        rest: fc.jsonValue(),
      }),
      fc.array(fc.nat(200), { maxLength: 6 }),
      fc.constantFrom(undefined, 1, '\t'),
      (document, cuts, indent) => {
        const text = JSON.stringify(document, undefined, indent);
        const parsed: unknown = JSON.parse(text);
        const paths = ['usage', 'a[1]'];
        const expected = paths.map((path) => atPath(parsed, parseJsonPath(path)));
        assert.deepEqual(pluck(text, paths, cut(Buffer.from(text), cuts)), expected);
      },
    ),
  );
});

test('any bytes at all do it no harm', () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc
      .array(fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', ':', 'usage', '1', ' '), { maxLength: 60 })
      .map((parts) => Buffer.from(parts.join(''))),
  );
  fc.assert(
    fc.property(noise, fc.array(fc.nat(300), { maxLength: 4 }), (bytes, cuts) => {
      pluck('', ['usage.x', 'usage.y[0]', '[1]'], cut(bytes, cuts));
    }),
  );
});

test('a record reads short documents whole and finds the values of long ones', () => {
  const path = parseJsonPath('usage.n');
  for (const filler of [10, 65_000, 1_000_000]) {
    const record = new JsonRecord([path]);
    const text = JSON.stringify({ text: 'y'.repeat(filler), usage: { n: 7 } });
    for (const piece of cut(Buffer.from(text), [3, 5_000, 65_530, 70_000])) record.write(piece);
    const view = record.finish();
    assert.equal(view?.at(path), 7);
    assert.equal(view?.document === undefined, filler > 65_000);
    assert.equal(record.finish(), undefined);
  }
});
