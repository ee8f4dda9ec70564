import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import autocannon from 'autocannon';

/** What one run of the load generator saw. */
export interface LoadResult {
  readonly requests: number;
  readonly requestsPerSec: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers with another status than was expected, and connections that broke. */
  readonly errors: number;
}

/** One target. */
export interface Load {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly seconds: number;
  /** 402 for challenges: wrk counts them as errors. */
  readonly expectStatus: number;
  /** JSON to post; absent: GET. */
  readonly post?: string;
}

const run = promisify(execFile);

/** True when wrk is installed: it takes a third of the CPU that a generator in JavaScript takes. */
export const hasWrk: boolean = works('wrk');

/** True when nginx is installed. */
export const hasNginx: boolean = works('nginx');

function works(program: string): boolean {
  try {
    execFileSync(program, ['-v'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    // `wrk -v` prints its version and exits with 1.
    return error instanceof Error && 'status' in error && error.status === 1;
  }
}

/** Sends requests as fast as they are answered, for so many seconds. */
export async function load(target: Load): Promise<LoadResult> {
  return hasWrk ? loadWithWrk(target) : loadWithAutocannon(target);
}

async function loadWithWrk(target: Load): Promise<LoadResult> {
  const { url, headers, connections, seconds, expectStatus, post } = target;
  const dir = mkdtempSync(path.join(tmpdir(), 'sluice-wrk-'));
  // Not as arguments: a header may be a macaroon, and every user of the machine can read them.
  const script = path.join(dir, 'request.lua');
  writeFileSync(script, luaRequest(headers, post), { mode: 0o600 });
  const { stdout } = await run('wrk', [
    '-t1',
    `-c${connections}`,
    `-d${seconds}s`,
    '--latency',
    ...['-s', script],
    url,
  ]).finally(() => rmSync(dir, { recursive: true }));
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0);
  const refused = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0);
  const broken = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout);
  const sockets = (broken?.slice(1) ?? []).reduce((sum, count) => sum + Number(count), 0);
  return {
    requests,
    requestsPerSec: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1] ?? 0),
    p50Ms: milliseconds(/50%\s+([\d.]+[a-z]+)/.exec(stdout)?.[1]),
    p99Ms: milliseconds(/99%\s+([\d.]+[a-z]+)/.exec(stdout)?.[1]),
    errors: (expectStatus < 400 ? refused : requests - refused) + sockets,
  };
}

function luaRequest(headers: Load['headers'], post: string | undefined): string {
  const body = post === undefined ? [] : ['wrk.method = "POST"', `wrk.body = [==[${post}]==]`];
  const lines = Object.entries(headers).map(([name, value]) => `wrk.headers["${name}"] = [==[${value}]==]`);
  return [...body, ...lines].join('\n');
}

/** wrk writes `123.00us`, `1.20ms` and `1.05s`. */
function milliseconds(text: string | undefined): number {
  const [, number = '0', unit = 'ms'] = /^([\d.]+)(us|ms|s|m)$/.exec(text ?? '') ?? [];
  const factor = { us: 0.001, ms: 1, s: 1000, m: 60_000 }[unit] ?? 1;
  return Number(number) * factor;
}

async function loadWithAutocannon({
  url,
  headers,
  connections,
  seconds,
  expectStatus,
  post,
}: Load): Promise<LoadResult> {
  const body = post === undefined ? {} : ({ method: 'POST', body: post } as const);
  const options = { url, headers: { ...headers }, connections, duration: seconds, ...body };
  // It checks no certificate, as wrk does not either.
  const result = await autocannon(options);
  const refused = result['4xx'] + result['5xx'];
  const requests = result.requests.total;
  return {
    requests,
    requestsPerSec: result.requests.average,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    errors: (expectStatus < 400 ? refused : requests - refused) + result.errors,
  };
}
