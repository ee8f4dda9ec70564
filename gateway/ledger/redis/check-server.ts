import type { Redis } from 'ioredis';
import type { RedisStoreConfig } from '../../../config/config.ts';
import { nameRedis, nameServer } from '../name-store.ts';
import { StoreError } from '../store.ts';
import { checkSentinels } from './check-sentinels.ts';
import type { RedisClient } from './connect.ts';
import { toStoreError } from './failure.ts';
import { judgeServer, readInfo, type ServerFacts, type ServerFinding } from './judge-server.ts';
import { mastersOf } from './masters.ts';

const SETTINGS = ['appendonly', 'appendfsync', 'maxmemory-policy'] as const;

/**
 * Looks at the settings of every master that holds a part of the ledger, and at what the sentinels allow.
 * @throws Error when one does not answer
 */
export async function checkServers(
  client: RedisClient,
  config: RedisStoreConfig,
): Promise<readonly ServerFinding[]> {
  const demands = { kind: config.reach.kind, waitReplicas: config.wait?.replicas ?? 0 };
  const [facts, ofSentinels] = await Promise.all([
    Promise.all(mastersOf(client).map(readFacts)),
    checkSentinels(config),
  ]);
  return [...facts.flatMap((one) => judgeServer(one, demands)), ...ofSentinels];
}

/**
 * What the gateway says of its Redis when it starts: a line each, with what mends it.
 * @throws StoreError with `strict: true`, when it may forget payments or take none
 */
export async function warnOfServers(
  client: RedisClient,
  config: RedisStoreConfig,
): Promise<readonly string[]> {
  const findings = await checkServers(client, config).catch((error: unknown) => {
    throw toStoreError(error, nameRedis(config));
  });
  const lines = findings.map(
    ({ message, remedy }) => `store: ${message}. Mend it with ${remedy}; see docs/redis.md`,
  );
  const refused = lines.filter((_, index) => findings[index]?.serious);
  if (!config.strict || refused.length === 0) return lines;
  throw new StoreError(
    'unavailable',
    `The store at ${nameRedis(config)} is not used, because \`strict: true\` is set. ${refused.join('. ')}.`,
  );
}

async function readFacts(redis: Redis): Promise<ServerFacts> {
  const [info, settings] = await Promise.all([redis.info().then(readInfo), readSettings(redis)]);
  const isNode = info.get('cluster_enabled') === '1';
  const cluster = isNode
    ? await orUndefined(redis.cluster('INFO').then((text) => readInfo(String(text))))
    : undefined;
  return { server: nameOf(redis, info), info, settings, cluster };
}

/** Behind Sentinel the options do not name the master. */
function nameOf({ options, stream }: Redis, info: ReadonlyMap<string, string>): string {
  const host = stream?.remoteAddress ?? options.host ?? 'Redis';
  return nameServer({ host, port: Number(info.get('tcp_port') || (options.port ?? 0)) });
}

async function readSettings(redis: Redis): Promise<ReadonlyMap<string, string> | undefined> {
  // One by one: before Redis 7, CONFIG GET takes a single name.
  const answers = await Promise.all(SETTINGS.map((name) => orUndefined(redis.config('GET', name))));
  const pairs = answers.flatMap((answer): (readonly [string, string])[] => {
    if (!Array.isArray(answer)) return [];
    const [name, value] = answer.map(String);
    return name === undefined || value === undefined ? [] : [[name, value]];
  });
  return pairs.length === 0 ? undefined : new Map(pairs);
}

/** What its ACL refuses is not known; what else fails is a failure. */
async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Error && /^NOPERM|unknown command/i.test(error.message)) return undefined;
    throw error;
  }
}
