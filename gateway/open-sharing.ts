import type { StoreConfig } from '../config/config.ts';
import type { Bus } from './bus/bus.ts';
import type { RedisBusObserver } from './bus/redis-bus.ts';
import type { SharedClients } from './flow/shared-clients.ts';
import type { Log } from './observe/log.ts';
import type { Metrics } from './observe/metrics.ts';
import type { OpenedStore } from './open-store.ts';
import { createSharedSessions } from './session/shared-table.ts';
import { openSqliteShelf, sessionsFileOf } from './session/sqlite-shelf.ts';
import type { SessionTable } from './session/table.ts';

/** What the gateways on one store share beside its ledger; each is absent where nothing carries it. */
export interface Sharing {
  readonly bus?: Bus;
  readonly sessions?: SessionTable;
  readonly sharedClients?: SharedClients;
  /** To be closed before the store. */
  close(): Promise<void>;
}

/** What a gateway is put together with of it. */
export function partsOf({ bus, sessions, sharedClients }: Sharing): Pick<Sharing, SharedPart> {
  return {
    ...(bus === undefined ? {} : { bus }),
    ...(sessions === undefined ? {} : { sessions }),
    ...(sharedClients === undefined ? {} : { sharedClients }),
  };
}

type SharedPart = 'bus' | 'sessions' | 'sharedClients';

/** What opening it needs. */
export interface SharingParts {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
}

/** Opens what goes with a store. @throws StoreError */
export async function openSharing(
  config: StoreConfig,
  { name, redis }: Pick<OpenedStore, 'name' | 'redis'>,
  parts: SharingParts,
): Promise<Sharing> {
  const { nowMs } = parts;
  const nowSec = (): number => Math.floor(nowMs() / 1000);
  if (config.type === 'sqlite') {
    const shelf = await openSqliteShelf({ file: sessionsFileOf(config.file), nowMs });
    return { sessions: createSharedSessions({ shelf, nowSec }), close: async () => shelf.close() };
  }
  if (redis === undefined) return { close: async () => {} };
  // Only here: a gateway on SQLite need not hold the client of Redis.
  const { openRedisBus } = await import('./bus/redis-bus.ts');
  const { redisClients } = await import('./flow/redis-clients.ts');
  const { redisShelf } = await import('./session/redis-shelf.ts');
  const { client, keyPrefix } = redis;
  const bus = openRedisBus({ client, keyPrefix, observe: observeBus(parts) });
  const shelf = redisShelf({ client, name, keyPrefix, nowMs });
  return {
    bus,
    sessions: createSharedSessions({ shelf, nowSec }),
    sharedClients: redisClients({ client, keyPrefix }),
    close: () => bus.close(),
  };
}

function observeBus({ log, metrics }: SharingParts): RedisBusObserver {
  let isUp = false;
  metrics.readFrom({ busUp: () => isUp });
  return {
    counted: metrics.busMessage,
    stands(up) {
      isUp = up;
      if (up) log.info('this gateway hears the others on its store');
      else
        log.warn(
          'this gateway does not hear the others on its store: until it does, it asks the store, a second or so later',
        );
    },
    failed: (error) =>
      log.warn('Redis carries no messages between the gateways; it is tried again for ever', { err: error }),
  };
}
