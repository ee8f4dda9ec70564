import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planRun } from './schedule.ts';

const OPTIONS = { seed: 7, seconds: 120, clients: 400, gateways: 4, storeFaults: 'yes' } as const;

test('the same seed gives the same faults and the same clients', () => {
  assert.deepEqual(planRun(OPTIONS), planRun(OPTIONS));
});

test('another seed gives others', () => {
  const [one, other] = [planRun(OPTIONS), planRun({ ...OPTIONS, seed: 8 })];
  assert.notDeepEqual(one.faults, other.faults);
  assert.notDeepEqual(one.clients, other.clients);
});

test('every target and every kind of fault is met, within the time of the run', () => {
  const { faults } = planRun({ ...OPTIONS, seconds: 600 });
  const targets = new Set(faults.map(({ target }) => target));
  for (const target of ['store', 'node', 'gateway-0', 'gateway-1', 'gateway-2', 'gateway-3'] as const)
    assert.ok(targets.has(target), target);
  assert.deepEqual(new Set(faults.map(({ kind }) => kind)), new Set(['kill', 'restart', 'freeze']));
  for (const { atMs } of faults) assert.ok(atMs > 0 && atMs < 600_000);
});

test('a store without a process of its own is not hit, and everything else is as it was', () => {
  const withStore = planRun(OPTIONS);
  const without = planRun({ ...OPTIONS, storeFaults: 'no' });
  assert.deepEqual(
    without.faults,
    withStore.faults.filter(({ target }) => target !== 'store'),
  );
  assert.deepEqual(without.clients, withStore.clients);
});

test('a store that is failed over is so in each way, and everything else is as it was', () => {
  const plan = planRun({ ...OPTIONS, seconds: 75, storeFaults: 'failovers' });
  const ofStore = plan.faults.filter(({ target }) => target === 'store');
  assert.deepEqual(new Set(ofStore.map(({ kind }) => kind)), new Set(['restart', 'kill', 'freeze']));
  const without = planRun({ ...OPTIONS, seconds: 75, storeFaults: 'no' });
  assert.deepEqual(
    plan.faults.filter(({ target }) => target !== 'store'),
    without.faults,
  );
  assert.deepEqual(
    plan.faults,
    plan.faults.toSorted((a, b) => a.atMs - b.atMs),
  );
});

test('a short run has every kind of client too', () => {
  const few = planRun({ ...OPTIONS, clients: 14 }).clients;
  const many = planRun({ ...OPTIONS, clients: 2_000 }).clients;
  assert.deepEqual(
    new Set(few.map(({ behaviour }) => behaviour)),
    new Set(many.map(({ behaviour }) => behaviour)),
  );
});
