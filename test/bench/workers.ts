import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openSimulatedWallet } from '../../client/wallets/simulated.ts';
import { msat } from '../../node/msat.ts';
import { askChallenge } from '../support/gateway.ts';
import { type ProcessUsage, processTreeUsage } from './process-usage.ts';

/*
 * The gateway as it is run, `gateway/main.ts` with a file: with one process, with workers on SQLite, and as several gateways on one Redis.
 * What CPU it takes is summed over all its processes.
 */

/** A gateway in processes of its own. */
export interface GatewayProcess {
  readonly url: string;
  readonly credentials: Readonly<Record<string, string>>;
  usage(): Promise<ProcessUsage>;
  stop(): void;
}

const MAIN = fileURLToPath(new URL('../../gateway/main.ts', import.meta.url));

/** How it is run. */
export interface GatewayProcessOptions {
  readonly workers: number;
  /** A line of the configuration; absent: SQLite in the data folder. */
  readonly store?: string;
  /** 64 hex digits, for gateways that share a store; absent: its own. */
  readonly masterKey?: string;
}

/** Gateways on one store: what was bought at the first is spent at all of them. */
export interface GatewayProcesses extends Omit<GatewayProcess, 'url'> {
  readonly urls: readonly string[];
}

/** Starts so many gateways on one Redis that is running. */
export async function startGatewaysOnRedis(
  count: number,
  redisUrl: string,
  upstream: string,
): Promise<GatewayProcesses> {
  const options = {
    workers: 1,
    store: `store: { type: redis, url: '${redisUrl}' }`,
    masterKey: randomBytes(32).toString('hex'),
  };
  const gateways: GatewayProcess[] = [];
  for (let n = 0; n < count; n += 1) gateways.push(await startGatewayProcess(options, upstream));
  return {
    urls: gateways.map(({ url }) => url),
    credentials: gateways[0]?.credentials ?? {},
    usage: async () => {
      const all = await Promise.all(gateways.map((gateway) => gateway.usage()));
      return {
        cpuMicros: all.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0),
        rssBytes: all.reduce((sum, { rssBytes }) => sum + rssBytes, 0),
      };
    },
    stop: () => {
      for (const gateway of gateways) gateway.stop();
    },
  };
}

/** Starts it, and buys a pass (for `/pass`) and calls (for `/call`). */
export async function startGatewayProcess(
  { workers, store = '', masterKey }: GatewayProcessOptions,
  upstream: string,
): Promise<GatewayProcess> {
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-bench-'));
  writeFileSync(
    path.join(dir, 'sluice.yaml'),
    `listen: 127.0.0.1:0
admin: 127.0.0.1:0
data: data
workers: ${workers}
node: { type: simulated, port: 0 }
${store}
${masterKey === undefined ? '' : `masterKeys: ['${masterKey}']`}
log: { level: warn }
upstream: ${upstream}
services:
  - { name: pass, path: /pass, price: 10 sat for 30d }
  - { name: call, path: /call, price: 200000 sat for 2000000 calls }
`,
  );
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN], {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await readUrl(createInterface({ input: child.stdout }));
  const wallet = await openSimulatedWallet({ dataDir: path.join(dir, 'data') });
  const buy = async (at: string): Promise<string> => {
    const { macaroon, invoice } = await askChallenge(url + at);
    const state = await wallet.payInvoice(invoice, { maxFeeMsat: msat(1_000_000), timeoutMs: 60_000 });
    if (state.kind !== 'succeeded') throw new Error(`the payment ended ${state.kind}`);
    return `L402 ${macaroon}:${state.preimage}`;
  };
  return {
    url,
    credentials: { pass: await buy('/pass'), call: await buy('/call') },
    usage: async () => processTreeUsage(child.pid ?? 0),
    stop: () => {
      void once(child, 'exit').then(() => rmSync(dir, { recursive: true, force: true }));
      child.kill('SIGTERM');
    },
  };
}

async function readUrl(lines: AsyncIterable<string>): Promise<string> {
  let url: string | undefined;
  for await (const line of lines) {
    url ??= /gateway +(http:\S+)/.exec(line)?.[1];
    // The last line of the banner: what is printed after it is not read.
    if (url !== undefined && line.includes('sluice wallet')) return url;
  }
  throw new Error('the gateway did not start');
}
