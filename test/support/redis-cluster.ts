import { eventually } from './eventually.ts';
import { type RedisServer, startRedis } from './redis-server.ts';

/** A real Redis Cluster of three masters, each with so many replicas. */
export interface RedisCluster {
  /** The masters as it was made. */
  readonly masters: readonly RedisServer[];
  readonly replicas: readonly RedisServer[];
  /** Which of all servers has the slot of a key now. */
  ownerOf(key: string): Promise<RedisServer>;
  stop(): Promise<void>;
}

const SLOTS = 16_384;
const MASTERS = 3;

/** Makes a Cluster on free ports; it is whole when this resolves. */
export async function startRedisCluster(
  options: { readonly replicas?: number; readonly lines?: readonly string[] } = {},
): Promise<RedisCluster> {
  const { replicas = 0, lines = [] } = options;
  const settings = [
    'cluster-enabled yes',
    'cluster-port BUS_PORT',
    'cluster-node-timeout 1500',
    'cluster-replica-validity-factor 0',
    ...lines,
  ];
  const servers: RedisServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    for (let i = 0; i < MASTERS * (1 + replicas); i += 1) servers.push(await startRedis({ lines: settings }));
    const masters = servers.slice(0, MASTERS);
    await join(masters, servers);
    await replicate(masters, servers.slice(MASTERS));
    return { masters, replicas: servers.slice(MASTERS), ownerOf: (key) => ownerOf(servers, key), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function join(masters: readonly RedisServer[], all: readonly RedisServer[]): Promise<void> {
  const [first] = masters;
  if (first === undefined) return;
  for (const [index, server] of all.entries()) {
    await server.call('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
    if (server !== first) {
      await server.call('CLUSTER', 'MEET', first.host, String(first.port), String(await busPort(first)));
    }
  }
  for (const [index, server] of masters.entries()) {
    const from = Math.floor((index * SLOTS) / MASTERS);
    const to = Math.floor(((index + 1) * SLOTS) / MASTERS);
    const slots = Array.from({ length: to - from }, (_, slot) => String(from + slot));
    await server.call('CLUSTER', 'ADDSLOTS', ...slots);
  }
  for (const server of all) {
    await eventually(
      async () => String(await server.call('CLUSTER', 'INFO')),
      (info) => info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${all.length}`),
    );
  }
}

async function replicate(masters: readonly RedisServer[], replicas: readonly RedisServer[]): Promise<void> {
  for (const [index, replica] of replicas.entries()) {
    const master = masters[index % masters.length];
    if (master === undefined) continue;
    await replica.call('CLUSTER', 'REPLICATE', String(await master.call('CLUSTER', 'MYID')));
  }
  for (const replica of replicas) {
    await eventually(
      async () => String(await replica.call('INFO', 'replication')),
      (info) => info.includes('master_link_status:up'),
    );
  }
}

async function busPort(server: RedisServer): Promise<number> {
  const myself = String(await server.call('CLUSTER', 'NODES'));
  return Number(/@(\d+)/.exec(myself)?.[1]);
}

async function ownerOf(servers: readonly RedisServer[], key: string): Promise<RedisServer> {
  const asked = servers.find(({ running, paused }) => running && !paused);
  const slot = Number(await asked?.call('CLUSTER', 'KEYSLOT', key));
  const ranges = await asked?.call('CLUSTER', 'SLOTS');
  for (const range of Array.isArray(ranges) ? ranges : []) {
    const [from, to, [, port]] = range;
    const owner = servers.find((server) => server.port === port);
    if (slot >= from && slot <= to && owner !== undefined) return owner;
  }
  throw new Error(`nobody serves the slot of ${key}`);
}
