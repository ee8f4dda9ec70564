import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { Wallet } from '../../client/wallet.ts';
import { createLndWallet } from '../../client/wallets/lnd.ts';
import { freePorts } from '../support/redis-server.ts';
import { createGenerousWallet } from './generous-wallet.ts';
import type { StoreUnderFault } from './store-under-fault.ts';
import type { Timeline } from './timeline.ts';
import { type CountingUpstream, startCountingUpstream } from './upstream.ts';
import { createVictim, type Victim } from './victim.ts';

/** Everything that runs: the node, the store, the gateways, and the upstream, which is never hit. */
export interface World {
  readonly upstream: CountingUpstream;
  readonly node: Victim;
  /** `undefined` when it is no process of its own. */
  readonly store: Victim | undefined;
  readonly gateways: readonly Victim[];
  readonly gatewayUrls: readonly string[];
  /** The wallet that all clients pay from. */
  readonly wallet: Wallet;
  /** The same, for whoever pays more than is asked. @param extraMsat - so much more than this amount */
  generousWallet(extraMsat: (askedMsat: number) => number): Wallet;
  /** The configuration of one gateway, for commands beside it. */
  readonly configFile: string;
  stop(): Promise<void>;
}

/** What a world is made of. */
export interface WorldOptions {
  readonly folder: string;
  readonly gateways: number;
  readonly workers: number;
  readonly store: StoreUnderFault;
  readonly timeline: Timeline;
}

const ROOT = path.join(import.meta.dirname, '..', '..');
const NODE_ARGS = ['--disable-warning=ExperimentalWarning'];

/** What the services cost, msat: the equations are made with these. */
export const PRICES = {
  call: 10_000,
  bundle: 10_000,
  /** Per second. */
  live: 1_000,
  /** Per second, once for all streams of an account. */
  shared: 1_000,
  /** Per 1,000 bytes. */
  files: 10,
} as const;

const SERVICES = [
  { name: 'call', path: '/call/*', price: '10 sat' },
  { name: 'bundle', path: '/bundle/*', price: '50 sat for 5 calls' },
  { name: 'pass', path: '/pass/*', price: '20 sat for 1h' },
  {
    name: 'live',
    path: '/live/*',
    price: '1 sat/second',
    deposit: '4s',
    hold: '4s',
    warn: '2s',
    streams: { max: 4, charge: 'each' },
  },
  {
    name: 'shared',
    path: '/shared/*',
    price: '1 sat/second',
    deposit: '6s',
    hold: '4s',
    warn: '2s',
    streams: { max: 6, charge: 'once' },
  },
  { name: 'files', path: '/files/*', price: '10 msat/KB', deposit: '200KB' },
].map((service) => ({
  ...service,
  // An attempt whose gateway died is taken to be in flight for the sum of them.
  timeouts: { connect: '1s', headers: '4s', idle: '10s' },
}));

/** Starts it all. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const { folder, store, timeline } = options;
  const upstream = await startCountingUpstream(timeline.nowMs);
  const [nodePort = 0, ...ports] = await freePorts(1 + 2 * options.gateways);
  const node = await prepareNode(folder, nodePort, timeline);
  await Promise.all([node.start(), store.victim?.start()]);
  const nodeUrl = `http://127.0.0.1:${nodePort}`;
  const wallets = await walletsOf(path.join(folder, 'node', 'simnet.json'));
  const wallet = createLndWallet({ url: nodeUrl, macaroon: wallets.default, timeoutMs: 5_000 });
  const common = {
    drainTimeout: '2s',
    ...(options.workers === 1 ? {} : { workers: options.workers }),
    trustedProxies: '127.0.0.1',
    masterKeys: randomBytes(32).toString('hex'),
    upstream: upstream.origin,
    store: store.config,
    node: { type: 'simulated', url: nodeUrl, macaroon: wallets.gateway },
    challenge: { nodeTimeout: '3s' },
    log: { level: 'warn', format: 'json' },
    services: SERVICES,
  };
  const prepared = await Promise.all(
    Array.from({ length: options.gateways }, (_, number) =>
      prepareGateway(options, common, number, ports.slice(2 * number)),
    ),
  );
  // The first makes the tables; the others find them.
  for (const { victim } of prepared) await victim.start();
  return {
    upstream,
    node,
    store: store.victim,
    gateways: prepared.map(({ victim }) => victim),
    gatewayUrls: prepared.map(({ url }) => url),
    wallet,
    generousWallet: (extraMsat) =>
      createGenerousWallet({ url: nodeUrl, macaroon: wallets.default, wallet, extraMsat }),
    configFile: prepared[0]?.file ?? '',
    async stop() {
      await Promise.all(prepared.map(({ victim }) => victim.stop()));
      await Promise.all([node.stop(), store.victim?.stop(), upstream.close()]);
    },
  };
}

async function prepareNode(folder: string, port: number, timeline: Timeline): Promise<Victim> {
  const dataDir = path.join(folder, 'node');
  await mkdir(dataDir, { recursive: true });
  const main = path.join(ROOT, 'gateway', 'cli', 'sluice.ts');
  return createVictim({
    target: 'node',
    command: process.execPath,
    args: [...NODE_ARGS, main, 'simnet', '--data', dataDir, '--port', String(port)],
    folder,
    logFile: path.join(folder, 'node.log'),
    answers: () => head(`http://127.0.0.1:${port}/v1/getinfo`),
    timeline,
  });
}

async function prepareGateway(
  { folder, timeline, store }: WorldOptions,
  common: object,
  number: number,
  [port, adminPort]: readonly number[],
): Promise<{ readonly victim: Victim; readonly url: string; readonly file: string }> {
  const name = `gateway-${number}` as const;
  const data = path.join(folder, name);
  await mkdir(data, { recursive: true });
  const file = path.join(data, 'sluice.yaml');
  // JSON is YAML.
  const config = { listen: `127.0.0.1:${port}`, admin: `127.0.0.1:${adminPort}`, data, ...common };
  await writeFile(file, JSON.stringify(config), { mode: 0o600 });
  const url = `http://127.0.0.1:${port}`;
  const victim = createVictim({
    target: name,
    command: process.execPath,
    args: [...NODE_ARGS, path.join(ROOT, 'gateway', 'main.ts'), '-c', file],
    folder,
    logFile: path.join(folder, `${name}.log`),
    answers: () => head(`${url}/.l402/account`),
    timeline,
    ...(store.victim === undefined ? { dragsAlong: 'store' } : {}),
  });
  return { victim, url, file };
}

/** Any answer will do. */
async function head(url: string): Promise<void> {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  await response.body?.cancel();
}

const walletsSchema = z.object({ wallets: z.object({ gateway: z.string(), default: z.string() }) });

async function walletsOf(file: string): Promise<{ gateway: string; default: string }> {
  return walletsSchema.parse(JSON.parse(await readFile(file, 'utf8'))).wallets;
}
