import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { Command } from 'commander';
import { registerCheckConfig } from '../../gateway/cli/check-config.ts';
import { registerDoctor } from '../../gateway/cli/doctor.ts';
import { registerInit } from '../../gateway/cli/init.ts';
import { registerReconcile } from '../../gateway/cli/reconcile.ts';
import { registerRoutes } from '../../gateway/cli/routes.ts';
import { registerStore } from '../../gateway/cli/store.ts';

/** What a command did. */
export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** A folder that is gone after the test. */
export function folder(t: TestContext): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-cli-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Runs an operator's command in a folder, with what is typed on stdin. */
export async function run(cwd: string, argv: readonly string[], typed = ''): Promise<Ran> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  let code = 0;
  const io = {
    stdin: Readable.from(typed === '' ? [] : [typed]),
    stdout,
    stderr,
    env: {},
    cwd,
    setExitCode: (value: number) => {
      code = value;
    },
    exit: (value: number) => {
      throw new Error(`the command ended the process with ${value}`);
    },
    onInterrupt: () => () => {},
  };
  const program = new Command('sluice').exitOverride();
  registerInit(program, io);
  registerCheckConfig(program, io);
  registerRoutes(program, io);
  registerDoctor(program, io);
  registerReconcile(program, io);
  registerStore(program, io);
  await program.parseAsync([...argv], { from: 'user' });
  stdout.end();
  stderr.end();
  return { stdout: await text(stdout), stderr: await text(stderr), code };
}
