import { mkdir, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { findRedisServer, HOW_TO_GET_REDIS } from '../support/redis-program.ts';
import { freePorts } from '../support/redis-server.ts';
import { sentinelStore } from './store-on-sentinel.ts';
import type { Timeline } from './timeline.ts';
import { createVictim, type Victim } from './victim.ts';

/** Which stores a run can be made on. */
export const STORES = ['redis', 'sentinel', 'sqlite'] as const;
export type StoreKind = (typeof STORES)[number];

/** Where the gateways of a run keep their books, and what a fault may do to it. */
export interface StoreUnderFault {
  /** The `store` of each gateway's configuration. */
  readonly config: object;
  /** The store's own process, if it has one. */
  readonly victim: Victim | undefined;
  /** What the run relies on, for people. */
  readonly guarantee: string;
  /** Failovers that happened and that no fault has caused; absent: there can't be any. */
  unforeseen?(): Promise<number>;
}

/** Prepares a store in a folder; its process, if any, does not run yet. @throws Error that says how to get Redis when it is missing */
export function prepareStore(kind: StoreKind, folder: string, timeline: Timeline): Promise<StoreUnderFault> {
  switch (kind) {
    case 'redis':
      return redisStore(folder, timeline);
    case 'sentinel':
      return sentinelStore(timeline);
    default:
      return sqliteStore(folder);
  }
}

/** One file that all gateways share. It has no process of its own that could be killed. */
async function sqliteStore(folder: string): Promise<StoreUnderFault> {
  return {
    config: { type: 'sqlite', file: path.join(folder, 'ledger.db') },
    victim: undefined,
    guarantee:
      'SQLite, one file for all gateways: what was acknowledged outlives the kill of any process, spends too',
  };
}

async function redisStore(folder: string, timeline: Timeline): Promise<StoreUnderFault> {
  const command = findRedisServer();
  if (command === undefined) throw new Error(HOW_TO_GET_REDIS);
  const dir = path.join(folder, 'redis');
  await mkdir(dir, { recursive: true });
  const [port = 0] = await freePorts(1);
  const settings = [
    'bind 127.0.0.1',
    `port ${port}`,
    'daemonize no',
    'save ""',
    'appendonly yes',
    'appendfsync always',
    'maxmemory-policy noeviction',
    `dir ${dir}`,
  ];
  const file = path.join(folder, 'redis.conf');
  await writeFile(file, `${settings.join('\n')}\n`);
  return {
    config: { type: 'redis', url: `redis://127.0.0.1:${port}`, connectTimeout: '1s', commandTimeout: '1s' },
    victim: createVictim({
      target: 'store',
      command,
      args: [file],
      folder,
      logFile: path.join(folder, 'redis.log'),
      answers: () => ping(port),
      timeline,
    }),
    guarantee:
      'Redis with appendfsync always: what was acknowledged is on its disk and outlives its kill, spends too',
  };
}

/** Resolves when Redis has loaded what is on its disk and answers. */
function ping(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    socket.setTimeout(1_000, () => socket.destroy(new Error('it does not answer')));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('it has closed the connection')));
    socket.once('data', (answer) => {
      if (answer.toString('latin1').startsWith('+PONG')) resolve();
      else reject(new Error('it is not ready'));
      socket.destroy();
    });
    socket.write('PING\r\n');
  });
}
