/*
 * `npm run bench:soak`: a million requests through one gateway process on SQLite, and what memory it holds after each 50,000. Passes,
 * calls that are charged, 402 challenges, connections of one request, and clients that leave before their answer. Its clock runs sixty
 * times as fast, so that invoices expire and the keys of spends are purged within the run.
 *
 * The rule: a line is fitted to RSS over the last 70 % of the requests. It is flat when it rises by less than 5 % of its mean over
 * that part, and no request was answered in another way than it should. Exits with 1 when it is not.
 *
 * Flags: --requests N (default 1,000,000), --step N (default 50,000)
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import type { ServerMessage } from './server.ts';

const CLOCK_SPEED = '60';
/** What is left out of the fitted line: caches fill and V8 finds its sizes. */
const WARM_UP_SHARE = 0.3;
const FLAT_SHARE = 0.05;

type Usage = Extract<ServerMessage, { kind: 'usage' }>;
type Ready = Extract<ServerMessage, { kind: 'ready' }>;

/** A part of each step, over connections that are kept. */
interface Part {
  readonly name: string;
  readonly share: number;
  readonly path: string;
  /** Which credential it carries. */
  readonly credential?: string;
  readonly expectStatus: number;
  readonly connections: number;
}

const PARTS: readonly Part[] = [
  { name: 'pass', share: 0.6, path: '/pass', credential: 'pass', expectStatus: 200, connections: 32 },
  { name: 'per call', share: 0.26, path: '/call', credential: 'call', expectStatus: 200, connections: 24 },
  { name: '402', share: 0.04, path: '/quote', expectStatus: 402, connections: 4 },
];
/** Requests that each have a connection of their own, and how many are under way at once. */
const ALONE = { share: 0.09, path: '/call', credential: 'call', atOnce: 8 };
/** The rest of each step: requests whose client leaves at once. */
const GONE_SHARE = 0.01;

async function start(args: readonly string[], execArgv: readonly string[]): Promise<[ChildProcess, Ready]> {
  const child = fork(fileURLToPath(new URL('./server.ts', import.meta.url)), [...args], {
    execArgv: ['--disable-warning=ExperimentalWarning', ...execArgv],
  });
  const [ready] = (await once(child, 'message')) as [ServerMessage];
  if (ready.kind !== 'ready') throw new Error('the server did not start');
  return [child, ready];
}

async function usageOf(child: ChildProcess): Promise<Usage> {
  child.send('usage');
  const [message] = (await once(child, 'message')) as [ServerMessage];
  if (message.kind !== 'usage') throw new Error('the server did not say its usage');
  return message;
}

/** Sends a part's requests. @returns how many were not answered as they should */
async function run(part: Part, { url, credentials }: Ready, step: number): Promise<number> {
  const amount = Math.round(step * part.share);
  const authorization = part.credential === undefined ? undefined : credentials[part.credential];
  const result = await autocannon({
    url: url + part.path,
    headers: authorization === undefined ? {} : { Authorization: authorization },
    connections: part.connections,
    amount,
  });
  const answered = part.expectStatus === 200 ? result['2xx'] : result['4xx'];
  return amount - answered;
}

/** Requests on connections of their own. @returns how many were not answered as they should */
async function runAlone({ url, credentials }: Ready, count: number): Promise<number> {
  const headers = { Authorization: credentials[ALONE.credential] ?? '' };
  let left = count;
  let wrong = 0;
  const client = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
      http.get(url + ALONE.path, { agent: false, headers }, resolve).on('error', reject);
      const response = await promise;
      if (response.statusCode !== 200) wrong += 1;
      await once(response.resume(), 'end');
    }
  };
  await Promise.all(Array.from({ length: ALONE.atOnce }, client));
  return wrong;
}

/** Asks and leaves, one after another: at once, or when the request has had time to reach the upstream. */
async function leave({ url, credentials }: Ready, count: number): Promise<void> {
  const { port, hostname } = new URL(url);
  const head = `GET /call HTTP/1.1\r\nHost: x\r\nAuthorization: ${credentials[ALONE.credential]}\r\n\r\n`;
  for (let at = 0; at < count; at += 1) {
    const socket = net.connect(Number(port), hostname);
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.write(head, () => (at % 2 === 0 ? socket.destroy() : socket.resetAndDestroy()));
    await once(socket, 'close');
  }
}

interface Sample {
  readonly requests: number;
  readonly rssBytes: number;
}

/** Least squares. @returns by how much the fitted line rises over the samples, and their mean, bytes */
function fit(samples: readonly Sample[]): { riseBytes: number; meanBytes: number } {
  const mean = (of: (sample: Sample) => number): number =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const meanRequests = mean(({ requests }) => requests);
  const meanBytes = mean(({ rssBytes }) => rssBytes);
  const covariance = mean((one) => (one.requests - meanRequests) * (one.rssBytes - meanBytes));
  const variance = mean((one) => (one.requests - meanRequests) ** 2);
  const span = (samples.at(-1)?.requests ?? 0) - (samples[0]?.requests ?? 0);
  return { riseBytes: variance === 0 ? 0 : (covariance / variance) * span, meanBytes };
}

async function soak(requests: number, step: number, gateway: ChildProcess, ready: Ready): Promise<boolean> {
  console.log('  requests   RSS MB  live heap MB  CPU µs/request  not as expected');
  const samples: Sample[] = [];
  let wrong = 0;
  for (let sent = step; sent <= requests; sent += step) {
    const before = await usageOf(gateway);
    const failed = await Promise.all([
      ...PARTS.map((part) => run(part, ready, step)),
      runAlone(ready, Math.round(step * ALONE.share)),
      leave(ready, Math.round(step * GONE_SHARE)).then(() => 0),
    ]);
    wrong += failed.reduce((sum, count) => sum + count, 0);
    const { rssBytes, heapBytes, cpuMicros } = await usageOf(gateway);
    samples.push({ requests: sent, rssBytes });
    console.log(
      [
        String(sent).padStart(10),
        (rssBytes / 1e6).toFixed(0).padStart(9),
        (heapBytes / 1e6).toFixed(1).padStart(14),
        ((cpuMicros - before.cpuMicros) / step).toFixed(0).padStart(16),
        String(wrong).padStart(17),
      ].join(''),
    );
  }
  const { riseBytes, meanBytes } = fit(samples.slice(Math.floor(samples.length * WARM_UP_SHARE)));
  const flat = riseBytes < FLAT_SHARE * meanBytes;
  console.log(
    `over the last ${((1 - WARM_UP_SHARE) * 100).toFixed(0)} %: ${(meanBytes / 1e6).toFixed(0)} MB, rising by ${(riseBytes / 1e6).toFixed(1)} MB ` +
      `(${((100 * riseBytes) / meanBytes).toFixed(1)} %): ${flat ? 'flat' : 'NOT FLAT'}; ${wrong} requests not as expected`,
  );
  return flat && wrong === 0;
}

const { values: flags } = parseArgs({
  options: {
    requests: { type: 'string', default: '1000000' },
    step: { type: 'string', default: '50000' },
  },
});
const [upstream, { url: origin }] = await start(['upstream'], []);
const [gateway, ready] = await start(['gateway', origin, 'sqlite', CLOCK_SPEED], ['--expose-gc']);
try {
  const held = await soak(Number(flags.requests), Number(flags.step), gateway, ready);
  process.exitCode = held ? 0 : 1;
} finally {
  gateway.kill('SIGKILL');
  upstream.kill('SIGKILL');
}
