import { randomBytes, randomInt } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { z } from 'zod';

const port = z.int().min(1).max(65_535);
const nodePorts = z.object({ rest: port, rpc: port, peer: port });

const stateSchema = z.object({
  btcd: z.object({ rpcPort: port, user: z.string(), password: z.string() }),
  merchant: nodePorts,
  customer: nodePorts,
  gateway: z.object({ port, adminPort: port }),
  /** Where mined coins go; absent until the customer's wallet exists. */
  miningAddress: z.string().optional(),
});

/** What one network keeps between two runs beside the programs' own data. */
export type RegtestState = z.infer<typeof stateSchema>;

/** The programs with a folder and a log of their own. */
export type Member = 'btcd' | 'merchant' | 'customer' | 'gateway';

/** The folder of a network. All of it may be deleted when the network is stopped. */
export interface RegtestFolder {
  readonly root: string;
  of(member: Member): string;
  logOf(member: Member): string;
}

/** Names the folders, and makes them. */
export function openFolder(root: string): RegtestFolder {
  const folder: RegtestFolder = {
    root,
    of: (member) => path.join(root, member),
    logOf: (member) => path.join(root, 'log', `${member}.log`),
  };
  const members: Member[] = ['btcd', 'merchant', 'customer', 'gateway'];
  for (const name of [path.join(root, 'log'), ...members.map(folder.of)]) {
    mkdirSync(name, { recursive: true, mode: 0o700 });
  }
  return folder;
}

const FILE = 'network.json';

/** The state of the network in a folder; a new one gets free ports, and keeps those that are still free. */
export async function loadState(folder: RegtestFolder): Promise<RegtestState> {
  const known = readState(folder);
  const wanted = [
    known?.btcd.rpcPort,
    ...[known?.merchant, known?.customer].flatMap((ports) => [ports?.rest, ports?.rpc, ports?.peer]),
    known?.gateway.port ?? 8402,
    known?.gateway.adminPort ?? 8403,
  ];
  const ports = await freePorts(wanted);
  const take = (): number => ports.shift() ?? 0;
  const state: RegtestState = {
    btcd: {
      rpcPort: take(),
      user: 'regtest',
      password: known?.btcd.password ?? randomBytes(16).toString('hex'),
    },
    merchant: { rest: take(), rpc: take(), peer: take() },
    customer: { rest: take(), rpc: take(), peer: take() },
    gateway: { port: take(), adminPort: take() },
    ...(known?.miningAddress === undefined ? {} : { miningAddress: known.miningAddress }),
  };
  saveState(folder, state);
  return state;
}

/** Writes the state whole or not at all. */
export function saveState(folder: RegtestFolder, state: RegtestState): void {
  const file = path.join(folder.root, FILE);
  writeFileSync(`${file}.draft`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.draft`, file);
}

/** What an earlier run has left; `undefined` when there was none. */
export function readState(folder: Pick<RegtestFolder, 'root'>): RegtestState | undefined {
  try {
    return stateSchema.parse(JSON.parse(readFileSync(path.join(folder.root, FILE), 'utf8')));
  } catch {
    return undefined;
  }
}

/**
 * The wished ports where they are free, others where not. All are held until the last is found, so that none comes twice.
 */
export async function freePorts(wanted: readonly (number | undefined)[]): Promise<number[]> {
  const held: HeldPort[] = [];
  for (const wish of wanted) held.push(await hold(wish ?? choosePort()).catch(holdAny));
  await Promise.all(held.map(({ release }) => release()));
  return held.map((one) => one.port);
}

/**
 * Below the ports that systems give to outgoing connections (from 32,768 on Linux): among those, any connection of any program
 * could take a port while the program that is to listen there again starts.
 */
const PORTS = { from: 20_000, to: 32_768 };
const MAX_TRIES = 100;

function choosePort(): number {
  return randomInt(PORTS.from, PORTS.to);
}

interface HeldPort {
  readonly port: number;
  release(): Promise<void>;
}

async function holdAny(): Promise<HeldPort> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const held = await hold(choosePort()).catch(() => undefined);
    if (held !== undefined) return held;
  }
  throw new Error(`There is no free port from ${PORTS.from} to ${PORTS.to}.`);
}

function hold(port: number): Promise<HeldPort> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      resolve({ port, release: () => new Promise((done) => server.close(() => done())) });
    });
  });
}
