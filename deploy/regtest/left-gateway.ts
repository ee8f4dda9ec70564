import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Daemon } from './daemon.ts';
import type { RegtestFolder } from './state.ts';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);

function pidFile(folder: RegtestFolder): string {
  return path.join(folder.of('gateway'), 'gateway.pid');
}

/** Notes which process the gateway is, for the case that we are killed. */
export function noteGateway(folder: RegtestFolder, { pid }: Daemon): void {
  writeFileSync(pidFile(folder), String(pid), { mode: 0o600 });
}

/** Ends a gateway that a run which was killed has left behind: the process that was noted, if it still is our gateway. */
export async function stopLeftGateway(folder: RegtestFolder): Promise<void> {
  const pid = readPid(folder);
  if (pid !== undefined && (await isOurs(pid, folder))) {
    process.kill(pid, 'SIGTERM');
    const gone = async () => ((await isOurs(pid, folder)) ? undefined : true);
    await waitFor('The end of the gateway that was left', gone, { limitMs: 20_000 });
  }
  rmSync(pidFile(folder), { force: true });
}

function readPid(folder: RegtestFolder): number | undefined {
  try {
    const pid = Number(readFileSync(pidFile(folder), 'utf8'));
    return Number.isInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Process ids are used again: its command must name our folder. Where there is no `ps`, nothing is ended. */
async function isOurs(pid: number, folder: RegtestFolder): Promise<boolean> {
  try {
    const { stdout } = await run('ps', ['-ww', '-p', String(pid), '-o', 'args=']);
    return stdout.includes(`--data ${folder.of('gateway')} `);
  } catch {
    return false;
  }
}
