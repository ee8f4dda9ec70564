import type { Cluster, Redis } from 'ioredis';
import { toStoreError } from '../ledger/redis/failure.ts';
import { MAX_SESSIONS, type SessionShelf } from './shelf.ts';
import { MAX_PER_ACCOUNT } from './table.ts';

/** What a shelf in Redis needs. */
export interface RedisShelfOptions {
  /** The store's own client. */
  readonly client: Redis | Cluster;
  /** Where it is, for messages. */
  readonly name: string;
  readonly keyPrefix: string;
  readonly nowMs: () => number;
  /** Default `MAX_SESSIONS`. */
  readonly maxSessions?: number;
}

/** Forgotten at most at a time: the list of all never grows by more than one. */
const MAX_FORGOTTEN = 100;

/**
 * Sessions in Redis: one key each, which Redis forgets at its end, and two kinds of lists by which the oldest are found, of an account
 * and of all. Each step is atomic by itself; one that is lost leaves a session that ends by itself.
 */
export function redisShelf(options: RedisShelfOptions): SessionShelf {
  const { client, name, keyPrefix, nowMs, maxSessions = MAX_SESSIONS } = options;
  const sessionAt = (key: string): string => `${keyPrefix}session:${key}`;

  /** Enters a session into a list, and forgets the oldest beyond its bound. */
  const list = async (listKey: string, key: string, most: number, ttlSec: number): Promise<void> => {
    await client.zadd(listKey, String(nowMs()), key);
    // As long as its last session; -1 when it is new.
    if ((await client.ttl(listKey)) < ttlSec) await client.expire(listKey, ttlSec);
    const beyond = (await client.zcard(listKey)) - most;
    if (beyond <= 0) return;
    const oldest = await client.zrange(listKey, '0', String(Math.min(beyond, MAX_FORGOTTEN) - 1));
    await client.zrem(listKey, ...oldest);
    for (const one of oldest) await client.del(sessionAt(one));
  };
  const asked = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw toStoreError(error, name);
    }
  };

  return {
    put: ({ key, sealed, accountIds, untilSec }) =>
      asked(async () => {
        const ttlSec = Math.ceil(untilSec - nowMs() / 1000);
        if (ttlSec <= 0) return;
        await client.set(sessionAt(key), sealed, 'EX', ttlSec);
        for (const accountId of accountIds)
          await list(`${keyPrefix}sessions-of:${accountId}`, key, MAX_PER_ACCOUNT, ttlSec);
        await list(`${keyPrefix}sessions`, key, maxSessions, ttlSec);
      }),
    get: (key) => asked(async () => (await client.getBuffer(sessionAt(key))) ?? undefined),
    drop: (key) => asked(async () => void (await client.del(sessionAt(key)))),
  };
}
