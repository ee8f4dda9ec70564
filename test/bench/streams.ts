/*
 * `npm run bench:streams`: thousands of per-second SSE streams through one gateway process, each with an account of its own, ended
 * abruptly at random moments. Prints what it costs and how what was billed compares with what a client saw.
 * Flags: --streams 1000,9000  --seconds 20 (a stream takes two files of the gateway's; 9,000 fit into a limit of 20,000)
 *
 * Three processes: an upstream, the gateway (SQLite), and this one, which is the clients.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { keepObjectsYoung } from '../../gateway/keep-objects-young.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { createSimnet, DEFAULT_WALLET, GATEWAY_WALLET } from '../../node/simnet/simnet.ts';
import { testConfig, testService } from '../support/config.ts';
import { buy, startTestGateway } from '../support/gateway.ts';

const MSAT_A_SECOND = 100;

type Message =
  | { readonly kind: 'ready'; readonly url: string }
  | { readonly kind: 'bought'; readonly credentials: readonly string[] }
  | {
      readonly kind: 'usage';
      readonly cpuMicros: number;
      readonly rssBytes: number;
      readonly heapBytes: number;
      readonly commits: number;
    }
  | { readonly kind: 'spent'; readonly spentMsat: readonly number[] };

type Ask =
  | { readonly kind: 'buy'; readonly count: number }
  | { readonly kind: 'usage' }
  | { readonly kind: 'spent'; readonly credentials: readonly string[] };

function say(message: Message): void {
  process.send?.(message);
}

/** One event a second on every stream, from one timer. */
function runUpstream(): void {
  const streams = new Set<http.ServerResponse>();
  const server = http.createServer((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write('data: 0\n\n');
    streams.add(response);
    response.on('close', () => streams.delete(response));
  });
  let count = 0;
  setInterval(() => {
    count += 1;
    for (const response of streams) response.write(`data: ${count}\n\n`);
  }, 1000);
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
    const address = server.address();
    say({
      kind: 'ready',
      url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    });
  });
}

async function runGateway(upstream: string): Promise<void> {
  keepObjectsYoung();
  const nowMs = Date.now;
  const clock = {
    get ms() {
      return nowMs();
    },
  };
  const simnet = createSimnet({ nowMs, maxOpenInvoices: 1_000_000 });
  simnet.wallet(DEFAULT_WALLET, { balanceMsat: msat(1e13), inboundMsat: msat(1e13) });
  simnet.wallet(GATEWAY_WALLET, { balanceMsat: msat(0), inboundMsat: msat(1e13) });
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'sluice-streams-')), 'ledger.db');
  const counted = countCommits(await openSqliteStore({ file, nowMs, spendDurability: 'normal' }));
  const service = testService({
    name: 'live',
    path: '/live',
    price: `${MSAT_A_SECOND} msat/second`,
    upstream,
    metering: { depositMsat: msat(MSAT_A_SECOND * 200) },
  });
  const { challenge, limits } = testConfig([]);
  const running = await startTestGateway([service], {
    store: counted.store,
    simnet,
    clock,
    config: {
      challenge: {
        ...challenge,
        burst: 1e9,
        perMinute: 1e9,
        maxOutstanding: 1e9,
        maxOutstandingPerClient: 1e9,
      },
      limits: { ...limits, maxConnections: 100_000, clientIdleTimeoutMs: 120_000, headersTimeoutMs: 30_000 },
    },
  });
  process.on('message', (ask: Ask) => void answer(ask));
  say({ kind: 'ready', url: running.url });

  async function answer(ask: Ask): Promise<void> {
    if (ask.kind === 'buy') {
      const credentials: string[] = [];
      while (credentials.length < ask.count) {
        const more = Math.min(32, ask.count - credentials.length);
        credentials.push(...(await Promise.all(Array.from({ length: more }, () => buy(running, '/live')))));
      }
      say({ kind: 'bought', credentials });
    } else if (ask.kind === 'usage') {
      const { user, system } = process.cpuUsage();
      // What the purchases before left behind is no stream's memory.
      globalThis.gc?.();
      const { rss, heapUsed } = process.memoryUsage();
      say({
        kind: 'usage',
        cpuMicros: user + system,
        rssBytes: rss,
        heapBytes: heapUsed,
        commits: counted.calls(),
      });
    } else {
      const accounts = await Promise.all(
        ask.credentials.map((credential) => counted.store.account(accountOf(credential))),
      );
      say({ kind: 'spent', spentMsat: accounts.map((account) => account?.spentMsat ?? 0) });
    }
  }
}

function countCommits(store: Store): { readonly store: Store; calls(): number } {
  let calls = 0;
  return {
    store: {
      ...store,
      commit(commits) {
        calls += 1;
        return store.commit(commits);
      },
    },
    calls: () => calls,
  };
}

