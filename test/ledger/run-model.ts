import fc from 'fast-check';
import type { OpenBackend } from '../contract/store.contract.ts';
import { manualClock } from '../support/clock.ts';
import { commandRuns, emptyModel } from './model.ts';

/** Runs random sequences of verbs on stores of that kind, each on a new one. */
export async function runModel(openBackend: OpenBackend, numRuns: number): Promise<void> {
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
