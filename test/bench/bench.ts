/*
 * `npm run bench`: one table from one run. Absolute numbers belong to the machine; the ratios are what to quote.
 * Flags: --seconds N (each row, default 5), --rounds N (default 3: medians are printed), --rows WORD (only rows whose name holds it),
 * --profile (the pass and the challenge row, and that of Redis, leave .cpuprofile files in the current folder).
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findRedisServer, HOW_TO_GET_REDIS } from '../support/redis-program.ts';
import { startRedis } from '../support/redis-server.ts';
import { hasNginx, hasWrk, type Load, type LoadResult, load } from './load.ts';
import { processTreeUsage } from './process-usage.ts';
import type { ServerMessage } from './server.ts';
import { startGatewayProcess, startGatewaysOnRedis } from './workers.ts';

const CONNECTIONS = 64;
const NGINX_PORT = 18_402;

interface Server {
  readonly url: string;
  /** Several gateways that are one shop: each is sent a part of the load. */
  readonly urls?: readonly string[];
  readonly credentials: Readonly<Record<string, string>>;
  usage(): Promise<{ cpuMicros: number; rssBytes: number }>;
  stop(): void;
}

interface Row {
  readonly name: string;
  readonly server: Server;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly expectStatus: number;
}

interface Measured {
  readonly perSec: number;
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly rssMb: number;
  readonly errors: number;
}

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    rows: { type: 'string', default: '' },
    profile: { type: 'boolean', default: false },
  },
});
const seconds = Number(flags.seconds);
const rounds = Number(flags.rounds);

async function start(args: readonly string[], profile = false): Promise<Server> {
  const child = fork(fileURLToPath(new URL('./server.ts', import.meta.url)), [...args], {
    execArgv: ['--disable-warning=ExperimentalWarning', ...(profile ? ['--cpu-prof'] : [])],
  });
  const [ready] = (await once(child, 'message')) as [ServerMessage];
  if (ready.kind !== 'ready') throw new Error('the server did not start');
  return {
    ...ready,
    usage: () => askUsage(child),
    // A profile is written on a clean exit only.
    stop: () => void child.kill(profile ? 'SIGINT' : 'SIGKILL'),
  };
}

async function askUsage(child: ChildProcess): Promise<{ cpuMicros: number; rssBytes: number }> {
  child.send('usage');
  const [message] = (await once(child, 'message')) as [ServerMessage];
  if (message.kind !== 'usage') throw new Error('the server did not say its usage');
  return message;
}

/** nginx as the yardstick: one worker, keep-alive to the upstream, no log. Its CPU is read from /proc. */
async function startNginx(upstreamUrl: string): Promise<Server> {
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-nginx-'));
  const file = path.join(dir, 'nginx.conf');
  const upstream = upstreamUrl.slice('http://'.length);
  writeFileSync(
    file,
    `worker_processes 1; daemon off; pid ${dir}/pid; error_log stderr crit; events { worker_connections 1024; }
     http { access_log off; keepalive_requests 1000000; client_body_temp_path ${dir}; proxy_temp_path ${dir};
       upstream up { server ${upstream}; keepalive 128; keepalive_requests 1000000; }
       server { listen 127.0.0.1:${NGINX_PORT};
         location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; } } }`,
  );
  const child = spawn('nginx', ['-c', file, '-p', dir], { stdio: 'ignore' });
  await sleep(500);
  return {
    url: `http://127.0.0.1:${NGINX_PORT}`,
    credentials: {},
    usage: async () => processTreeUsage(child.pid ?? 0),
    stop: () => void child.kill('SIGTERM'),
  };
}

async function measure(row: Row): Promise<Measured> {
  const urls = row.server.urls ?? [row.server.url];
  const targets = urls.map(
    (url): Load => ({
      url: url + row.path,
      headers: row.headers,
      connections: CONNECTIONS / urls.length,
      seconds,
      expectStatus: row.expectStatus,
    }),
  );
  const before = await row.server.usage();
  const result = inAll(await Promise.all(targets.map(load)));
  const after = await row.server.usage();
  return {
    perSec: result.requestsPerSec,
    cpuMicros: (after.cpuMicros - before.cpuMicros) / Math.max(1, result.requests),
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    rssMb: after.rssBytes / 1e6,
    errors: result.errors,
  };
}

