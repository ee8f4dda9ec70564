import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { type Daemon, lastLines, startDaemon } from '../../deploy/regtest/daemon.ts';
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
  /** Another command of the program, on the same configuration. @returns what it printed */
  command(...args: readonly string[]): Promise<string>;
}

const ROOT = path.join(import.meta.dirname, '..', '..');
const MAIN = path.join(ROOT, 'gateway', 'main.ts');
const COMMANDS = path.join(ROOT, 'gateway', 'cli', 'sluice.js');

const run = promisify(execFile);

/** Prepares a gateway in a folder. @param config - its file, without the listeners */
export async function gatewayProcess(folder: string, config: object): Promise<GatewayProcess> {
  const [port = 0, adminPort = 0] = await freePorts([undefined, undefined]);
  const file = path.join(folder, 'sluice.yaml');
  const listeners = { listen: `127.0.0.1:${port}`, admin: `127.0.0.1:${adminPort}`, data: folder };
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ ...listeners, ...config }));
  const logFile = path.join(folder, 'gateway.log');
  const url = `http://127.0.0.1:${port}`;
  const flags = ['--disable-warning=ExperimentalWarning'];
  let daemon: Daemon | undefined;
  return {
    url,
    async start() {
      const started = await startDaemon({
        name: 'the gateway',
        command: process.execPath,
        args: [...flags, MAIN, '-c', file],
        cwd: folder,
        logFile,
      });
      daemon = started;
      await waitFor(
        'The start of the gateway',
        async () => {
          if (!started.running) throw new Error(`it has ended:\n${lastLines(logFile, 10)}`);
          return (await fetch(`${url}/.l402/account`)).status;
        },
        { limitMs: 120_000, everyMs: 20 },
      ).catch((cause: unknown) => {
        throw new Error(`the gateway does not start:\n${lastLines(logFile, 10)}`, { cause });
      });
    },
    async kill() {
      daemon?.signal('SIGKILL');
      await daemon?.ended;
    },
    stop: async () => await daemon?.stop(),
    command: async (...args) =>
      (await run(process.execPath, [...flags, COMMANDS, ...args, '-c', file], { cwd: folder })).stdout,
  };
}
