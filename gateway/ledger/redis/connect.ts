import { Cluster, Redis } from 'ioredis';
import type { RedisStoreConfig } from '../../../config/config.ts';
import { within } from '../../../node/within.ts';
import { nameRedis } from '../name-store.ts';
import { StoreError } from '../store.ts';
import { boundReplies } from './bound-replies.ts';
import { explainRedisFailure, toStoreError } from './failure.ts';
import { clusterOptions, redisOptions } from './options.ts';

/** What a client may be told, and what it draws its pauses from. */
export interface RedisClientOptions {
  /** Told once when it can't be reached any more, in words without a secret, and (`undefined`) when it can again. */
  readonly onReach?: (failure: string | undefined) => void;
  /** From 0 up to but not including 1; default Math.random. */
  readonly random?: () => number;
  /** Most bytes that one connection may send in the time of a command; default 256 MB. */
  readonly maxBurstBytes?: number;
}

/** A client of one Redis, of the master that sentinels know, or of a Cluster. */
export type RedisClient = Redis | Cluster;

const DEFAULT_MAX_BURST_BYTES = 256_000_000;

/**
 * Makes a client that has not connected yet: `connect()` begins, and from then on it reconnects for ever. Every command ends within
 * `commandTimeoutMs`, or at once while Redis is away; its outcome is then unknown. Keys are sent as they are: the prefix is up to
 * the caller, because ioredis puts it before some names and not before others.
 * @throws StoreError when a file of `tls` can't be read
 */
export function createRedisClient(config: RedisStoreConfig, options: RedisClientOptions = {}): RedisClient {
  const { random = Math.random, onReach = () => {}, maxBurstBytes = DEFAULT_MAX_BURST_BYTES } = options;
  const { reach } = config;
  try {
    const client =
      reach.kind === 'cluster'
        ? new Cluster([...reach.nodes], clusterOptions(config, random))
        : new Redis({ ...redisOptions(config, random), replyMapping: 'legacy' });
    boundReplies(client, { maxBytes: maxBurstBytes, perMs: config.commandTimeoutMs });
    connectEarly(client);
    tellReach(client, onReach);
    return client;
  } catch (error) {
    throw toStoreError(error, nameRedis(config));
  }
}

/**
 * Connects, and gives up when that takes longer than connecting and a few answers may: a gateway must say why it does not start.
 * @throws StoreError with the reason in words
 */
export async function connectRedis(
  config: RedisStoreConfig,
  options: RedisClientOptions = {},
): Promise<RedisClient> {
  let reason: string | undefined;
  const client = createRedisClient(config, {
    ...options,
    onReach: (failure) => {
      reason = failure ?? reason;
      options.onReach?.(failure);
    },
  });
  const limitMs = config.connectTimeoutMs + 3 * config.commandTimeoutMs;
  const turns = config.reach.kind === 'sentinel' ? config.reach.sentinels.length : 1;
  const connected = connectAll(client, turns).then(
    () => undefined,
    (error: unknown) => error,
  );
  const failure = await within(limitMs, connected, new Error('timed out'));
  if (failure === undefined && client.status === 'ready') return client;
  client.disconnect();
  const words = reason ?? explainRedisFailure(failure);
  throw new StoreError('unavailable', `The store at ${nameRedis(config)} can't be used: ${words}.`);
}

/** A Cluster is ready when one of its nodes answers; the others are connected to by the first command for them, and refuse the next. */
async function connectAll(client: RedisClient, turns: number): Promise<void> {
  if (!(client instanceof Cluster)) return connectInTurns(client, turns);
  await client.connect();
  for (;;) {
    const waited = client.nodes('master').find(({ status }) => status !== 'ready');
    if (waited === undefined || client.status === 'end') return;
    await changeOf(waited);
  }
}

/** A sentinel that is behind leads to a server that is away, or no master any more: each of them has its turn. */
async function connectInTurns(client: Redis, turns: number): Promise<void> {
  let connected = client.connect();
  for (let turn = 1; ; turn += 1) {
    try {
      return await connected;
    } catch (error) {
      if (turn >= turns || client.status === 'end') throw error;
      connected = reconnected(client);
    }
  }
}

/** ioredis connects again by itself. @throws Error when that fails too */
function reconnected(client: Redis): Promise<void> {
  return new Promise((resolve, reject) => {
    const ready = (): void => {
      client.off('close', failed);
      resolve();
    };
    const failed = (): void => {
      client.off('ready', ready);
      reject(new Error('Connection is closed.'));
    };
    client.once('ready', ready).once('close', failed);
  });
}

/** Resolves when a node of a Cluster is ready, or is given up; its place is then another's. */
function changeOf(node: Redis): Promise<void> {
  if (node.status === 'wait') node.connect().catch(() => {});
  if (node.status === 'end') return new Promise(setImmediate);
  return new Promise((resolve) => {
    const done = (): void => {
      node.off('ready', done).off('end', done);
      resolve();
    };
    node.on('ready', done).on('end', done);
  });
}

/**
 * Connects to each node of a Cluster before there is a command for it: ioredis would connect with the first, and refuse what comes
 * until that is done. Not before the Cluster is ready: the check of that is such a command.
 */
function connectEarly(client: RedisClient): void {
  if (!(client instanceof Cluster)) return;
  const connect = (node: Redis): void => {
    if (client.status === 'ready' && node.status === 'wait') node.connect().catch(() => {});
  };
  // Not before the command that made the node known: it waits for the connection, and no other does.
  client.on('+node', (node: Redis) => setImmediate(connect, node));
  client.on('ready', () => client.nodes('master').forEach(connect));
}

/** Without a listener for `error`, ioredis writes to the console. */
function tellReach(client: RedisClient, onReach: (failure: string | undefined) => void): void {
  let reason: string | undefined;
  let isDown = false;
  const failed = (error: unknown): void => {
    reason = explainRedisFailure(error);
    if (client.status === 'ready' || isDown) return;
    isDown = true;
    onReach(reason);
  };
  client.on('error', failed);
  client.on('node error', (error: unknown) => {
    reason = explainRedisFailure(error);
  });
  client.on('sentinelError', (error: unknown) => {
    reason = explainRedisFailure(error);
  });
  client.on('close', () => failed(new Error(reason ?? 'Connection is closed.')));
  client.on('ready', () => {
    reason = undefined;
    if (!isDown) return;
    isDown = false;
    onReach(undefined);
  });
}

/** A connection that was told to close has this long, ms: more than ioredis gives it before it cuts it. */
const CLOSE_MS = 1_000;

/**
 * Ends every connection of a client at once, and resolves when they are closed. One that waits to reconnect has none, and ioredis never
 * says that it has ended.
 */
export async function closeRedis(client: RedisClient): Promise<void> {
  const hasConnection = ['connecting', 'connect', 'ready'].includes(client.status);
  const ended = new Promise<void>((resolve) => {
    client.once('end', () => resolve());
  });
  if (client.status !== 'end') client.disconnect();
  if (hasConnection) await within(CLOSE_MS, ended, undefined);
}
