import { readFileSync } from 'node:fs';

/** What the operating system accounts to a process. */
export interface ProcessUsage {
  readonly cpuMicros: number;
  readonly rssBytes: number;
}

/** CPU and memory of a process and its children, from /proc (clock ticks are 10 ms on Linux). */
export function processTreeUsage(pid: number): ProcessUsage {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(/\s+/)
    .filter(Boolean);
  let cpuMicros = 0;
  let rssBytes = 0;
  for (const id of [String(pid), ...children]) {
    const fields = readFileSync(`/proc/${id}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    cpuMicros += (Number(fields[11]) + Number(fields[12])) * 10_000;
    rssBytes += Number(fields[21]) * 4096;
  }
  return { cpuMicros, rssBytes };
}
