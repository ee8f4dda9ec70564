import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** A program of the network that runs in the background. */
export interface Daemon {
  readonly name: string;
  readonly pid: number;
  readonly running: boolean;
  /** Resolves when it has ended, however it did. */
  readonly ended: Promise<void>;
  /** Asks it to end, and kills it when it does not within 20 s. */
  stop(): Promise<void>;
  /** Ends, halts or continues it without asking. */
  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
}

/** What to run, and where its output goes. */
export interface DaemonOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** Appended to; `inherit`: this process's own output. */
  readonly logFile: string | 'inherit';
}

const PATIENCE_MS = 20_000;

/** Every program that still runs, so that none outlives this process however it ends. */
const running = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/**
 * Starts a program in a process group of its own: Ctrl-C in the terminal must reach us alone, or btcd would end before the
 * nodes that need it to end well.
 * @throws Error when it can't be started
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { name, command, args, cwd, logFile } = options;
  const output = logFile === 'inherit' ? ('inherit' as const) : openSync(logFile, 'a', 0o600);
  const child = spawn(command, args, { cwd, detached: true, stdio: ['ignore', output, output] });
  if (output !== 'inherit') closeSync(output);
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      running.delete(child);
      resolve();
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) =>
      reject(new Error(`${name} can't be started: ${cause.message}.`, { cause })),
    );
  });
  running.add(child);
  return {
    name,
    pid: child.pid ?? 0,
    get running() {
      return running.has(child);
    },
    ended,
    async stop() {
      if (!running.has(child)) return;
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
      await ended;
      clearTimeout(timer);
    },
    signal: (signal) => void child.kill(signal),
  };
}

/** The last lines of a log, for a message about what went wrong. */
export function lastLines(file: string, count: number): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n');
  } catch {
    return '(no log)';
  }
}
