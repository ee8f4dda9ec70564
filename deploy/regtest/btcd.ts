import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { createNodeHttp, type NodeHttp } from '../../node/http.ts';
import { type Daemon, lastLines, startDaemon } from './daemon.ts';
import { noteProcess } from './left-process.ts';
import type { RegtestFolder, RegtestState } from './state.ts';
import { waitFor } from './wait-for.ts';

/** The chain of the network. */
export interface Btcd {
  readonly daemon: Daemon;
  blockHeight(): Promise<number>;
  /** Mines blocks at once; their coins go to the mining address. */
  mine(blocks: number): Promise<void>;
  /** Ids of the transactions that wait for a block. */
  mempool(): Promise<readonly string[]>;
  stop(): Promise<void>;
}

/** Mining hundreds of blocks is one call. */
const RPC_TIMEOUT_MS = 120_000;

const answer = z.object({ result: z.unknown(), error: z.object({ message: z.string() }).nullable() });

/** Path of the certificate that btcd makes for itself; LND must trust it. */
export function btcdCertificate(folder: RegtestFolder): string {
  return path.join(folder.of('btcd'), 'rpc.cert');
}

/** Starts btcd on loopback, without peers, and waits until it answers. @param signal - ends the wait */
export async function startBtcd(
  command: string,
  folder: RegtestFolder,
  state: RegtestState,
  signal?: AbortSignal,
): Promise<Btcd> {
  const dir = folder.of('btcd');
  const configFile = path.join(dir, 'btcd.conf');
  writeFileSync(configFile, btcdConfig(dir, state), { mode: 0o600 });
  const logFile = folder.logOf('btcd');
  const daemon = await startDaemon({
    name: 'btcd',
    command,
    args: [`--configfile=${configFile}`],
    cwd: dir,
    logFile,
  });
  noteProcess(folder, 'btcd', daemon);
  const http = await waitFor(
    'The start of btcd',
    async () => {
      if (!daemon.running) throw new Error(`btcd has ended:\n${lastLines(logFile, 5)}`);
      return existsSync(btcdCertificate(folder)) ? await connect(folder, state) : undefined;
    },
    { limitMs: 120_000, signal },
  ).catch(async (error: unknown) => {
    await daemon.stop();
    throw error;
  });
  const keptFile = path.join(dir, 'blocks.hex');
  await restoreBlocks(http, keptFile);
  return {
    daemon,
    blockHeight: () => readHeight(http),
    async mine(blocks) {
      const height = await readHeight(http);
      await call(http, 'generate', [blocks]);
      await keepBlocks(http, keptFile, height + 1);
    },
    mempool: async () => z.array(z.string()).parse(await call(http, 'getrawmempool')),
    async stop() {
      await http.close();
      await daemon.stop();
    },
  };
}

/** On regtest btcd forgets its chain at each start: we keep the blocks, a line of hex each, and give them back. */
async function keepBlocks(http: NodeHttp, file: string, from: number): Promise<void> {
  const to = await readHeight(http);
  const lines: string[] = [];
  for (let height = from; height <= to; height += 1) {
    const hash = await call(http, 'getblockhash', [height]);
    lines.push(`${z.string().parse(await call(http, 'getblock', [hash, 0]))}\n`);
  }
  appendFileSync(file, lines.join(''), { mode: 0o600 });
}

async function restoreBlocks(http: NodeHttp, file: string): Promise<void> {
  if (!existsSync(file)) return;
  for (const block of readFileSync(file, 'utf8').split('\n')) {
    if (block !== '') await call(http, 'submitblock', [block]);
  }
}

async function readHeight(http: NodeHttp): Promise<number> {
  return z.int().parse(await call(http, 'getblockcount'));
}

async function connect(folder: RegtestFolder, { btcd }: RegtestState): Promise<NodeHttp> {
  const http = createNodeHttp({
    url: `https://127.0.0.1:${btcd.rpcPort}`,
    headers: { authorization: `Basic ${Buffer.from(`${btcd.user}:${btcd.password}`).toString('base64')}` },
    tlsCertPem: readFileSync(btcdCertificate(folder), 'utf8'),
    timeoutMs: RPC_TIMEOUT_MS,
    concurrency: 4,
  });
  try {
    await call(http, 'getblockcount');
    return http;
  } catch (error) {
    await http.close();
    throw error;
  }
}

async function call(http: NodeHttp, method: string, params: readonly unknown[] = []): Promise<unknown> {
  const body = { jsonrpc: '1.0', id: 1, method, params };
  const { result, error } = answer.parse((await http.exchange({ method: 'POST', path: '/', body })).body);
  if (error !== null) throw new Error(`btcd refused ${method}: ${error.message}`);
  return result;
}

function btcdConfig(dir: string, { btcd, miningAddress }: RegtestState): string {
  return [
    '; Written at each start of the private network.',
    '[Application Options]',
    'regtest=1',
    `datadir=${path.join(dir, 'data')}`,
    `logdir=${path.join(dir, 'logs')}`,
    `rpclisten=127.0.0.1:${btcd.rpcPort}`,
    `rpccert=${path.join(dir, 'rpc.cert')}`,
    `rpckey=${path.join(dir, 'rpc.key')}`,
    `rpcuser=${btcd.user}`,
    `rpcpass=${btcd.password}`,
    'nolisten=1',
    'txindex=1',
    ...(miningAddress === undefined ? [] : [`miningaddr=${miningAddress}`]),
    '',
  ].join('\n');
}
