import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LndNodeConfig, NodeConfig, SimulatedNodeConfig } from '../config/config.ts';
import type { CircuitChange } from './circuit-breaker.ts';
import type { ConnectOptions } from './connect.ts';
import { macaroonWarnings } from './lnd/macaroon-rights.ts';
import { createLndNode } from './lnd.ts';
import { type LightningNode, NodeError, type NodeErrorCode } from './node.ts';
import { type LndRestServer, serveLndRest } from './simnet/lnd-rest.ts';
import { createSimnet, DEFAULT_WALLET, GATEWAY_WALLET } from './simnet/simnet.ts';
import type { Simnet } from './simnet/types.ts';
import { createSimulatedNode } from './simulated.ts';
import { parseSocksProxy } from './socks.ts';

/** What opening a node needs from the process. */
export interface NodeDeps {
  /** Absolute path; made when it is missing. */
  readonly dataDir: string;
  readonly nowMs: () => number;
  /** Serve the simulated network over LND's REST surface. Default true. */
  readonly listenSurface?: boolean;
  /** Where it is served, when somebody decided that others than this machine may reach it. Default: 127.0.0.1. */
  readonly surfaceHost?: string;
  /** Bound on one request to a node elsewhere, ms. */
  readonly timeoutMs?: number;
  /** Requests under way to a node elsewhere. */
  readonly concurrency?: number;
  /** Told when a node elsewhere is left alone because it does not answer, and when it answers again. It does not throw. */
  readonly onCircuit?: (change: CircuitChange) => void;
}

/** A node that is ready for use. */
export interface OpenedNode {
  readonly node: LightningNode;
  /** Only when the simulated network runs in this process. */
  readonly simnet?: Simnet;
  /** Where it is served. */
  readonly surfaceUrl?: string;
  /** What the operator should know, for the log. */
  readonly warnings?: readonly string[];
  close(): Promise<void>;
}

/** Address and macaroons of the network served by this data folder, for wallets in other processes. */
export const SIMNET_ADDRESS_FILE = 'simnet.json';
const SIMNET_FILE = 'simnet.sqlite';

/**
 * Opens the configured node: the only place that knows which adapters there are.
 * @throws NodeError
 */
export async function openNode(config: NodeConfig, deps: NodeDeps): Promise<OpenedNode> {
  switch (config.type) {
    case 'simulated':
      return config.url === undefined
        ? await openSimnet(config, deps)
        : openClient({
            url: config.url,
            macaroon: config.macaroon ?? '',
            network: 'regtest',
            playMoney: true,
            deps,
          });
    case 'lnd':
      return openLnd(config, deps);
  }
}

async function openSimnet(config: SimulatedNodeConfig, deps: NodeDeps): Promise<OpenedNode> {
  mkdirSync(deps.dataDir, { recursive: true, mode: 0o700 });
  const simnet = createSimnet({
    nowMs: deps.nowMs,
    file: join(deps.dataDir, SIMNET_FILE),
    latencyMs: config.latencyMs,
    failureRate: config.failureRate,
  });
  const node = createSimulatedNode(simnet, GATEWAY_WALLET);
  if (deps.listenSurface === false) return { node, simnet, close: async () => simnet.close() };
  try {
    const surface = await serveSurface(simnet, config, deps);
    const addressFile = join(deps.dataDir, SIMNET_ADDRESS_FILE);
    writeAddress(addressFile, simnet, surface.url);
    return {
      node,
      simnet,
      surfaceUrl: surface.url,
      async close() {
        // Before the file's lock is given back: the next process writes its own address.
        rmSync(addressFile, { force: true });
        await surface.close();
        simnet.close();
      },
    };
  } catch (error) {
    simnet.close();
    throw error;
  }
}

/** At the configured port; when nobody chose that port and it is taken, at any. */
async function serveSurface(
  simnet: Simnet,
  config: SimulatedNodeConfig,
  { nowMs, surfaceHost }: Pick<NodeDeps, 'nowMs' | 'surfaceHost'>,
): Promise<LndRestServer> {
  const where =
    surfaceHost === undefined
      ? { host: '127.0.0.1', nowMs }
      : ({ host: surfaceHost, allowElsewhere: true, nowMs } as const);
  try {
    return await serveLndRest(simnet, { ...where, port: config.port });
  } catch (error) {
    if (config.portChosen || config.port === 0) throw error;
    return await serveLndRest(simnet, { ...where, port: 0 });
  }
}

