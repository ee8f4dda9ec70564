/*
 * `npm run bench:lnd`: what selling through a real LND costs, one table from one run, on a private network of its own (needs lnd and btcd,
 * or Go). Absolute numbers belong to the machine; the ratios are what to quote.
 * Flags: --seconds N (each row of a round, default 5), --rounds N (default 3: medians are printed), --payments N (default 200),
 * --profile (the gateways leave .cpuprofile files in the current folder).
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { findBinaries } from '../../deploy/regtest/binaries.ts';
import { type RegtestNetwork, startNetwork } from '../../deploy/regtest/network.ts';
import { type BenchGateway, startBenchGateway } from './lnd-bench-gateway.ts';
import { measureSettlements } from './lnd-settlements.ts';
import { hasWrk, load } from './load.ts';
import { type Latencies, type PacedLoad, paced } from './paced.ts';
import { median } from './statistics.ts';

const CONNECTIONS = 64;
const PACE_PER_SEC = 50;
const POOL_SIZE = 500;

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    payments: { type: 'string', default: '200' },
    profile: { type: 'boolean', default: false },
  },
});
const seconds = Number(flags.seconds);
const rounds = Number(flags.rounds);

/** One line of the table: what one round measured. */
interface Measured extends Latencies {
  readonly perSec: number;
  /** Of the gateway, for one answer; absent: there is none. */
  readonly cpuMicros?: number;
  readonly errors: number;
}

interface Row {
  readonly name: string;
  run(): Promise<Measured>;
}

type Target = Omit<PacedLoad, 'perSec' | 'seconds'>;

/** LND asked by nobody but the load generator: what a gateway is held against. */
function lndRequest({ merchant }: RegtestNetwork): Target {
  return {
    url: `${merchant.url}/v1/invoices`,
    headers: { 'Grpc-Metadata-macaroon': readFileSync(merchant.macaroonFile('invoice'), 'hex') },
    expectStatus: 200,
    post: JSON.stringify({ memo: 'bench', value_msat: '10000', expiry: '600' }),
  };
}

/** Adds what the gateway spent on it, and counts what it answered without an invoice as errors. */
async function observed(
  gateway: BenchGateway | undefined,
  run: () => Promise<Measured & { readonly requests: number }>,
): Promise<Measured> {
  const before = await gateway?.usage();
  const result = await run();
  const after = await gateway?.usage();
  if (before === undefined || after === undefined) return result;
  const sold = after.challenges - before.challenges;
  return {
    ...result,
    cpuMicros: (after.cpuMicros - before.cpuMicros) / Math.max(1, sold),
    errors: result.errors + Math.max(0, result.requests - sold),
  };
}

function rowsOf(network: RegtestNetwork, plain: BenchGateway, pooled: BenchGateway): Row[] {
  const direct = lndRequest(network);
  const challenge = ({ url }: BenchGateway): Target => ({
    url: `${url}/quote`,
    headers: {},
    expectStatus: 402,
  });
  const flooded = (target: Target, gateway?: BenchGateway): Promise<Measured> =>
    observed(gateway, async () => {
      const result = await load({ ...target, connections: CONNECTIONS, seconds });
      return { ...result, perSec: result.requestsPerSec };
    });
  const calm = (target: Target, gateway?: BenchGateway): Promise<Measured> =>
    observed(gateway, async () => {
      const result = await paced({ ...target, perSec: PACE_PER_SEC, seconds });
      return { ...result, perSec: result.requests / seconds };
    });
  return [
    { name: 'LND alone, flooded', run: () => flooded(direct) },
    { name: 'Sluice 402, flooded', run: () => flooded(challenge(plain), plain) },
    { name: 'Sluice 402 with pool, flooded', run: () => flooded(challenge(pooled), pooled) },
    { name: `LND alone, ${PACE_PER_SEC}/s`, run: () => calm(direct) },
    { name: `Sluice 402, ${PACE_PER_SEC}/s`, run: () => calm(challenge(plain), plain) },
    { name: `Sluice 402 with pool, ${PACE_PER_SEC}/s`, run: () => calm(challenge(pooled), pooled) },
  ];
}