/** The account in a credential's macaroon: it stands there in clear. */
function accountOf(credential: string): string {
  const macaroon = Buffer.from(credential.slice('L402 '.length).split(':')[0] ?? '', 'base64').toString(
    'latin1',
  );
  return /_account=([0-9a-f]{64})/.exec(macaroon)?.[1] ?? '';
}

async function ask<K extends Message['kind']>(
  child: ChildProcess,
  question: Ask,
): Promise<Extract<Message, { kind: K }>> {
  child.send(question);
  const [message] = await once(child, 'message');
  return message;
}

/** One client: reads its stream and leaves without a word. @returns seconds from the first byte to the end */
function watch(url: string, credential: string, agent: http.Agent, forMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent, headers: { Authorization: credential } }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`a stream was answered ${response.statusCode}`));
      let firstAtMs = 0;
      response.on('data', () => {
        if (firstAtMs !== 0) return;
        firstAtMs = performance.now();
        setTimeout(() => {
          const seconds = (performance.now() - firstAtMs) / 1000;
          response.destroy();
          resolve(seconds);
        }, forMs);
      });
      response.on('error', () => {});
    });
    request.on('error', reject);
  });
}

async function measure(gateway: ChildProcess, url: string, streams: number, seconds: number): Promise<void> {
  const { credentials } = await ask<'bought'>(gateway, { kind: 'buy', count: streams });
  const idle = await ask<'usage'>(gateway, { kind: 'usage' });
  const agent = new http.Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY });
  const watched: Promise<number>[] = [];
  for (const [at, credential] of credentials.entries()) {
    // Half of them leave at a random moment, the others stay to the end.
    const share = at % 2 === 0 ? 1 : 0.5 + Math.random() / 2;
    watched.push(watch(`${url}/live`, credential, agent, seconds * 1000 * share));
    // A thousand a second: a crowd, not one instant.
    if (at % 20 === 19) await sleep(20);
  }
  await sleep(2_000);
  const from = await ask<'usage'>(gateway, { kind: 'usage' });
  const measuredMs = (seconds * 1000) / 4;
  await sleep(measuredMs);
  const to = await ask<'usage'>(gateway, { kind: 'usage' });
  const delivered = await Promise.all(watched);
  await sleep(1_500);
  const { spentMsat } = await ask<'spent'>(gateway, { kind: 'spent', credentials });
  const errors = delivered
    .map((sec, at) => ((spentMsat[at] ?? 0) / MSAT_A_SECOND - sec) / sec)
    .map(Math.abs)
    .sort((a, b) => a - b);
  const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
  const total = delivered.reduce((sum, sec) => sum + sec, 0);
  const billed = spentMsat.reduce((sum, amount) => sum + amount, 0) / MSAT_A_SECOND;
  console.log(
    [
      String(streams).padStart(8),
      percent((to.cpuMicros - from.cpuMicros) / (measuredMs * 1000)).padStart(10),
      `${((to.cpuMicros - from.cpuMicros) / streams / (measuredMs / 1000)).toFixed(0)} µs`.padStart(14),
      `${((to.rssBytes - idle.rssBytes) / streams / 1000).toFixed(1)} KB`.padStart(12),
      ((to.commits - from.commits) / (measuredMs / 1000)).toFixed(1).padStart(14),
      percent(Math.abs(billed - total) / total).padStart(16),
      percent(errors[Math.floor(errors.length / 2)] ?? 0).padStart(10),
      percent(errors.at(-1) ?? 0).padStart(10),
    ].join(''),
  );
}

async function runBench(): Promise<void> {
  const { values } = parseArgs({
    options: {
      streams: { type: 'string', default: '1000,9000' },
      seconds: { type: 'string', default: '20' },
    },
  });
  const self = fileURLToPath(import.meta.url);
  const execArgv = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=1', '--expose-gc'];
  const upstream = fork(self, ['--', 'upstream'], { execArgv });
  const [{ url: origin }] = await once(upstream, 'message');
  const gateway = fork(self, ['--', 'gateway', origin], { execArgv });
  const [{ url }] = await once(gateway, 'message');
  console.log(
    '\n streams       CPU  CPU/stream/s  RSS/stream  store calls/s  billed-delivered  median     worst',
  );
  try {
    for (const streams of values.streams.split(','))
      await measure(gateway, url, Number(streams), Number(values.seconds));
  } finally {
    gateway.kill('SIGKILL');
    upstream.kill('SIGKILL');
  }
}

const [marker, mode, origin = ''] = process.argv.slice(2);
if (marker === '--' && mode === 'upstream') runUpstream();
else if (marker === '--' && mode === 'gateway') await runGateway(origin);
else await runBench();
