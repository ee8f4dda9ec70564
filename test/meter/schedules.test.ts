import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LEAST_PAID_MS } from '../../gateway/meter/open-tab.ts';
import { costOf, rateOf } from '../../gateway/meter/rate.ts';
import { ACCOUNT, createRig, price, type Rig, startFlow } from './rig.ts';

/** What may happen to a stream. */
const STEP = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('run' as const), ms: fc.integer({ min: 10, max: 2_500 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('credit' as const), msat: fc.integer({ min: 1, max: 400 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('send' as const), bytes: fc.integer({ min: 1, max: 90_000 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('weather' as const),
      weather: fc.constantFrom('fine' as const, 'fine' as const, 'deaf' as const, 'mute' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('announce' as const) }) },
);

type Step = typeof STEP extends fc.Arbitrary<infer T> ? T : never;

/** A store that does not answer for as long as a lease lives (10 s) has given back what was set aside: a bounded loss, of ours. */
const NEAR_TTL_MS = 8_000;

/** How long the store was away when the steps were over, ms. */
function awayMs(steps: readonly Step[]): number {
  let ms = 0;
  let away = false;
  for (const step of steps) {
    if (step.kind === 'weather') {
      if (step.weather === 'fine') ms = 0;
      away = step.weather !== 'fine';
    } else if (step.kind === 'run' && away) ms += step.ms;
  }
  return ms;
}

async function balanced(rig: Rig): Promise<{ readonly spent: number; readonly credited: number }> {
  const { balance, reserved, spent, credited } = await rig.account();
  assert.equal(credited, balance + reserved + spent);
  return { spent, credited };
}

async function finish(rig: Rig): Promise<void> {
  rig.weather = 'fine';
  for (let round = 0; round < 3; round += 1) {
    await rig.retryUnsettled();
    await rig.run(0);
  }
}

test('whatever happens to a stream for seconds, what is billed is the ceiling of what was delivered and a quarter of a second at least, to the msat', async () => {
  const PRICES = ['100 msat/second', '360 sat/hour', '7 msat/3 seconds', '1 msat/hour', '999 msat/second'];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...PRICES),
      fc.integer({ min: 100, max: 3_000 }),
      fc.array(STEP, { minLength: 1, maxLength: 12 }),
      async (text, firstMsat, steps) => {
        const rig = await createRig({ stepMs: 50 });
        await rig.credit(ACCOUNT, Math.max(firstMsat, 1_000));
        const rate = rateOf(price(text));
        const meter = await rig.open({ price: price(text), holdMs: 4_000 });
        const flow = startFlow(meter);
        let openMs = 0;
        for (const step of steps) {
          if (step.kind === 'credit') await rig.credit(ACCOUNT, step.msat);
          else if (step.kind === 'announce') rig.meters.credited(ACCOUNT);
          else if (step.kind === 'weather') rig.weather = step.weather;
          else if (step.kind === 'send') flow.send('x');
          else
            for (let ms = 0; ms < step.ms; ms += 50) {
              if (flow.ended === undefined && !flow.paused) openMs += 50;
              await rig.run(50);
            }
        }
        const report = await meter.end();
        await finish(rig);
        const { spent, credited } = await balanced(rig);
        assert.equal((await rig.account()).reserved, 0);
        assert.ok(spent <= credited);
        const deliveredMs = Math.round(report.deliveredUnits * 1000);
        assert.ok(deliveredMs <= openMs, `${deliveredMs} of ${openMs} ms`);
        // What was set aside may end between two ticks (100 ms), and this loop sees it a step (50 ms) later; nothing is billed meanwhile.
        const ends = 1 + steps.filter(({ kind }) => kind === 'credit').length;
        if (report.heldMs === 0 && report.cutBy === undefined) assert.ok(deliveredMs > openMs - 150 * ends);
        const rich = Math.max(firstMsat, 1_000) >= costOf(rate, openMs + 2_000);
        if (rich && steps.every(({ kind }) => kind !== 'weather')) assert.equal(deliveredMs, openMs);
        const paidMs = Math.max(deliveredMs, LEAST_PAID_MS);
        if (report.cutBy !== 'lease-lost' && awayMs(steps) < NEAR_TTL_MS) {
          assert.equal(report.billedMsat, costOf(rate, paidMs));
          assert.equal(spent, report.billedMsat);
        } else assert.ok(spent <= costOf(rate, paidMs));
      },
    ),
    { numRuns: 500 },
  );
});

test('whatever happens to a stream for bytes, no byte leaves that is not paid for, and all that leave are billed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('10 msat/KB', '1 msat/byte', '1 msat/3 bytes', '1 sat/MB'),
      fc.integer({ min: 2_000, max: 600_000 }),
      fc.array(STEP, { minLength: 1, maxLength: 25 }),
      async (text, firstMsat, steps) => {
        const rig = await createRig({ stepMs: 50 });
        await rig.credit(ACCOUNT, firstMsat);
        const rate = rateOf(price(text));
        const meter = await rig.open({ price: price(text), holdMs: 4_000 });
        const flow = startFlow(meter);
        const sentBytes = () => flow.sent.reduce((sum, { length }) => sum + length, 0);
        for (const step of steps) {
          if (step.kind === 'credit') await rig.credit(ACCOUNT, step.msat * 100);
          else if (step.kind === 'announce') rig.meters.credited(ACCOUNT);
          else if (step.kind === 'weather') rig.weather = step.weather;
          else if (step.kind === 'send') flow.send(Buffer.alloc(step.bytes));
          else await rig.run(step.ms);
          const { spent, credited } = await balanced(rig);
          assert.ok(costOf(rate, sentBytes()) <= credited);
          assert.ok(spent <= costOf(rate, sentBytes()));
        }
        const delivered = sentBytes();
        const report = await meter.end();
        await finish(rig);
        const { spent } = await balanced(rig);
        assert.equal((await rig.account()).reserved, 0);
        assert.equal(report.deliveredUnits, delivered);
        if (report.cutBy !== 'lease-lost' && awayMs(steps) < NEAR_TTL_MS) {
          assert.equal(report.billedMsat, costOf(rate, delivered));
          assert.equal(spent, report.billedMsat);
        } else assert.ok(spent <= costOf(rate, delivered));
      },
    ),
    { numRuns: 600 },
  );
});
