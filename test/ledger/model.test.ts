import { test } from 'node:test';
import fc from 'fast-check';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import type { OpenBackend } from '../contract/store.contract.ts';
import { manualClock } from '../support/clock.ts';
import { commandRuns, emptyModel } from './model.ts';
import { sqliteBackend } from './sqlite-backend.ts';

async function runModel(openBackend: OpenBackend, numRuns: number): Promise<void> {
  const property = fc.asyncProperty(commandRuns, async (commands) => {
    const clock = manualClock();
    const backend = await openBackend(clock);
    const store = await backend.open();
    try {
      const real = { store, clock, startSec: clock.nowSec() };
      await fc.asyncModelRun(() => ({ model: emptyModel(), real }), commands);
    } finally {
      await store.close();
      await backend.remove();
    }
  });
  await fc.assert(property, { numRuns });
}

test('memory: the books balance after every step of any sequence of verbs', async () => {
  const memoryBackend: OpenBackend = async ({ nowMs }) => ({
    open: async () => createMemoryStore({ nowMs }),
    persistent: false,
    remove: async () => {},
  });
  await runModel(memoryBackend, 300);
});

test('sqlite: the books balance after every step of any sequence of verbs', async () => {
  await runModel(sqliteBackend, 60);
});