function medianOf(runs: readonly Measured[]): Measured {
  const of = (pick: (run: Measured) => number): number => median(runs.map(pick));
  const hasCpu = runs.some((run) => run.cpuMicros !== undefined);
  return {
    perSec: of((run) => run.perSec),
    ...(hasCpu ? { cpuMicros: of((run) => run.cpuMicros ?? 0) } : {}),
    p50Ms: of((run) => run.p50Ms),
    p99Ms: of((run) => run.p99Ms),
    errors: runs.reduce((sum, run) => sum + run.errors, 0),
  };
}

function print(results: ReadonlyMap<string, Measured>): void {
  const [base] = results.values();
  const line = (cells: readonly string[]): string =>
    cells.map((cell, at) => (at === 0 ? cell.padEnd(32) : cell.padStart(10))).join('');
  console.log(line(['', 'per s', 'x LND', 'CPU µs', 'p50 ms', 'p99 ms', 'errors']));
  for (const [name, row] of results) {
    console.log(
      line([
        name,
        row.perSec.toFixed(0),
        name.endsWith('flooded') && base !== undefined ? (row.perSec / base.perSec).toFixed(2) : '',
        row.cpuMicros?.toFixed(0) ?? '',
        row.p50Ms.toFixed(2),
        row.p99Ms.toFixed(2),
        String(row.errors),
      ]),
    );
  }
}

async function measureAll(network: RegtestNetwork, folder: string, upstream: string): Promise<void> {
  const { merchant } = network;
  const options = {
    url: merchant.url,
    macaroonFile: merchant.macaroonFile('invoice'),
    tlsCertFile: merchant.tlsCertFile,
    upstream,
  };
  const open = (name: string, poolSize: number): Promise<BenchGateway> =>
    startBenchGateway({ ...options, folder: path.join(folder, name), poolSize }, flags.profile);
  const [plain, pooled] = [await open('plain', 0), await open('pooled', POOL_SIZE)];
  try {
    const rows = rowsOf(network, plain, pooled);
    console.log(
      `LND on regtest; ${CONNECTIONS} connections when flooded, ${rounds} rounds of ${seconds} s a row, medians; ` +
        `pool of ${POOL_SIZE}; load by ${hasWrk ? 'wrk' : 'autocannon'}`,
    );
    for (const row of rows) await row.run();
    const runs = new Map<string, Measured[]>(rows.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (const row of rows) runs.get(row.name)?.push(await row.run());
    }
    print(new Map([...runs].map(([name, measured]) => [name, medianOf(measured)])));
    console.log(`\nTop-ups, ${flags.payments} one after another, each by a payment of the other node:`);
    const seen = await measureSettlements(network, plain, Number(flags.payments));
    for (const [name, { p50Ms, p99Ms }] of Object.entries(seen)) {
      console.log(`${name.padEnd(52)}p50 ${p50Ms.toFixed(1)} ms  p99 ${p99Ms.toFixed(1)} ms`);
    }
  } finally {
    await Promise.all([plain.stop(), pooled.stop()]);
  }
}

const folder = mkdtempSync(path.join(tmpdir(), 'sluice-bench-lnd-'));
const say = (line: string): void => console.error(line);
const upstream = createServer((_request, response) => response.end('paid for'));
await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
try {
  const binaries = await findBinaries({ env: process.env, say });
  const network = await startNetwork({ dir: path.join(folder, 'network'), binaries, say });
  try {
    const address = upstream.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await measureAll(network, folder, `http://127.0.0.1:${port}`);
  } finally {
    await network.stop();
  }
} finally {
  upstream.close();
  rmSync(folder, { recursive: true, force: true });
}
