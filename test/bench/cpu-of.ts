import { readFileSync } from 'node:fs';

/** Linux counts in ticks of 10 ms. */
const TICK_MICROS = 10_000;

/** What a process has used so far, user and system, microseconds; `undefined` where `/proc` does not tell. */
export function cpuMicrosOf(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    // Behind the name in brackets, which may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
  } catch {
    return undefined;
  }
}
