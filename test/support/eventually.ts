import { setTimeout as wait } from 'node:timers/promises';

/** Long, for machines that are busy with something else: only a test that fails waits for it. */
const LIMIT_MS = 60_000;
const EVERY_MS = 5;

/** Waits until `read` gives what `holds` accepts, and returns it; fails with what it gave last when that takes too long. */
export async function eventually<T>(read: () => T | Promise<T>, holds: (value: T) => boolean): Promise<T> {
  const endMs = performance.now() + LIMIT_MS;
  for (;;) {
    const value = await read();
    if (holds(value)) return value;
    if (performance.now() > endMs) throw new Error(`it stays ${JSON.stringify(value)}`);
    await wait(EVERY_MS);
  }
}
