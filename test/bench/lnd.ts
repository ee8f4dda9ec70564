/*
 * `npm run bench:lnd`: what selling through a real LND costs, one table from one run, on a private network of its own (needs lnd and btcd,
 * or Go). Absolute numbers belong to the machine; the ratios are what to quote.
 * Flags: --seconds N (each row of a round, default 4), --rounds N (default 5: medians are printed), --flood N (seconds of the flood without a
 * pause, default 40), --payments N (default 200), --profile (the gateways leave .cpuprofile files in the current folder).
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { findBinaries } from '../../deploy/regtest/binaries.ts';
import { type RegtestNetwork, startNetwork } from '../../deploy/regtest/network.ts';
import { cpuMicrosOf } from './cpu-of.ts';
import { type BenchGateway, startBenchGateway } from './lnd-bench-gateway.ts';
import type { LndGatewayOptions } from './lnd-gateway.ts';
import { measureSettlements, payOnce } from './lnd-settlements.ts';
import { hasWrk, load } from './load.ts';
import { type Latencies, type PacedLoad, paced } from './paced.ts';
import { median, quantile } from './statistics.ts';

const CONNECTIONS = 64;
const PACE_PER_SEC = 50;
const POOL_SIZE = 500;
/**
 * How long a gateway is warmed up: V8 compiles for the last time after some 10,000 challenges, over gRPC after some 20,000, which takes a third of a
 * core for two seconds, and before that a challenge costs a fifth more.
 */
const GATEWAY_WARM_UP_SEC = 25;
/** The flood without a pause is read in parts of this length: the median of them is less of the machine's other work than one mean. */
const SLICE_SEC = 2;
/** LND is compiled already. */
const LND_WARM_UP_SEC = 2;

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
    flood: { type: 'string', default: '40' },
    payments: { type: 'string', default: '200' },
    profile: { type: 'boolean', default: false },
  },
});
const seconds = Number(flags.seconds);
const rounds = Number(flags.rounds);
const floodSec = Number(flags.flood);

/** One line of the table: what one round measured. */
interface Measured extends Latencies {
  readonly perSec: number;
  /** Of the gateway, for one answer; absent: there is none. */
  readonly cpuMicros?: number;
  /** Of LND, for one answer; absent: this system does not tell. */
  readonly lndCpuMicros?: number;
  readonly errors: number;
}

type Target = Omit<PacedLoad, 'perSec' | 'seconds'>;

/** What is asked: LND itself, or a gateway on it. */
interface Subject {
  readonly name: string;
  /** Absent: LND alone. */
  readonly gateway?: Pick<LndGatewayOptions, 'invoices' | 'poolSize'>;
}

const SUBJECTS: readonly Subject[] = [
  { name: 'LND alone' },
  { name: 'Sluice 402', gateway: { invoices: 'rest', poolSize: 0 } },
  { name: 'Sluice 402 by gRPC', gateway: { invoices: 'grpc', poolSize: 0 } },
  { name: 'Sluice 402 by gRPC with pool', gateway: { invoices: 'grpc', poolSize: POOL_SIZE } },
];

const PACES = ['flooded', `${PACE_PER_SEC}/s`] as const;

/** LND asked by nobody but the load generator: what a gateway is held against. */
function lndRequest({ merchant }: RegtestNetwork): Target {
  return {
    url: `${merchant.url}/v1/invoices`,
    headers: { 'Grpc-Metadata-macaroon': readFileSync(merchant.macaroonFile('invoice'), 'hex') },
    expectStatus: 200,
    post: JSON.stringify({ memo: 'bench', value_msat: '10000', expiry: '600' }),
  };
}

async function flood(target: Target, forSec = seconds): Promise<Measured & { readonly requests: number }> {
  const result = await load({ ...target, connections: CONNECTIONS, seconds: forSec });
  return { ...result, perSec: result.requestsPerSec };
}

async function pace(target: Target): Promise<Measured & { readonly requests: number }> {
  const result = await paced({ ...target, perSec: PACE_PER_SEC, seconds });
  return { ...result, perSec: result.requests / seconds };
}

