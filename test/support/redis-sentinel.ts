import { eventually } from './eventually.ts';
import { type RedisServer, startRedis } from './redis-server.ts';

/** A real master with two replicas, watched by three sentinels. */
export interface RedisSentinel {
  /** The name of the master. */
  readonly name: 'test-master';
  readonly servers: readonly RedisServer[];
  readonly sentinels: readonly RedisServer[];
  /** The server that the sentinels hold for the master now. */
  master(): Promise<RedisServer>;
  /** Has a replica promoted, and waits until it is. @returns the new master */
  failover(): Promise<RedisServer>;
  /** Kills the master, and waits until the sentinels have promoted a replica. @returns the new master */
  killMaster(): Promise<RedisServer>;
  /** Starts a master again that was killed, and waits until it is a replica of the new one: it comes back empty, and must lead nobody. */
  rejoin(server: RedisServer): Promise<void>;
  stop(): Promise<void>;
}

const NAME = 'test-master';
/** A master that is silent for so long is down, ms. */
const DOWN_AFTER_MS = 4_000;

/** Starts all six on free ports; the sentinels know each other and the replicas when this resolves. */
export async function startRedisSentinel(
  options: { readonly lines?: readonly string[] } = {},
): Promise<RedisSentinel> {
  const lines = options.lines ?? [];
  const servers: RedisServer[] = [];
  const sentinels: RedisServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all([...sentinels, ...servers].map((server) => server.stop()));
  };
  try {
    const first = await startRedis({ lines });
    servers.push(first);
    const replicaOf = `replicaof ${first.host} ${first.port}`;
    for (let i = 0; i < 2; i += 1) servers.push(await startRedis({ lines: [...lines, replicaOf] }));
    await eventually(
      async () => String(await first.call('INFO', 'replication')),
      (info) => (info.match(/state=online/g) ?? []).length === 2,
    );
    for (let i = 0; i < 3; i += 1) sentinels.push(await startSentinel(first));
    for (const sentinel of sentinels) await untilKnowsAll(sentinel);
  } catch (error) {
    await stop();
    throw error;
  }
  const master = (): Promise<RedisServer> => masterOf(servers, sentinels);
  /** One sentinel leads a failover, and names the new master before the end of it: until then it takes what is new for wrong. */
  const promoted = async (before: RedisServer): Promise<RedisServer> => {
    for (const sentinel of sentinels)
      await eventually(
        async () => pairs(await asked(sentinel, 'SENTINEL', 'MASTER', NAME)),
        (known) => known.get('port') !== String(before.port) && known.get('flags') === 'master',
      );
    await untilFollowed(await master(), servers);
    return master();
  };
  return {
    name: NAME,
    servers,
    sentinels,
    master,
    async failover() {
      const before = await master();
      await failOver(sentinels[0], NAME);
      return promoted(before);
    },
    async killMaster() {
      const before = await master();
      await before.kill();
      return promoted(before);
    },
    async rejoin(server) {
      await server.start();
      await untilFollowed(await master(), servers);
    },
    stop,
  };
}

function startSentinel(master: RedisServer): Promise<RedisServer> {
  return startRedis({
    isSentinel: true,
    lines: [
      `sentinel monitor ${NAME} ${master.host} ${master.port} 2`,
      `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${NAME} 6000`,
    ],
  });
}

async function untilKnowsAll(sentinel: RedisServer): Promise<void> {
  await eventually(
    async () => pairs(await sentinel.call('SENTINEL', 'MASTER', NAME)),
    (known) => known.get('num-slaves') === '2' && known.get('num-other-sentinels') === '2',
  );
}

/** A sentinel that has not looked at the replicas lately takes none of them for good enough. */
export async function failOver(sentinel: RedisServer | undefined, name: string): Promise<void> {
  await eventually(
    async () => (await sentinel?.call('SENTINEL', 'FAILOVER', name).catch(String)) ?? 'no sentinel',
    (answer) => answer === 'OK' || String(answer).includes('INPROG'),
  );
}

/** Waits until all servers that are well have what the master has. */
async function untilFollowed(master: RedisServer, servers: readonly RedisServer[]): Promise<void> {
  const others = servers.filter((server) => server !== master && server.running && !server.paused);
  await eventually(
    async () => String(await asked(master, 'INFO', 'replication')),
    (info) => (info.match(/state=online/g) ?? []).length === others.length,
  );
}

/** Sentinel closes the connections to servers whose role changes, that of a test too. */
function asked(server: RedisServer, ...command: string[]): Promise<unknown> {
  return server.call(...command).catch(() => []);
}

async function masterOf(
  servers: readonly RedisServer[],
  sentinels: readonly RedisServer[],
): Promise<RedisServer> {
  const answer = await sentinels[0]?.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME);
  const port = Array.isArray(answer) ? Number(answer[1]) : 0;
  const master = servers.find((server) => server.port === port);
  if (master === undefined) throw new Error('the sentinels name a master that is not ours');
  return master;
}

function pairs(answer: unknown): ReadonlyMap<string, string> {
  const flat = Array.isArray(answer) ? answer.map(String) : [];
  return new Map(flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1] ?? '']] : [])));
}
