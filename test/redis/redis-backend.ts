import type { RedisStoreConfig } from '../../config/config.ts';
import { closeRedis, connectRedis, type RedisClient } from '../../gateway/ledger/redis/connect.ts';
import { mastersOf } from '../../gateway/ledger/redis/masters.ts';
import { openRedisStore, type RedisStoreOptions } from '../../gateway/ledger/redis.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import type { OpenBackend } from '../contract/store.contract.ts';

const KEY_PREFIX = 'test:';
let places = 0;

/** A prefix that no other test uses. */
export function freshPrefix(): string {
  places += 1;
  return `test${places}:`;
}

/** What the settings keep from one test to the next: a Cluster's proofs, one a slot, are not written anew for each. */
const KEPT_SETTINGS = ['generation', 'version', 'proofs'];

/** Opens a store on a running Redis. */
export async function openOn(
  config: RedisStoreConfig,
  change: Partial<RedisStoreOptions> = {},
): Promise<Store> {
  const client = await connectRedis(config);
  const keyPrefix = KEY_PREFIX;
  return openRedisStore({
    client,
    name: 'the test',
    keyPrefix,
    sweepPerMinute: Number.POSITIVE_INFINITY,
    ...change,
  });
}

/** One running Redis, empty again after each test. */
export function redisBackend(config: () => RedisStoreConfig): OpenBackend {
  return async ({ nowMs }) => ({
    open: () => openOn(config(), { nowMs }),
    persistent: true,
    forgetting: 'timers',
    remove: () => emptyStore(config()),
  });
}

/** Deletes everything but the proofs and what they prove. */
export async function emptyStore(config: RedisStoreConfig): Promise<void> {
  const client = await connectRedis(config);
  try {
    for (const master of mastersOf(client)) {
      let cursor = '0';
      do {
        const [next, found] = await master.scan(cursor, 'COUNT', 2_000);
        const keys = found.filter((key) => !/(proof|\}settings)$/.test(key));
        const pipeline = master.pipeline();
        for (const key of keys) pipeline.unlink(key);
        await pipeline.exec();
        cursor = next;
      } while (cursor !== '0');
    }
    const settings = `${KEY_PREFIX}{sluice}settings`;
    const fields = (await client.hkeys(settings)).filter((field) => !KEPT_SETTINGS.includes(field));
    if (fields.length > 0) await client.hdel(settings, ...fields);
    // The proof of a single server has an epoch, which the settings have no more.
    const generation = await client.hget(settings, 'generation');
    if (client.isCluster !== true && generation !== null)
      await client.set(`${KEY_PREFIX}proof`, `${generation}:0`);
  } finally {
    await closeRedis(client);
  }
}

/** A client for the test itself. */
export async function clientOn(config: RedisStoreConfig): Promise<RedisClient> {
  return connectRedis(config);
}
