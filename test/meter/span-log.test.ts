import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_SPANS } from '../../gateway/ledger/store.ts';
import { SpanLog } from '../../gateway/meter/span-log.ts';

test('a part of a count is told as the moments in which it was counted', () => {
  const log = new SpanLog(0);
  log.add(0, 1_000, 300);
  log.add(300, 1_300, 200);
  log.add(500, 2_000, 100);
  assert.deepEqual(log.between(0, 600), [
    [1_000, 1_500],
    [2_000, 2_100],
  ]);
  assert.deepEqual(log.between(400, 550), [
    [1_400, 1_500],
    [2_000, 2_050],
  ]);
  assert.deepEqual(log.between(500, 500), []);
  assert.deepEqual(new SpanLog(0).between(0, 10), []);
});

test('the least time of a connection follows on what it had, also when that was nothing', () => {
  const log = new SpanLog(0);
  log.add(0, 1_000, 0);
  assert.deepEqual(log.between(0, 250), [[1_000, 1_250]]);
  log.add(0, 1_100, 40);
  log.forget(10);
  assert.deepEqual(log.between(10, 250), [[1_110, 1_350]]);
});

test('what is paid for is forgotten, but for the stretch that goes on', () => {
  const log = new SpanLog(0);
  log.add(0, 0, 100);
  log.add(100, 200, 100);
  log.forget(200);
  assert.deepEqual(log.between(0, 300), [[200, 400]]);
  log.add(200, 300, 50);
  assert.deepEqual(log.between(200, 250), [[300, 350]]);
});

test('what comes after the clock stood still is so much later than what came before', () => {
  const log = new SpanLog(10_000);
  log.add(0, 1_000, 500);
  log.missed(2_000);
  log.add(500, 1_500, 500);
  assert.deepEqual(log.between(0, 1_000), [
    [11_000, 11_500],
    [13_500, 14_000],
  ]);
});

test('however it was cut up, as much is told as was counted, in order, in a bounded number of spans', () => {
  const piece = fc.record({ gap: fc.nat(9), length: fc.nat(9) });
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 3 * MAX_SPANS }), (pieces) => {
      const log = new SpanLog(0);
      let units = 0;
      let nowMs = 5_000;
      for (const { gap, length } of pieces) {
        log.add(units, nowMs + gap, length);
        units += length;
        nowMs += gap + length;
      }
      const spans = log.between(0, units);
      assert.ok(spans.length <= MAX_SPANS);
      let lastMs = 5_000;
      let told = 0;
      for (const [fromMs, toMs] of spans) {
        assert.ok(fromMs >= lastMs && toMs > fromMs);
        lastMs = toMs;
        told += toMs - fromMs;
      }
      assert.ok(lastMs <= nowMs);
      assert.equal(told, units);
    }),
  );
});
