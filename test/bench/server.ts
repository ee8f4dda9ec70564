/*
 * One server of the benchmark, in a process of its own, so that its CPU time is its own. Forked by bench.ts or soak.ts with a mode;
 * says where it listens, and answers `usage` with what the operating system accounts to it.
 */

import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { keepObjectsYoung } from '../../gateway/keep-objects-young.ts';
import { connectRedis } from '../../gateway/ledger/redis/connect.ts';
import { openRedisStore } from '../../gateway/ledger/redis.ts';
import { openSqliteStore } from '../../gateway/ledger/sqlite.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { forward } from '../../gateway/proxy/forward.ts';
import { headersToSet, requestHeaders } from '../../gateway/proxy/headers.ts';
import { createUpstreams } from '../../gateway/proxy/upstream.ts';
import { createHttpServer } from '../../gateway/server.ts';
import { msat } from '../../node/msat.ts';
import { createSimnet, DEFAULT_WALLET } from '../../node/simnet/simnet.ts';
import { testConfig, testService } from '../support/config.ts';
import { buy, startTestGateway } from '../support/gateway.ts';
import { startRedis, storeOn } from '../support/redis-server.ts';

/** What a server tells its parent. */
export type ServerMessage =
  | { readonly kind: 'ready'; readonly url: string; readonly credentials: Readonly<Record<string, string>> }
  | {
      readonly kind: 'usage';
      readonly cpuMicros: number;
      readonly rssBytes: number;
      /** Of live objects when the process was started with --expose-gc, else of all. */
      readonly heapBytes: number;
    };

const BODY = JSON.stringify({
  quote: 'The best way to predict the future is to invent it.',
  author: 'Alan Kay',
});

function say(message: ServerMessage): void {
  process.send?.(message);
}

async function upstream(): Promise<void> {
  const server = createServer((_request, response) => {
    response.writeHead(200, [
      'Content-Type',
      'application/json',
      'Content-Length',
      String(Buffer.byteLength(BODY)),
    ]);
    response.end(BODY);
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    say({ kind: 'ready', url: `http://127.0.0.1:${port}`, credentials: {} });
  });
}

/** The same server and the same forward step with nothing between them: what the gate is measured against. */
async function plainProxy(origin: string): Promise<void> {
  keepObjectsYoung();
  const upstreams = createUpstreams();
  const { limits } = testConfig([]);
  const server = await createHttpServer({ host: '127.0.0.1', port: 0 }, limits, {
    onRequest(req, res) {
      const headers = requestHeaders(req.rawHeaders, {
        isCredential: () => false,
        host: origin.slice('http://'.length),
        peer: { address: '127.0.0.1', trusted: false, proto: 'http', authority: req.headers.host ?? '' },
        set: headersToSet({}),
        add: [],
      });
      void forward(upstreams, {
        req,
        res,
        origin,
        path: req.url ?? '/',
        method: req.method ?? 'GET',
        headers,
        timeouts: { connectMs: 5_000, headersMs: 30_000, idleMs: 30_000 },
        maxBodyBytes: 1_000_000,
        onHead: () => [],
      });
    },
    onUpgrade: (_req, socket) => void socket.destroy(),
  });
  say({ kind: 'ready', url: (await server.listen()).url, credentials: {} });
}

/** @param clockSpeed - seconds of its clock in one second: a soak wants to see invoices and keys come to their end */
async function gateway(origin: string, storeType: string, clockSpeed: number): Promise<void> {
  keepObjectsYoung();
  const startedMs = Date.now();
  const clock = { ms: startedMs };
  setInterval(() => {
    clock.ms = startedMs + (Date.now() - startedMs) * clockSpeed;
  }, 5).unref();
  const nowMs = () => clock.ms;
  const simnet = createSimnet({ nowMs, maxOpenInvoices: 1_000_000 });
  simnet.wallet(DEFAULT_WALLET, { balanceMsat: msat(10_000_000_000), inboundMsat: msat(10_000_000_000) });
  const services = [
    testService({ name: 'free', path: '/free', price: 'free', upstream: origin }),
    testService({ name: 'pass', path: '/pass', price: '10 sat for 30d', upstream: origin }),
    testService({ name: 'call', path: '/call', price: '200000 sat for 2000000 calls', upstream: origin }),
    testService({ name: 'quote', path: '/quote', price: '10 sat', upstream: origin }),
  ];
  const store = await openStore(storeType, nowMs);
  const { challenge } = testConfig([]);
  const unlimited = { burst: 1e9, perMinute: 1e9, maxOutstanding: 1e9, maxOutstandingPerClient: 1e9 };
  const running = await startTestGateway(services, {
    ...(store !== undefined && { store }),
    simnet,
    clock,
    config: { challenge: { ...challenge, ...unlimited } },
  });
  const credentials = { pass: await buy(running, '/pass'), call: await buy(running, '/call') };
  say({ kind: 'ready', url: running.url, credentials });
}

/** `undefined`: in memory. A Redis ends with this process. */
async function openStore(storeType: string, nowMs: () => number): Promise<Store | undefined> {
  if (storeType === 'redis') {
    return openRedisStore({ client: await connectRedis(storeOn(await startRedis())), name: 'bench' });
  }
  if (storeType !== 'sqlite') return undefined;
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'sluice-bench-')), 'ledger.db');
  return openSqliteStore({ file, nowMs, spendDurability: 'normal' });
}

process.on('message', () => {
  const { user, system } = process.cpuUsage();
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  say({ kind: 'usage', cpuMicros: user + system, rssBytes: rss, heapBytes: heapUsed });
});

// A profile is written when the process exits by itself.
process.once('SIGINT', () => process.exit(0));

const [mode = 'upstream', origin = '', storeType = 'memory', clockSpeed = '1'] = process.argv.slice(2);
if (mode === 'upstream') await upstream();
else if (mode === 'proxy') await plainProxy(origin);
else await gateway(origin, storeType, Number(clockSpeed));
