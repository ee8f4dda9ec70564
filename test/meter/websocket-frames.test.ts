import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as ws from 'ws';
import { closeFrame, textFrame, WebSocketFrames } from '../../gateway/meter/websocket-frames.ts';

/** Not in the package's types. */
const Sender: { frame(data: Buffer, options: Record<string, unknown>): Buffer[] } = Reflect.get(ws, 'Sender');
const Receiver: new () => NodeJS.WritableStream = Reflect.get(ws, 'Receiver');

/** Frames as the `ws` package writes them. */
function frame(
  data: Buffer | string,
  options: { readonly opcode: number; readonly fin: boolean; readonly mask: boolean },
): Buffer {
  return Buffer.concat(Sender.frame(Buffer.from(data), { ...options, readOnly: true, rsv1: false }));
}

function scan(...chunks: readonly Uint8Array[]): WebSocketFrames {
  const frames = new WebSocketFrames();
  for (const chunk of chunks) frames.push(chunk);
  return frames;
}

function state(frames: WebSocketFrames) {
  const { begun, complete, malformed, atBoundary, betweenFrames } = frames;
  return { begun, complete, malformed, atBoundary, betweenFrames };
}

const SESSION = [true, false].map((mask) =>
  Buffer.concat([
    frame('hello', { opcode: 1, fin: true, mask }),
    frame('', { opcode: 9, fin: true, mask }),
    frame('', { opcode: 2, fin: true, mask }),
    frame('part', { opcode: 1, fin: false, mask }),
    frame('pong', { opcode: 10, fin: true, mask }),
    frame('more', { opcode: 0, fin: false, mask }),
    frame('', { opcode: 0, fin: true, mask }),
    frame('x'.repeat(200), { opcode: 2, fin: true, mask }),
    frame('y'.repeat(66_000), { opcode: 2, fin: true, mask }),
    frame('bye', { opcode: 8, fin: true, mask }),
  ]),
);

test('messages are counted, control frames and fragments are not, masked or unmasked', () => {
  for (const session of SESSION) {
    assert.deepEqual(state(scan(session)), {
      begun: 5,
      complete: 5,
      malformed: false,
      atBoundary: true,
      betweenFrames: true,
    });
  }
});

test('the count is the same when the bytes are split at any position', () => {
  for (const session of SESSION) {
    const whole = state(scan(session));
    const splits = [...Array(700).keys(), session.length - 5, session.length - 66_010];
    for (const at of splits) {
      assert.deepEqual(state(scan(session.subarray(0, at), session.subarray(at))), whole, `split at ${at}`);
    }
    const single = new WebSocketFrames();
    for (let at = 0; at < session.length; at += 1) single.push(session.subarray(at, at + 1));
    assert.deepEqual(state(single), whole);
  }
});

test('a message has begun with its first byte, and is complete with its last', () => {
  const message = frame('hello', { opcode: 1, fin: true, mask: true });
  for (let at = 1; at < message.length; at += 1) {
    const frames = scan(message.subarray(0, at));
    assert.deepEqual([frames.begun, frames.complete, frames.betweenFrames], [1, 0, false]);
  }
  const half = scan(frame('part', { opcode: 1, fin: false, mask: false }));
  assert.deepEqual([half.betweenFrames, half.atBoundary], [true, false]);
});

test('a flood of empty messages is counted one by one, in constant memory', () => {
  const empty = frame('', { opcode: 1, fin: true, mask: true });
  const frames = scan(Buffer.concat(Array(100_000).fill(empty)));
  assert.equal(frames.complete, 100_000);
});

test('what is not WebSocket is noticed: fragmented or long control frames, stray and missing continuations, absurd lengths', () => {
  const cases = [
    Buffer.from([0x09, 0x00]),
    Buffer.from([0x89, 126, 0, 126]),
    Buffer.from([0x80, 0x00]),
    Buffer.concat([
      frame('a', { opcode: 1, fin: false, mask: false }),
      frame('b', { opcode: 1, fin: true, mask: false }),
    ]),
    Buffer.from([0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  ];
  for (const bytes of cases) assert.equal(scan(bytes).malformed, true, bytes.toString('hex'));
});

test('no bytes make it throw or count backwards', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 }), (chunks) => {
      const frames = new WebSocketFrames();
      let begun = 0;
      for (const chunk of chunks) {
        frames.push(chunk);
        assert.ok(
          frames.begun >= begun && frames.complete <= frames.begun && frames.begun - frames.complete <= 1,
        );
        begun = frames.begun;
      }
    }),
    { numRuns: 1_000 },
  );
});

test('our own frames are ones that the ws package accepts', async () => {
  const receiver = new Receiver();
  const seen: unknown[] = [];
  receiver.on('message', (data: Buffer) => seen.push(data.length));
  receiver.on('conclude', (code: number, reason: Buffer) => seen.push([code, reason.toString()]));
  for (const length of [0, 125, 126, 65_535, 65_536]) receiver.write(textFrame('z'.repeat(length)));
  receiver.write(closeFrame(4402, 'session-timeout'));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen, [0, 125, 126, 65_535, 65_536, [4402, 'session-timeout']]);
  assert.equal(closeFrame(4402, 'x'.repeat(124)).length, 4);
});
