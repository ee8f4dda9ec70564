import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openSimulatedWallet } from '../../client/wallets/simulated.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { eventually } from '../e2e/scene.ts';
import { askChallenge } from '../support/gateway.ts';

/*
 * A gateway with workers, as an operator runs it: `gateway/main.ts` with a file, on free ports, with the simulated network and
 * SQLite in a folder of its own.
 */

const MAIN = join(import.meta.dirname, '..', '..', 'gateway', 'main.ts');
/** Starting three processes takes a busy machine its time. */
const PATIENCE_MS = 60_000;

/** A gateway of several processes. */
export interface ClusterProcess {
  readonly url: string;
  readonly adminUrl: string;
  readonly dir: string;
  readonly primary: ChildProcess;
  /** The same file as the gateway's. */
  readonly store: Store;
  /** Lines of the log, read. */
  lines(): readonly LogLine[];
  output(): string;
  untilSaid(text: string | RegExp): Promise<void>;
  /** Process ids of the workers, oldest first. */
  workers(): Promise<readonly number[]>;
  /** What `/metrics` says. */
  metrics(): Promise<Metrics>;
  /** Buys a credential: asks, pays, and puts the Authorization value together. */
  buy(path: string): Promise<string>;
  pay(bolt11: string): Promise<string>;
  writeConfig(services: string, more?: string): Promise<void>;
  /** How the primary ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>;
  /** Ends what is still there, and removes the folder. */
  close(): Promise<void>;
}

/** Values by name and labels. */
export interface Metrics {
  readonly all: ReadonlyMap<string, number>;
  /** Counters, and the parts of histograms. */
  readonly growing: ReadonlyMap<string, number>;
}

/** One line of the log. */
export interface LogLine {
  readonly msg?: string;
  readonly worker?: number;
  readonly access?: true;
  readonly path?: string;
  readonly status?: number;
}

/** The file of such a gateway. @param services - YAML of the list */
export function configText(services: string, more = ''): string {
  return `listen: 127.0.0.1:0
admin: 127.0.0.1:0
data: data
node: { type: simulated, port: 0 }
log: { format: json }
drainTimeout: 10s
challenge: { burst: 100000, perMinute: 100000, maxOutstanding: 100000, maxPerClient: 100000 }
${more}
services:
${services}`;
}

/**
 * Starts it, and waits until it serves.
 * @param main - the file that is run
 */
export async function startCluster(
  services: string,
  more = 'workers: 2',
  main = MAIN,
): Promise<ClusterProcess> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-cluster-'));
  const file = join(dir, 'sluice.yaml');
  const writeConfig = (text: string, extra = more) => writeFile(file, configText(text, extra));
  await writeConfig(services);
  const { primary, text, ended } = run(main, dir);
  await Promise.race([
    eventually(() => /npx sluice wallet/.test(text.stdout), PATIENCE_MS),
    ended.then(({ stderr }) => assert.fail(`it ended: ${stderr}`)),
  ]);
  const address = (name: string): string =>
    new RegExp(`^  ${name} +(http:\\S+)`, 'm').exec(text.stdout)?.[1] ?? '';
  const dataDir = join(dir, 'data');
  const wallet = await openSimulatedWallet({ dataDir });
  const store = await openSqliteStore({
    file: join(dataDir, 'ledger.db'),
    nowMs: Date.now,
    spendDurability: 'normal',
  });
  const url = address('gateway');
  const adminUrl = address('admin');
  const pay = async (bolt11: string): Promise<string> => {
    const state = await wallet.payInvoice(bolt11, { maxFeeMsat: msat(10_000), timeoutMs: PATIENCE_MS });
    return state.kind === 'succeeded' ? state.preimage : assert.fail(`the payment ended ${state.kind}`);
  };
  return {
    url,
    adminUrl,
    dir,
    primary,
    store,
    lines: () => text.stdout.split('\n').flatMap(readLine),
    output: () => text.stdout,
    untilSaid: (wanted) =>
      eventually(
        () => (typeof wanted === 'string' ? text.stdout.includes(wanted) : wanted.test(text.stdout)),
        PATIENCE_MS,
      ),
    workers: () => childrenOf(primary.pid),
    metrics: () => readMetrics(adminUrl),
    pay,
    buy: async (path) => {
      const { macaroon, invoice } = await askChallenge(url + path);
      return `L402 ${macaroon}:${await pay(invoice)}`;
    },
    writeConfig,
    ended,
    close: async () => {
      await store.close();
      const left = await childrenOf(primary.pid);
      primary.kill('SIGKILL');
      for (const pid of left) kill(pid);
      await ended;
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Starts `gateway/main.ts` in a folder. */
export function launch(dir: string, ...args: readonly string[]) {
  return run(MAIN, dir, ...args);
}

function run(main: string, dir: string, ...args: readonly string[]) {
  const primary = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '' },
  });
  const text = { stdout: '', stderr: '' };
  primary.stdout.on('data', (chunk) => (text.stdout += chunk));
  primary.stderr.on('data', (chunk) => (text.stderr += chunk));
  const ended = once(primary, 'close').then(([code]) => ({ code: code as number | null, ...text }));
  return { primary, text, ended };
}

const ask = promisify(execFile);

/** Oldest first. */
async function childrenOf(pid: number | undefined): Promise<readonly number[]> {
  // Exits with 1 when there are none.
  const { stdout } = await ask('pgrep', ['-P', String(pid)]).catch(() => ({ stdout: '' }));
  return stdout.split('\n').filter(Boolean).map(Number);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

/** Whether a process is there. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function readLine(line: string): readonly LogLine[] {
  if (!line.startsWith('{')) return [];
  return [JSON.parse(line)];
}

async function readMetrics(adminUrl: string): Promise<Metrics> {
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  const all = new Map<string, number>();
  const growing = new Map<string, number>();
  let type = '';
  for (const line of text.split('\n')) {
    type = /^# TYPE \S+ (\S+)$/.exec(line)?.[1] ?? type;
    const [, key, value] = /^([a-zA-Z_:][^ {]*(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    if (key === undefined) continue;
    all.set(key, Number(value));
    if (type !== 'gauge') growing.set(key, Number(value));
  }
  return { all, growing };
}

/** One answer over a connection of its own, so that the next worker in turn gives it. */
export function askAnew(url: string, authorization?: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = authorization === undefined ? {} : { authorization };
    const request = http.get(url, { agent: false, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body })).on('error', reject);
    });
    request.on('error', reject);
  });
}