/** Adds what gateway and LND spent on it, and counts what was answered without an invoice as errors. */
async function observe(
  { merchant }: RegtestNetwork,
  gateway: BenchGateway | undefined,
  run: () => Promise<Measured & { readonly requests: number }>,
): Promise<Measured> {
  const lndCpu = (): number | undefined => cpuMicrosOf(merchant.daemon?.pid);
  const [before, lndBefore] = [await gateway?.usage(), lndCpu()];
  const result = await run();
  const [after, lndAfter] = [await gateway?.usage(), lndCpu()];
  const answers = Math.max(1, result.requests);
  const lnd =
    lndBefore === undefined || lndAfter === undefined
      ? {}
      : { lndCpuMicros: (lndAfter - lndBefore) / answers };
  if (before === undefined || after === undefined) return { ...result, ...lnd };
  const sold = after.challenges - before.challenges;
  return {
    ...result,
    ...lnd,
    cpuMicros: (after.cpuMicros - before.cpuMicros) / Math.max(1, sold),
    errors: result.errors + Math.max(0, result.requests - sold),
  };
}

type OpenGateway = (how: NonNullable<Subject['gateway']>) => Promise<BenchGateway>;

/** A subject that is warm. */
interface Ready {
  readonly name: string;
  readonly target: Target;
  readonly gateway: BenchGateway | undefined;
}

async function warmUp(network: RegtestNetwork, open: OpenGateway, subject: Subject): Promise<Ready> {
  const gateway = subject.gateway === undefined ? undefined : await open(subject.gateway);
  const target: Target =
    gateway === undefined
      ? lndRequest(network)
      : { url: `${gateway.url}/quote`, headers: {}, expectStatus: 402 };
  const warmUpSec = gateway === undefined ? LND_WARM_UP_SEC : GATEWAY_WARM_UP_SEC;
  await load({ ...target, connections: CONNECTIONS, seconds: warmUpSec });
  return { name: subject.name, target, gateway };
}

/** The subjects take turns, so that whatever else the machine does meets all of them. The others wait, and ask LND for nothing but how it is. */
async function measureRound(
  network: RegtestNetwork,
  subjects: readonly Ready[],
  results: Map<string, Measured[]>,
): Promise<void> {
  for (const [at, run] of [flood, pace].entries()) {
    for (const { name, target, gateway } of subjects) {
      const row = `${name}, ${PACES[at]}`;
      const runs = results.get(row) ?? [];
      results.set(row, runs);
      runs.push(await observe(network, gateway, () => run(target)));
    }
  }
}

/** Has all subjects ready, measures them in turns, and prints. */
async function measureSubjects(network: RegtestNetwork, open: OpenGateway): Promise<void> {
  const subjects: Ready[] = [];
  const results = new Map<string, Measured[]>();
  try {
    for (const subject of SUBJECTS) subjects.push(await warmUp(network, open, subject));
    for (let round = 0; round < rounds; round += 1) await measureRound(network, subjects, results);
    print(results);
    await measureLongFloods(network, subjects);
  } finally {
    for (const { gateway } of subjects) await gateway?.stop();
  }
}

/** In turns each gateway pays for what the others did to caches and heap; here it has the machine for as long as a real flood has it. */
async function measureLongFloods(network: RegtestNetwork, subjects: readonly Ready[]): Promise<void> {
  console.log(`\nOne flood of ${floodSec} s each, gateway CPU µs a challenge in parts of ${SLICE_SEC} s:`);
  for (const { name, target, gateway } of subjects) {
    if (gateway === undefined) continue;
    const slices: number[] = [];
    for (let atSec = 0; atSec < floodSec; atSec += SLICE_SEC) {
      const { cpuMicros = 0 } = await observe(network, gateway, () => flood(target, SLICE_SEC));
      slices.push(cpuMicros);
    }
    const of = (share: number): string => quantile(slices, share).toFixed(0);
    console.log(
      `${name.padEnd(40)}median ${of(0.5)}, a quarter below ${of(0.25)}, a quarter above ${of(0.75)}`,
    );
  }
}

