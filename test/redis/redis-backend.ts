import type { RedisStoreConfig } from '../../config/config.ts';
import { connectRedis, type RedisClient } from '../../gateway/ledger/redis/connect.ts';
import { openRedisStore, type RedisStoreOptions } from '../../gateway/ledger/redis.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import type { OpenBackend } from '../contract/store.contract.ts';

let places = 0;

/** A prefix that no other test uses. */
export function freshPrefix(): string {
  places += 1;
  return `test${places}:`;
}

/** Opens a store on a running Redis. */
export async function openOn(
  config: RedisStoreConfig,
  change: Partial<RedisStoreOptions> = {},
): Promise<Store> {
  const client = await connectRedis(config);
  return openRedisStore({ client, name: 'the test', sweepPerMinute: Number.POSITIVE_INFINITY, ...change });
}

/** Places on one running Redis, each under a prefix of its own, and emptied by `empty` afterwards. */
export function redisBackend(config: () => RedisStoreConfig, empty: () => Promise<void>): OpenBackend {
  return async ({ nowMs }) => {
    const keyPrefix = freshPrefix();
    return {
      open: () => openOn(config(), { keyPrefix, nowMs }),
      persistent: true,
      forgetting: 'timers',
      remove: empty,
    };
  };
}

/** A client for the test itself. */
export async function clientOn(config: RedisStoreConfig): Promise<RedisClient> {
  return connectRedis(config);
}
