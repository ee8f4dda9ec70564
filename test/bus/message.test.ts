import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeMessage,
  encodeMessage,
  MAX_MESSAGE_LENGTH,
  type WireMessage,
} from '../../gateway/bus/message.ts';

const SENDER = '0123456789abcdef';
const HASH = 'ab'.repeat(32);

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length });
const id = fc.integer({ min: 1, max: 64 }).chain((bytes) => hex(2 * bytes));
const message: fc.Arbitrary<WireMessage> = fc.oneof(
  fc.tuple(id, hex(64)).map(([accountId, paymentHash]) => ({
    kind: 'credited' as const,
    accountId,
    paymentHash,
  })),
  id.map((accountId) => ({ kind: 'revoked' as const, accountId })),
  hex(64).map((paymentHash) => ({ kind: 'settled' as const, paymentHash })),
  fc.constant({ kind: 'beat' as const }),
);

test('what was written is read, and is short enough to be looked at', () => {
  fc.assert(
    fc.property(hex(16), message, (sender, written) => {
      const text = encodeMessage(sender, written);
      assert.ok(text.length <= MAX_MESSAGE_LENGTH);
      assert.deepEqual(decodeMessage(text), { sender, message: written });
    }),
  );
});

test('whatever else stands on the channel is ignored, and never throws', () => {
  const rest = fc.string({ unit: 'binary', maxLength: 300 });
  fc.assert(
    fc.property(
      fc.oneof(
        rest,
        message.map((one) => encodeMessage(SENDER, one)),
        rest,
      ),
      rest,
      (text, tail) => {
        for (const one of [text, text + tail, tail + text]) {
          const received = decodeMessage(one);
          if (received !== undefined) assert.equal(encodeMessage(received.sender, received.message), one);
        }
      },
    ),
  );
});

for (const text of [
  '',
  '1',
  `2 ${SENDER} credited ${HASH}`,
  `1 ${SENDER} credited`,
  `1 ${SENDER} credited ${HASH}`,
  `1 ${SENDER} revoked ${HASH} ${HASH}`,
  `1 ${SENDER} credited `,
  `1 ${SENDER} credited a`,
  `1 ${SENDER} revoked ${HASH.toUpperCase()}`,
  `1 ${SENDER} revoked ${HASH}\n`,
  `1 ${SENDER} credited ${HASH} ${HASH} 5`,
  `1 ${SENDER} revoked ${'a'.repeat(130)}`,
  `1 ${SENDER} settled abcd`,
  `1 ${SENDER} beat ${HASH}`,
  `1 ${SENDER} missed ${HASH}`,
  `1 short beat`,
  `1 ${SENDER}  beat`,
  'x'.repeat(1_000_000),
]) {
  test(`not a message: ${JSON.stringify(text.slice(0, 60))}, ${text.length} characters`, () => {
    assert.equal(decodeMessage(text), undefined);
  });
}
