import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { test } from 'node:test';
import { createTokenIds } from '../../gateway/flow/token-ids.ts';

/** Counts its fills: the first fills with bytes 1, 1, …, the next with 2, 2, …; each 32 bytes begin with their own number. */
function countingSource() {
  const fills: Buffer[] = [];
  const fill = (buffer: Buffer) => {
    fills.push(buffer);
    buffer.fill(fills.length);
    for (let at = 0; at < buffer.length; at += 32) buffer.writeUInt16BE(at / 32, at);
  };
  return { fills, fill };
}

test('each id is 32 bytes of the source in order, and no byte is in two of them', () => {
  const { fills, fill } = countingSource();
  const next = createTokenIds(fill);
  const ids = Array.from({ length: 300 }, next);
  assert.equal(fills.length, 3);
  assert.equal(new Set(ids).size, 300);
  assert.deepEqual(
    [ids[0], ids[1], ids[128]],
    [`0000${'01'.repeat(30)}`, `0001${'01'.repeat(30)}`, `0000${'02'.repeat(30)}`],
  );
});

test('bytes that were taken are wiped, and the others wait', () => {
  const { fills, fill } = countingSource();
  const next = createTokenIds(fill);
  next();
  next();
  const pool = fills[0] ?? Buffer.alloc(0);
  assert.ok(pool.subarray(0, 64).every((byte) => byte === 0));
  assert.ok(pool.subarray(66).includes(1));
});

test('a source that fails gives no id, and is asked again', () => {
  let fails = true;
  const next = createTokenIds((buffer) => {
    if (fails) throw new Error('no entropy');
    randomFillSync(buffer);
  });
  assert.throws(next, /no entropy/);
  fails = false;
  assert.match(next(), /^(?!0{64})[0-9a-f]{64}$/);
});
