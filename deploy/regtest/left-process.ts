import { execFile } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Daemon } from './daemon.ts';
import type { Member, RegtestFolder } from './state.ts';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);

/** Databases are written to the end: on a busy machine that takes a while. */
const PATIENCE = { limitMs: 30_000 };

function pidFile(folder: RegtestFolder, member: Member): string {
  return path.join(folder.of(member), `${member}.pid`);
}

/** Notes which process a program is, for the case that we are killed. */
export function noteProcess(folder: RegtestFolder, member: Member, { pid }: Daemon): void {
  writeFileSync(pidFile(folder, member), String(pid), { mode: 0o600 });
}

/**
 * Ends a program that a run which was killed has left behind, and waits until it has: the process that was noted, if it is still
 * the one. It is killed when it does not end by itself.
 */
export async function stopLeftProcess(folder: RegtestFolder, member: Member): Promise<void> {
  const pid = readPid(folder, member);
  if (pid !== undefined) {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      if (!(await isOurs(pid, folder, member))) break;
      process.kill(pid, signal);
      const gone = async () => ((await isOurs(pid, folder, member)) ? undefined : true);
      await waitFor(`The end of the ${member} that was left`, gone, PATIENCE).catch(() => undefined);
    }
  }
  rmSync(pidFile(folder, member), { force: true });
}

function readPid(folder: RegtestFolder, member: Member): number | undefined {
  try {
    const pid = Number(readFileSync(pidFile(folder, member), 'utf8'));
    return Number.isInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Process ids are used again: its command must name our folder. Where nothing tells the command, nothing is ended. */
async function isOurs(pid: number, folder: RegtestFolder, member: Member): Promise<boolean> {
  try {
    return (await commandOf(pid)).includes(folder.of(member));
  } catch {
    return false;
  }
}

async function commandOf(pid: number): Promise<string> {
  // Small images have no `ps`.
  if (existsSync('/proc/self/cmdline')) return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  return (await run('ps', ['-ww', '-p', String(pid), '-o', 'args='])).stdout;
}
