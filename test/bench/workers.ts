import { spawn } from 'node:child_process';
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
 * The gateway as it is run, `gateway/main.ts` with a file, on SQLite: with one process, and with workers. What CPU it takes is
 * summed over all its processes.
 */

/** A gateway in processes of its own. */
export interface GatewayProcess {
  readonly url: string;
  readonly credentials: Readonly<Record<string, string>>;
  usage(): Promise<ProcessUsage>;
  stop(): void;
}

const MAIN = fileURLToPath(new URL('../../gateway/main.ts', import.meta.url));

/** Starts it, and buys a pass (for `/pass`) and calls (for `/call`). */
export async function startGatewayProcess(workers: number, upstream: string): Promise<GatewayProcess> {
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-bench-'));
  writeFileSync(
    path.join(dir, 'sluice.yaml'),
    `listen: 127.0.0.1:0
admin: 127.0.0.1:0
data: data
workers: ${workers}
node: { type: simulated, port: 0 }
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
