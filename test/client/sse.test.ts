import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type SseEvent, SseReader } from '../../client/sse.ts';

interface Read {
  readonly events: readonly SseEvent[];
  readonly text: string;
  readonly rest: string;
  readonly lastEventId: string;
}

/** Reads a text that comes in chunks which end at these places. */
function read(text: string, cuts: readonly number[] = [], maxBlockBytes?: number): Read {
  const bytes = Buffer.from(text);
  const reader = new SseReader(maxBlockBytes);
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const blocks = [...ends, bytes.length].flatMap((end, index) =>
    reader.push(bytes.subarray(ends[index - 1] ?? 0, end)),
  );
  return {
    events: blocks.flatMap(({ event }) => event ?? []),
    text: Buffer.concat(blocks.map((block) => block.bytes)).toString(),
    rest: Buffer.from(reader.rest()).toString(),
    lastEventId: reader.lastEventId,
  };
}

describe('SseReader', () => {
  // The examples of WHATWG HTML, section 9.2.6.
  it('reads the examples of the standard', () => {
    assert.deepEqual(read('data: YHOO\ndata: +2\ndata: 10\n\n').events, [
      { name: 'message', data: 'YHOO\n+2\n10' },
    ]);
    const four = read(
      ': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n',
    );
    assert.deepEqual(four.events, [
      { name: 'message', data: 'first event' },
      { name: 'message', data: 'second event' },
    ]);
    assert.equal(four.lastEventId, '');
    assert.equal(four.rest, 'data:  third event\n');
    assert.deepEqual(read('data\n\ndata\ndata\n\ndata:').events, [
      { name: 'message', data: '' },
      { name: 'message', data: '\n' },
    ]);
    assert.deepEqual(read('data:test\n\ndata: test\n\n').events, [
      { name: 'message', data: 'test' },
      { name: 'message', data: 'test' },
    ]);
  });

  it('takes every kind of line end, a byte order mark, names and ids', () => {
    for (const end of ['\n', '\r\n', '\r']) {
      const { events, lastEventId } = read(
        ['\uFEFFevent: add', 'id: 7', 'data: 73857293', '', 'event: remove', 'data: 2', '', ''].join(end),
      );
      assert.deepEqual(events, [
        { name: 'add', data: '73857293' },
        { name: 'remove', data: '2' },
      ]);
      assert.equal(lastEventId, '7');
    }
    assert.equal(read('id: a\0b\ndata: 1\n\n').lastEventId, '');
  });

  it('reads the same wherever the chunks end, and loses no byte', () => {
    const line = fc.constantFrom('data: ä€', 'data', 'event: x', ': c', 'id: 3', '', '', 'other: y');
    const text = fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '\r')), { maxLength: 12 });
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 8 }), (lines, cuts) => {
        const whole = lines.flat().join('');
        const expected = read(whole);
        const found = read(whole, cuts);
        assert.deepEqual(found.events, expected.events);
        assert.equal(found.text + found.rest, whole);
      }),
      { numRuns: 1_000 },
    );
  });

  it('passes a block on unread that is longer than it may keep, and reads the next one', () => {
    const long = `data: ${'x'.repeat(500)}\n\n`;
    const { events, text, rest } = read(`${long}data: next\n\n`, [100, 200, 300, 400], 64);
    assert.deepEqual(events, [{ name: 'message', data: 'next' }]);
    assert.equal(text + rest, `${long}data: next\n\n`);
  });
});