function medianOf(runs: readonly Measured[]): Measured {
  const of = (pick: (run: Measured) => number | undefined): number =>
    median(runs.map((run) => pick(run) ?? 0));
  const has = (key: 'cpuMicros' | 'lndCpuMicros'): boolean => runs.some((run) => run[key] !== undefined);
  return {
    perSec: of((run) => run.perSec),
    ...(has('cpuMicros') ? { cpuMicros: of((run) => run.cpuMicros) } : {}),
    ...(has('lndCpuMicros') ? { lndCpuMicros: of((run) => run.lndCpuMicros) } : {}),
    p50Ms: of((run) => run.p50Ms),
    p99Ms: of((run) => run.p99Ms),
    errors: runs.reduce((sum, run) => sum + run.errors, 0),
  };
}

/** @returns the median of what each round had in proportion to LND alone in the same round */
function shareOf(
  runs: readonly Measured[],
  base: readonly Measured[],
  of: 'perSec' | 'cpuMicros',
  toLnd: 'perSec' | 'lndCpuMicros',
): number {
  return median(runs.map((run, round) => (run[of] ?? 0) / (base[round]?.[toLnd] ?? Number.NaN)));
}

function print(results: ReadonlyMap<string, readonly Measured[]>): void {
  const line = (cells: readonly string[]): string =>
    cells.map((cell, at) => (at === 0 ? cell.padEnd(40) : cell.padStart(9))).join('');
  console.log(line(['', 'per s', 'x LND', 'CPU µs', 'x LND', 'LND µs', 'p50 ms', 'p99 ms', 'errors']));
  for (const paceName of PACES) {
    const base = results.get(`${SUBJECTS[0]?.name}, ${paceName}`);
    for (const { name } of SUBJECTS) {
      const runs = results.get(`${name}, ${paceName}`);
      if (runs === undefined || base === undefined) continue;
      const row = medianOf(runs);
      console.log(
        line([
          `${name}, ${paceName}`,
          row.perSec.toFixed(0),
          shareOf(runs, base, 'perSec', 'perSec').toFixed(2),
          row.cpuMicros?.toFixed(0) ?? '',
          row.cpuMicros === undefined ? '' : shareOf(runs, base, 'cpuMicros', 'lndCpuMicros').toFixed(2),
          row.lndCpuMicros?.toFixed(0) ?? '',
          row.p50Ms.toFixed(2),
          row.p99Ms.toFixed(2),
          String(row.errors),
        ]),
      );
    }
  }
}

async function measureAll(network: RegtestNetwork, folder: string, upstream: string): Promise<void> {
  const { merchant } = network;
  const options = {
    url: merchant.url,
    grpcUrl: merchant.grpcUrl,
    macaroonFile: merchant.macaroonFile('invoice'),
    tlsCertFile: merchant.tlsCertFile,
    upstream,
  };
  const open: OpenGateway = (how) =>
    startBenchGateway(
      { ...options, ...how, folder: mkdtempSync(path.join(folder, 'gateway-')) },
      flags.profile,
    );
  console.log(
    `LND on regtest; ${CONNECTIONS} connections when flooded, ${rounds} rounds of ${seconds} s a row, medians; ` +
      `pool of ${POOL_SIZE}; load by ${hasWrk ? 'wrk' : 'autocannon'}`,
  );
  // Before LND has made so many invoices that its first payment is hard to find: gateways with a new ledger look for it.
  await payOnce(network);
  await measureSubjects(network, open);
  console.log(`\nTop-ups, ${flags.payments} one after another, each by a payment of the other node:`);
  const gateway = await open({ invoices: 'rest', poolSize: 0 });
  try {
    const seen = await measureSettlements(network, gateway, Number(flags.payments));
    for (const [name, { p50Ms, p99Ms }] of Object.entries(seen)) {
      console.log(`${name.padEnd(52)}p50 ${p50Ms.toFixed(1)} ms  p99 ${p99Ms.toFixed(1)} ms`);
    }
  } finally {
    await gateway.stop();
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
