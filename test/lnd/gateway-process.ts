import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { lastLines } from '../../deploy/regtest/daemon.ts';
import { freePorts } from '../../deploy/regtest/state.ts';
import { waitFor } from '../../deploy/regtest/wait-for.ts';

/** A gateway in a process of its own, that may be killed and started again at the same address. */
export interface GatewayProcess {
  readonly url: string;
  start(): Promise<void>;
  /** As a power cut would end it. */
  kill(): Promise<void>;
  /** As an operator would. */
  stop(): Promise<void>;
}

const MAIN = path.join(import.meta.dirname, '..', '..', 'gateway', 'main.ts');

/** Prepares a gateway in a folder. @param config - its file, without the listeners */
export async function gatewayProcess(folder: string, config: object): Promise<GatewayProcess> {
  const [port = 0, adminPort = 0] = await freePorts([undefined, undefined]);
  const file = path.join(folder, 'sluice.yaml');
  const listeners = { listen: `127.0.0.1:${port}`, admin: `127.0.0.1:${adminPort}`, data: folder };
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ ...listeners, ...config }));
  const logFile = path.join(folder, 'gateway.log');
  const url = `http://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  };
  return {
    url,
    async start() {
      const log = openSync(logFile, 'a');
      child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, '-c', file], {
        stdio: ['ignore', log, log],
      });
      closeSync(log);
      const started = child;
      await waitFor(
        'The start of the gateway',
        async () => {
          if (started.exitCode !== null) throw new Error(`it has ended:\n${lastLines(logFile, 10)}`);
          return (await fetch(`${url}/.l402/account`)).status;
        },
        { limitMs: 120_000, everyMs: 20 },
      ).catch((cause: unknown) => {
        throw new Error(`the gateway does not start:\n${lastLines(logFile, 10)}`, { cause });
      });
    },
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  };
}
