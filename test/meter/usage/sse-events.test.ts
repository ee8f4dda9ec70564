import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { member } from '../../../gateway/meter/usage/json-path.ts';
import { SseEvents } from '../../../gateway/meter/usage/sse-events.ts';
import { cut, splitEverywhere } from './fixtures/split.ts';

const N = ['n'];

/** Runs bytes through a filter that takes out every event with `{"out":true}`. */
function filter(
  pieces: readonly Buffer[],
  mode: 'filter' | 'watch' = 'filter',
): { text: string; seen: unknown[] } {
  const seen: unknown[] = [];
  const events = new SseEvents({
    paths: [N],
    mode,
    onEvent: ({ document, at }) => {
      seen.push(document ?? at(N));
      return member(document, 'out') === true ? 'remove' : 'keep';
    },
  });
  const out = pieces.map((piece) => events.write(piece));
  return { text: Buffer.concat([...out, events.end()]).toString('latin1'), seen };
}

const OUT = 'data: {"out":true}';
const lines = (eol: string, ...events: readonly string[][]) =>
  events.map((event) => event.map((line) => line + eol).join('') + eol).join('');

for (const [name, eol] of [
  ['LF', '\n'],
  ['CRLF', '\r\n'],
  ['CR', '\r'],
]) {
  test(`an event is taken out byte for byte, at every split, with lines that end in ${name}`, () => {
    const kept = [
      [': hello', 'event: x', 'data: {"n":1}', 'id: 4'],
      ['data:{"n":', 'data: 2}'],
      ['data: [DONE]'],
    ] as const;
    const text = lines(eol ?? '', [...kept[0]], [OUT], [...kept[1]], ['event: y', OUT], [OUT], [...kept[2]]);
    const expected = lines(eol ?? '', ...kept.map((event) => [...event]));
    const seen = [{ n: 1 }, { out: true }, { n: 2 }, { out: true }, { out: true }, undefined];
    for (const pieces of splitEverywhere(Buffer.from(text))) {
      assert.deepEqual(filter(pieces), { text: expected, seen });
    }
  });
}

test('a watcher passes every byte at once, in the same buffer', () => {
  const events = new SseEvents({ paths: [], mode: 'watch', onEvent: () => 'remove' });
  for (const text of ['data: {"out"', ':true}\n', '\n', 'da']) {
    const bytes = Buffer.from(text);
    assert.equal(events.write(bytes), bytes);
  }
  assert.equal(events.end().length, 0);
});

test('a filter passes chunks of whole events on as they are', () => {
  const events = new SseEvents({ paths: [], mode: 'filter', onEvent: () => 'keep' });
  const bytes = Buffer.from('data: {"n":1}\n\ndata: {"n":2}\n\n');
  assert.equal(events.write(bytes), bytes);
});

test('a last event without its blank line is read, and taken out too', () => {
  for (const end of ['', '\n', '\r\n', '\r']) {
    assert.deepEqual(filter([Buffer.from(`data: {"n":1}\n\n${OUT}${end}`)]), {
      text: 'data: {"n":1}\n\n',
      seen: [{ n: 1 }, { out: true }],
    });
    assert.equal(filter([Buffer.from(`data: {"n":1}${end}`)]).text, `data: {"n":1}${end}`);
  }
});

test('a byte order mark goes before the first field', () => {
  const bom = Buffer.from([0xef, 0xbb, 0xbf]);
  for (const pieces of splitEverywhere(Buffer.concat([bom, Buffer.from('data: {"n":1}\n\n')]))) {
    assert.deepEqual(filter(pieces).seen, [{ n: 1 }]);
  }
});

test('an event that is too long to be held goes on whole, and its values are found', () => {
  const long = `data: {"out":true,"n":3,"text":"${'x'.repeat(100_000)}"}\n\n`;
  const text = `${lines('\n', [OUT])}${long}${lines('\n', [OUT], ['data: {"n":1}'])}`;
  for (const pieces of [cut(Buffer.from(text), [40, 20_000, 60_000, 100_040]), cut(Buffer.from(text), [7])]) {
    const { text: kept, seen } = filter(pieces);
    assert.ok(kept === `${long}data: {"n":1}\n\n`);
    assert.deepEqual(seen, [{ out: true }, 3, { out: true }, { n: 1 }]);
  }
});

/** The plain reading of an event stream, all at once. */
function plainly(text: string): { text: string; seen: unknown[] } {
  const seen: unknown[] = [];
  let kept = '';
  let event = '';
  let data: string[] = [];
  const end = () => {
    const document = parsed(data.join('\n'));
    if (data.join('\n') !== '') seen.push(document);
    if (member(document, 'out') !== true) kept += event;
    event = '';
    data = [];
  };
  for (const [line, body] of text.matchAll(/([^\r\n]*)(?:\r\n|\r|\n|$)/g)) {
    event += line;
    if (body === '' && line !== '') end();
    else if (body?.startsWith('data:')) data.push(body.slice(5));
  }
  end();
  return { text: kept, seen };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

test('agrees with a plain reading of any stream, split anywhere', () => {
  const line = fc.constantFrom(
    OUT,
    'data: {"n":1}',
    'data:',
    'data',
    ': c',
    'event: e',
    'datas: 1',
    'data: [DONE]',
    '',
    '',
    'data: {"out":',
    'data: true}',
  );
  const eol = fc.constantFrom('\n', '\r\n', '\r', '\n');
  fc.assert(
    fc.property(
      fc.array(fc.tuple(line, eol), { maxLength: 20 }),
      fc.array(fc.nat(250), { maxLength: 8 }),
      (all, cuts) => {
        const text = all.flat().join('');
        assert.deepEqual(filter(cut(Buffer.from(text), cuts)), plainly(text));
      },
    ),
    { numRuns: 2_000 },
  );
});

test('any bytes at all pass a filter that takes nothing out', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), fc.array(fc.nat(500), { maxLength: 5 }), (noise, cuts) => {
      const bytes = Buffer.from(noise);
      assert.equal(filter(cut(bytes, cuts)).text, bytes.toString('latin1'));
    }),
  );
});