/** Several loads at the same time as one. */
function inAll(results: readonly LoadResult[]): LoadResult {
  const sum = (pick: (result: LoadResult) => number): number =>
    results.reduce((total, result) => total + pick(result), 0);
  return {
    requests: sum(({ requests }) => requests),
    requestsPerSec: sum(({ requestsPerSec }) => requestsPerSec),
    p50Ms: median(results.map(({ p50Ms }) => p50Ms)),
    p99Ms: Math.max(...results.map(({ p99Ms }) => p99Ms)),
    errors: sum(({ errors }) => errors),
  };
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function medianOf(runs: readonly Measured[]): Measured {
  const of = (pick: (run: Measured) => number): number => median(runs.map(pick));
  return {
    perSec: of((run) => run.perSec),
    cpuMicros: of((run) => run.cpuMicros),
    p50Ms: of((run) => run.p50Ms),
    p99Ms: of((run) => run.p99Ms),
    rssMb: of((run) => run.rssMb),
    errors: runs.reduce((sum, run) => sum + run.errors, 0),
  };
}

async function openRows(servers: Server[]): Promise<Row[]> {
  const open = async (args: readonly string[], profile = false): Promise<Server> => {
    const server = await start(args, profile);
    servers.push(server);
    return server;
  };
  const upstream = await open(['upstream']);
  const proxy = await open(['proxy', upstream.url]);
  const memory = await open(['gateway', upstream.url, 'memory'], flags.profile);
  const sqlite = await open(['gateway', upstream.url, 'sqlite']);
  const paid = (server: Server, name: string) => ({ Authorization: server.credentials[name] ?? '' });
  const ok = { headers: {}, expectStatus: 200 };
  const rows: Row[] = [{ name: 'bare upstream', server: upstream, path: '/', ...ok }];
  if (hasNginx) {
    const nginx = await startNginx(upstream.url);
    servers.push(nginx);
    rows.push({ name: 'nginx proxy_pass', server: nginx, path: '/', ...ok });
  }
  rows.push(
    // With the header that the paid rows carry: the same request, and no gate.
    {
      name: 'proxy with no gate',
      server: proxy,
      path: '/',
      headers: paid(memory, 'pass'),
      expectStatus: 200,
    },
    { name: 'Sluice, free route', server: memory, path: '/free', ...ok },
    { name: 'Sluice, pass', server: memory, path: '/pass', headers: paid(memory, 'pass'), expectStatus: 200 },
    {
      name: 'Sluice, per call, memory',
      server: memory,
      path: '/call',
      headers: paid(memory, 'call'),
      expectStatus: 200,
    },
    {
      name: 'Sluice, per call, SQLite',
      server: sqlite,
      path: '/call',
      headers: paid(sqlite, 'call'),
      expectStatus: 200,
    },
    ...(await openRedisRows(open, upstream.url)),
    { name: 'Sluice, 402 challenge', server: memory, path: '/quote', headers: {}, expectStatus: 402 },
    ...(await openWorkerRows(servers, upstream.url)),
    ...(await openGatewayRows(servers, upstream.url)),
  );
  return rows;
}

/** The CPU is the gateway's own: that of redis-server comes on top. */
async function openRedisRows(
  open: (args: readonly string[], profile?: boolean) => Promise<Server>,
  upstream: string,
): Promise<readonly Row[]> {
  if (findRedisServer() === undefined) {
    console.log(`The row of Redis is left out: ${HOW_TO_GET_REDIS}`);
    return [];
  }
  const server = await open(['gateway', upstream, 'redis'], flags.profile);
  const headers = { Authorization: server.credentials['call'] ?? '' };
  return [{ name: 'Sluice, per call, Redis', server, path: '/call', headers, expectStatus: 200 }];
}

/** One process and two workers, as they are run: on a machine whose cores the load needs too, compare the CPU. */
async function openWorkerRows(servers: Server[], upstream: string): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const [workers, label] of [
    [1, 'one process'],
    [2, 'two workers'],
  ] as const) {
    const server = await startGatewayProcess({ workers }, upstream);
    servers.push(server);
    for (const [path, what] of [
      ['pass', 'pass'],
      ['call', 'per call'],
    ] as const) {
      const headers = { Authorization: server.credentials[path] ?? '' };
      rows.push({ name: `${label}, ${what}`, server, path: `/${path}`, headers, expectStatus: 200 });
    }
  }
  return rows;
}

/** One gateway and four on one Redis, as they are run; that of redis-server comes on top of their CPU. */
async function openGatewayRows(servers: Server[], upstream: string): Promise<readonly Row[]> {
  if (findRedisServer() === undefined) return [];
  const rows: Row[] = [];
  for (const [count, label] of [
    [1, 'one gateway'],
    [4, 'four gateways'],
  ] as const) {
    const redis = await startRedis();
    const gateways = await startGatewaysOnRedis(count, `redis://127.0.0.1:${redis.port}`, upstream);
    const server: Server = {
      ...gateways,
      url: gateways.urls[0] ?? '',
      stop: () => {
        gateways.stop();
        void redis.stop();
      },
    };
    servers.push(server);
    const headers = { Authorization: server.credentials['call'] ?? '' };
    rows.push({ name: `${label} on one Redis, call`, server, path: '/call', headers, expectStatus: 200 });
  }
  return rows;
}

function print(results: ReadonlyMap<string, Measured>): void {
  const base = results.get('proxy with no gate');
  const line = (cells: readonly string[]): string =>
    cells.map((cell, at) => (at === 0 ? cell.padEnd(28) : cell.padStart(10))).join('');
  console.log(line(['', 'req/s', 'x no gate', 'CPU µs', 'p50 ms', 'p99 ms', 'RSS MB', 'errors']));
  for (const [name, row] of results) {
    console.log(
      line([
        name,
        row.perSec.toFixed(0),
        base === undefined ? '' : (row.perSec / base.perSec).toFixed(2),
        row.cpuMicros.toFixed(0),
        row.p50Ms.toFixed(2),
        row.p99Ms.toFixed(2),
        row.rssMb.toFixed(0),
        String(row.errors),
      ]),
    );
  }
}

const servers: Server[] = [];
try {
  const rows = (await openRows(servers)).filter(({ name }) => name.includes(flags.rows));
  console.log(
    `${CONNECTIONS} connections, 90-byte JSON, ${rounds} rounds of ${seconds} s a row, medians; load by ${hasWrk ? 'wrk' : 'autocannon'}`,
  );
  for (const row of rows) await measure({ ...row }).catch(() => undefined);
  const runs = new Map<string, Measured[]>(rows.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const row of rows) runs.get(row.name)?.push(await measure(row));
  }
  print(new Map([...runs].map(([name, measured]) => [name, medianOf(measured)])));
} finally {
  for (const server of servers) server.stop();
}
