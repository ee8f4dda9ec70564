import { setTimeout as wait } from 'node:timers/promises';
import type { Fault, Target } from './schedule.ts';
import type { Timeline } from './timeline.ts';
import type { Victim } from './victim.ts';

/** What was done, by kind and target: `kill gateway` → 12. */
export type FaultCounts = Map<string, number>;

/**
 * Does each fault at its moment. One that finds its target still away from the one before does nothing, and is counted as skipped.
 * Resolves when all is up again.
 */
export async function runFaults(
  faults: readonly Fault[],
  victims: ReadonlyMap<Target, Victim>,
  timeline: Timeline,
  over: AbortSignal,
): Promise<FaultCounts> {
  const counts: FaultCounts = new Map();
  const running: Promise<void>[] = [];
  for (const { atMs, target, kind, forMs } of faults) {
    await wait(Math.max(0, atMs - timeline.nowMs()), undefined, { signal: over }).catch(() => undefined);
    if (over.aborted) break;
    const victim = victims.get(target);
    if (victim === undefined) continue;
    const hit = victim.hit(kind, forMs).then((done) => {
      const what = done ? `${kind} ${target.replace(/-\d+$/, '')}` : 'skipped';
      counts.set(what, (counts.get(what) ?? 0) + 1);
    });
    // What can't be brought back is told in the end; until then the others go on.
    hit.catch(() => undefined);
    running.push(hit);
  }
  await Promise.all(running);
  return counts;
}
