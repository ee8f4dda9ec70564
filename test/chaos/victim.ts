import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { lastLines } from '../../deploy/regtest/daemon.ts';
import { waitFor } from '../../deploy/regtest/wait-for.ts';
import { endWithUs } from '../support/end-with-us.ts';
import type { FaultKind, Target } from './schedule.ts';
import type { Timeline } from './timeline.ts';

/** A program of the run that is killed, frozen and started again at the same address. */
export interface Victim {
  readonly target: Target;
  /** Resolves when it answers. */
  start(): Promise<void>;
  /** Does one fault and brings it back. @returns false when it was not up, so that nothing was done */
  hit(kind: FaultKind, forMs: number): Promise<boolean>;
  /** Ends it as an operator would, for good. */
  stop(): Promise<void>;
}

/** How to run a victim. */
export interface VictimOptions {
  readonly target: Target;
  readonly command: string;
  readonly args: readonly string[];
  readonly folder: string;
  readonly logFile: string;
  /** Resolves when it answers; rejects when it does not. */
  readonly answers: () => Promise<unknown>;
  readonly timeline: Timeline;
  /** What stands still with it when it is frozen: a process may be frozen while it holds the lock of an SQLite file. */
  readonly dragsAlong?: Target;
}

/** One life of a victim's program. */
interface Life {
  readonly running: boolean;
  readonly ended: Promise<void>;
  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void;
}

/** On a machine that does much else, a process needs half a minute to begin. */
const START_LIMIT_MS = 180_000;
const STOP_LIMIT_MS = 60_000;
const AGAIN_MS = 250;

/** Prepares a victim; nothing runs yet. */
export function createVictim(options: VictimOptions): Victim {
  const { target, timeline } = options;
  let life: Life | undefined;
  let busy = true;
  let stopped = false;

  const start = async (): Promise<void> => {
    life = await startUntilItAnswers(options, () => stopped);
    busy = false;
  };
  const back = async (running: Life, kind: FaultKind, forMs: number): Promise<void> => {
    if (kind === 'freeze') {
      running.signal('SIGSTOP');
      await wait(forMs);
      running.signal('SIGCONT');
      await waitFor(`The thaw of ${target}`, () => answer(options), { limitMs: START_LIMIT_MS, everyMs: 50 });
      return;
    }
    if (kind === 'kill') {
      running.signal('SIGKILL');
      await running.ended;
    } else {
      await end(running);
    }
    await wait(forMs);
    if (!stopped) await start();
  };
  return {
    target,
    start,
    async hit(kind, forMs) {
      if (busy || life === undefined || stopped) return false;
      busy = true;
      const kinds = { kill: 'killed', restart: 'restarted', freeze: 'frozen' } as const;
      const away =
        kind === 'freeze' && options.dragsAlong !== undefined ? [target, options.dragsAlong] : [target];
      const marks = away.map((one) => timeline.begin(one, kinds[kind]));
      await back(life, kind, forMs);
      for (const isBack of marks) isBack();
      busy = false;
      return true;
    },
    async stop() {
      stopped = true;
      if (life !== undefined) await end(life);
    },
  };
}

/** As a service manager would: what ends at its start (its store is away) is started again. */
async function startUntilItAnswers(options: VictimOptions, isStopped: () => boolean): Promise<Life> {
  const endMs = performance.now() + START_LIMIT_MS;
  while (performance.now() < endMs && !isStopped()) {
    const life = begin(options);
    if (await untilItAnswers(options, life)) return life;
    await end(life);
    await wait(AGAIN_MS);
  }
  throw new Error(`${options.target} does not start:\n${lastLines(options.logFile, 10)}`);
}

function begin({ command, args, folder, logFile }: VictimOptions): Life {
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(command, args, { cwd: folder, stdio: ['ignore', log, log] });
  closeSync(log);
  const ended = endWithUs(child);
  return {
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    ended,
    signal: (signal) => void child.kill(signal),
  };
}

/** Asks it to end, and kills it when it does not. */
async function end(life: Life): Promise<void> {
  if (!life.running) return;
  life.signal('SIGCONT');
  life.signal('SIGTERM');
  const timer = setTimeout(() => life.signal('SIGKILL'), STOP_LIMIT_MS);
  await life.ended;
  clearTimeout(timer);
}

async function untilItAnswers(options: VictimOptions, life: Life): Promise<boolean> {
  const endMs = performance.now() + START_LIMIT_MS;
  while (life.running && performance.now() < endMs) {
    if (await answer(options).catch(() => false)) return true;
    await wait(25);
  }
  return false;
}

async function answer({ answers }: VictimOptions): Promise<true> {
  await answers();
  return true;
}
