import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createPacer } from '../../gateway/meter/pacing.ts';
import { costOf, rateOf, unitsFor } from '../../gateway/meter/rate.ts';
import { steadyClock } from '../../gateway/meter/steady-clock.ts';
import { NO_SLOT, type Timed, Wheel } from '../../gateway/meter/wheel.ts';
import { price } from './rig.ts';

test('a cost is the ceiling of the exact total, also beyond what a float holds', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.integer({ min: 1 }), fc.maxSafeNat(), (amountMsat, per, units) => {
      const exact = (BigInt(amountMsat) * BigInt(units) + BigInt(per) - 1n) / BigInt(per);
      const most = BigInt(Number.MAX_SAFE_INTEGER);
      assert.equal(BigInt(costOf({ amountMsat, per }, units)), exact > most ? most : exact);
    }),
    { numRuns: 2_000 },
  );
});

test('what an amount buys costs no more than it, and one unit more does', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e9 }),
      fc.integer({ min: 1, max: 1e9 }),
      fc.nat(1e9),
      (amountMsat, per, budget) => {
        const rate = { amountMsat, per };
        const units = unitsFor(rate, budget);
        assert.ok(costOf(rate, units) <= budget);
        if (units < Number.MAX_SAFE_INTEGER) assert.ok(costOf(rate, units + 1) > budget);
      },
    ),
    { numRuns: 2_000 },
  );
});

test('seconds are counted in milliseconds', () => {
  assert.deepEqual(rateOf(price('360 sat/hour')), { amountMsat: 360_000, per: 3_600_000 });
  assert.deepEqual(rateOf(price('1 sat/KB')), { amountMsat: 1_000, per: 1_000 });
});

test('the clock goes forward only, by no more than a step at a time, and loses no fraction', () => {
  let raw = 1_000.9;
  const missed: number[] = [];
  const clock = steadyClock(
    () => raw,
    1_000,
    (ms) => missed.push(ms),
  );
  for (let step = 0; step < 1_000; step += 1) {
    raw += 0.1;
    clock();
  }
  assert.equal(clock(), Math.floor(raw) - 1_000);
  const before = clock();
  raw -= 3_600_000;
  assert.equal(clock(), before);
  raw += 10;
  assert.equal(clock(), before + 10);
  raw += 3_600_000;
  assert.equal(clock(), before + 1_010);
  assert.deepEqual(missed, [3_599_000]);
});

test('the wheel wakes each entry once, at the first tick at or after its time, in order, also after a long sleep', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ due: fc.nat(5_000), moveTo: fc.option(fc.nat(5_000)) }), { maxLength: 40 }),
      fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1, maxLength: 12 }),
      (plans, sleeps) => {
        const wheel = new Wheel(100, 0);
        const woken = new Map<Timed, number>();
        const due = new Map<Timed, number>();
        for (const plan of plans) {
          const entry: Timed = { slot: NO_SLOT, touch: () => {} };
          wheel.schedule(entry, plan.due);
          due.set(entry, plan.due);
          if (plan.moveTo === null) continue;
          wheel.schedule(entry, plan.moveTo);
          due.set(entry, plan.moveTo);
        }
        assert.equal(wheel.size, plans.length);
        let now = 0;
        let last = 0;
        for (const ms of [...sleeps, 10_000]) {
          const before = now;
          now += ms;
          for (const entry of wheel.due(now)) {
            const at = due.get(entry) ?? Number.NaN;
            const tick = Math.max(100, Math.ceil(at / 100) * 100);
            assert.equal(woken.has(entry), false);
            assert.ok(tick <= now && tick > Math.floor(before / 100) * 100);
            assert.ok(tick >= last);
            last = tick;
            woken.set(entry, now);
          }
        }
        assert.equal(woken.size, plans.length);
        assert.equal(wheel.size, 0);
      },
    ),
  );
});

test('an entry that is taken out, or has no end, is not woken', () => {
  const wheel = new Wheel(100, 0);
  const entry: Timed = { slot: NO_SLOT, touch: () => {} };
  wheel.schedule(entry, 500);
  wheel.remove(entry);
  wheel.schedule(entry, Number.POSITIVE_INFINITY);
  assert.deepEqual([wheel.size, wheel.due(10_000)], [0, []]);
});

test('paced bytes leave at the rate over any time, whatever the size of the chunks', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 2, maxLength: 60 }), (chunks) => {
      const pacer = createPacer(50_000, 65_536, 0);
      let now = 0;
      let passed = 0;
      for (const bytes of chunks) {
        now += pacer.take(bytes, now);
        assert.ok(
          passed <= 65_536 + (now * 50_000) / 1_000,
          'never more than the burst and the rate before a chunk',
        );
        passed += bytes;
      }
    }),
  );
});
