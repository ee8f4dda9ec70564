import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sseEvent } from '../../gateway/meter/notices.ts';
import { SseEvents } from '../../gateway/meter/sse-events.ts';

interface Count {
  readonly begun: number;
  readonly complete: number;
  readonly atBoundary: boolean;
}

function count(...chunks: readonly (string | Uint8Array)[]): Count {
  const events = new SseEvents();
  for (const chunk of chunks) events.push(Buffer.from(chunk));
  const { begun, complete, atBoundary } = events;
  return { begun, complete, atBoundary };
}

/** The dispatch rules of WHATWG HTML 9.2.6 over a whole text: how many events a client would see. */
function dispatched(text: string): number {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
  lines.pop();
  let events = 0;
  let hasData = false;
  for (const line of lines) {
    if (line === '') {
      if (hasData) events += 1;
      hasData = false;
    } else if (line === 'data' || line.startsWith('data:')) hasData = true;
  }
  return events;
}

test('events, comments, fields and line ends are told apart as the standard says', () => {
  const cases: readonly (readonly [text: string, complete: number, begun: number])[] = [
    ['data: a\n\n', 1, 1],
    ['data: a\ndata: b\n\ndata: c\n\n', 2, 2],
    ['data: a\r\n\r\n', 1, 1],
    ['data: a\r\rdata: b\r\r', 2, 2],
    ['data\n\n', 1, 1],
    ['data:\n\n', 1, 1],
    [': data: no\n\n', 0, 0],
    ['id: 1\nevent: x\nretry: 3\n\n', 0, 0],
    ['database: x\n\n', 0, 0],
    [' data: x\n\n', 0, 0],
    ['data: a\n', 0, 1],
    ['data: a', 0, 1],
    ['dat', 0, 0],
    ['\uFEFFdata: a\n\n', 1, 1],
    ['\n\n\n', 0, 0],
  ];
  for (const [text, complete, begun] of cases) {
    const counted = count(text);
    assert.deepEqual([counted.complete, counted.begun], [complete, begun], JSON.stringify(text));
  }
});

test('however a stream is split, the count is what a client dispatches', () => {
  const piece = fc.constantFrom(
    'data',
    ':',
    ' ',
    'x',
    '\n',
    '\r',
    '\r\n',
    'id: 1',
    'data: v',
    '\n\n',
    ': c',
    '\uFEFF',
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 30 }),
      fc.array(fc.nat(60), { maxLength: 6 }),
      (pieces, cuts) => {
        const bytes = Buffer.from(pieces.join(''));
        const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
        const split = count(...chunks);
        assert.deepEqual(split, count(bytes));
        assert.equal(split.complete, dispatched(bytes.toString()));
      },
    ),
    { numRuns: 1_500 },
  );
});

test('a boundary is where another event can be put in: after whole events and after comments, nowhere else', () => {
  for (const text of ['', 'data: a\n\n', 'data: a\r\n\r\n', ': ping\n', 'data: a\n\n: ping\n', '\n']) {
    assert.equal(count(text).atBoundary, true, JSON.stringify(text));
  }
  for (const text of ['d', 'data: a', 'data: a\n', 'id: 1\n', ': pin', 'data: a\r\n', 'event: x\n: c\n']) {
    assert.equal(count(text).atBoundary, false, JSON.stringify(text));
  }
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('data: v\n', '\n', '\r\n', ': c\n', 'id: 1\r', 'x'), { maxLength: 12 }),
      (pieces) => {
        const text = pieces.join('');
        if (!count(text).atBoundary) return;
        const injected = text + sseEvent('payment-low', 'one\ntwo').toString();
        assert.equal(dispatched(injected), dispatched(text) + 1);
      },
    ),
  );
});
