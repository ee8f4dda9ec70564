import { setTimeout as wait } from 'node:timers/promises';

const LIMIT_MS = 10_000;
const EVERY_MS = 5;

/** Waits until `read` gives what `holds` accepts, and returns it; fails with what it gave last when that takes too long. */
export async function eventually<T>(read: () => T | Promise<T>, holds: (value: T) => boolean): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    const value = await read();
    if (holds(value)) return value;
    if (tries * EVERY_MS > LIMIT_MS) throw new Error(`it stays ${JSON.stringify(value)}`);
    await wait(EVERY_MS);
  }
}