/** Readable by this user only: the macaroons in it are the wallets. */
function writeAddress(file: string, simnet: Simnet, url: string): void {
  const wallets = Object.fromEntries(
    [GATEWAY_WALLET, DEFAULT_WALLET].map((name) => [name, simnet.wallet(name).macaroon]),
  );
  const draft = `${file}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, `${JSON.stringify({ url, wallets }, null, 2)}\n`, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, file);
}

function openLnd(config: LndNodeConfig, deps: NodeDeps): OpenedNode {
  const macaroon = config.macaroon ?? readMacaroon(config.macaroonFile);
  const opened = openClient({
    url: config.url,
    ...(config.grpcUrl === undefined ? {} : { grpcUrl: config.grpcUrl }),
    macaroon,
    ...waysToLnd(config),
    ...(config.network === undefined ? {} : { network: config.network }),
    privateHints: config.privateHints ?? false,
    playMoney: false,
    deps,
  });
  return { ...opened, warnings: macaroonWarnings(macaroon) };
}

/**
 * How to connect to the configured LND: certificates of both sides, read from their files, and the proxy.
 * @throws NodeError `unreachable` when a file can't be read
 */
export function waysToLnd(config: LndNodeConfig): Omit<ConnectOptions, 'timeoutMs'> {
  const { tlsCertFile, tlsCertPem, clientCertFile, clientKeyFile, socksProxy } = config;
  return {
    ...(tlsCertPem === undefined ? {} : { tlsCertPem }),
    ...(tlsCertFile === undefined
      ? {}
      : {
          tlsCertPem: readText(tlsCertFile, 'node.tlsCertFile'),
          // LND makes a new certificate when the old one ends, or its names change.
          rereadTlsCert: () => readText(tlsCertFile, 'node.tlsCertFile'),
        }),
    ...(clientCertFile === undefined || clientKeyFile === undefined
      ? {}
      : {
          readClientCertificate: () => ({
            certPem: readText(clientCertFile, 'node.clientCertFile'),
            keyPem: readText(clientKeyFile, 'node.clientKeyFile'),
          }),
        }),
    ...(socksProxy === undefined ? {} : { socksProxy: parseSocksProxy(socksProxy) }),
  };
}

type ClientOptions = Omit<Parameters<typeof createLndNode>[0], 'nowMs'> & { readonly deps: NodeDeps };

function openClient({ deps, ...options }: ClientOptions): OpenedNode {
  if (!/^([0-9a-f]{2})+$/i.test(options.macaroon)) {
    throw new NodeError(
      'unauthorized',
      'The node needs a macaroon in hex: set node.macaroon or node.macaroonFile.',
    );
  }
  const node = createLndNode({
    ...options,
    nowMs: deps.nowMs,
    ...(deps.timeoutMs === undefined ? {} : { timeoutMs: deps.timeoutMs }),
    ...(deps.concurrency === undefined ? {} : { concurrency: deps.concurrency }),
    ...(deps.onCircuit === undefined ? {} : { onCircuit: deps.onCircuit }),
  });
  return { node, close: () => node.close() };
}

/**
 * The macaroon in a file, hex. LND writes it in binary, some tools in hex; its V2 format begins with the byte 2.
 * @throws NodeError `unauthorized` when the file can't be read
 */
export function readMacaroon(file: string | undefined): string {
  if (file === undefined) return '';
  const bytes = readBytes(file, 'node.macaroonFile', 'unauthorized');
  return bytes[0] === 2 ? bytes.toString('hex') : bytes.toString('utf8').trim();
}

function readText(file: string, key: string): string {
  return readBytes(file, key, 'unreachable').toString('utf8');
}

function readBytes(file: string, key: string, code: NodeErrorCode): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new NodeError(code, `${key}: ${file} can't be read; check the path and its rights.`, { cause });
  }
}
