import { setTimeout as wait } from 'node:timers/promises';
import { waitFor } from '../../deploy/regtest/wait-for.ts';
import { failOver, type RedisSentinel, startRedisSentinel } from '../support/redis-sentinel.ts';
import type { RedisServer } from '../support/redis-server.ts';
import type { FaultKind } from './schedule.ts';
import type { StoreUnderFault } from './store-under-fault.ts';
import type { Timeline } from './timeline.ts';
import type { Victim } from './victim.ts';

/** Election and synchronisation, on a machine that does much else; sentinels also wait for some time between two failovers, ms. */
const FAILOVER_LIMIT_MS = 120_000;
/** Each question is a connection of its own, ms. */
const ASK_EVERY_MS = 150;
/** Both: while a master is well, sentinels promote whichever they like, and one that wakes up still has the other. */
const REPLICAS = 2;

/**
 * A master with two replicas that three sentinels watch. Whatever a fault does to the master, another one is promoted; the store promises
 * that no strong write is forgotten then, and nothing about weak ones.
 */
export async function sentinelStore(timeline: Timeline): Promise<StoreUnderFault> {
  const redis = await startRedisSentinel({ lines: ['appendonly yes', 'maxmemory-policy noeviction'] });
  const firstEpoch = await epochOf(redis);
  const failovers = { count: 0 };
  return {
    config: {
      type: 'redis',
      sentinels: redis.sentinels.map(({ host, port }) => `${host}:${port}`),
      master: redis.name,
      wait: { replicas: REPLICAS, timeout: '1s' },
      connectTimeout: '1s',
      commandTimeout: '1500ms',
    },
    victim: victimOf(redis, timeline, failovers),
    unforeseen: async () => (await epochOf(redis)) - firstEpoch - failovers.count,
    guarantee:
      'Redis behind Sentinel, wait for both replicas: no payment that was acknowledged is forgotten in a failover; spends may be',
  };
}

function victimOf(redis: RedisSentinel, timeline: Timeline, failovers: { count: number }): Victim {
  let running: Promise<void> | undefined;
  let stopped = false;
  return {
    target: 'store',
    start: async () => {},
    async hit(kind, forMs) {
      if (running !== undefined || stopped) return false;
      const isBack = timeline.begin('store', 'failed-over');
      running = failMasterOver(redis, kind, forMs);
      await running;
      failovers.count += 1;
      running = undefined;
      isBack();
      return true;
    },
    async stop() {
      stopped = true;
      await running?.catch(() => {});
      await redis.stop();
    },
  };
}

/** Has another master promoted in one of three ways. Resolves when the old one is a replica of it, like the third. */
async function failMasterOver(redis: RedisSentinel, kind: FaultKind, forMs: number): Promise<void> {
  const before = await redis.master();
  if (kind === 'restart') {
    await failOver(redis.sentinels[0], redis.name);
    await untilPromoted(redis, before);
  } else if (kind === 'kill') {
    await before.kill();
    await untilPromoted(redis, before);
    await wait(forMs);
    await before.start();
  } else {
    before.pause();
    await untilPromoted(redis, before);
    await wait(forMs);
    before.resume();
  }
  await untilAllFollow(redis);
}

/** One sentinel leads a failover, and the others learn of it. */
async function untilPromoted(redis: RedisSentinel, before: RedisServer): Promise<void> {
  for (const sentinel of redis.sentinels)
    await until('The promotion of another master', async () => {
      const known = await factsOf(redis, sentinel);
      return known.get('port') !== String(before.port) && known.get('flags') === 'master';
    });
}

async function untilAllFollow(redis: RedisSentinel): Promise<void> {
  await until('The return of the old master', async () => {
    const info = String(await (await redis.master()).call('INFO', 'replication'));
    return (info.match(/state=online/g) ?? []).length === REPLICAS;
  });
}

/** Sentinel closes the connections to servers whose role changes, that of a test too: asked again. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const ask = async (): Promise<true | undefined> => ((await holds().catch(() => false)) ? true : undefined);
  await waitFor(what, ask, { limitMs: FAILOVER_LIMIT_MS, everyMs: ASK_EVERY_MS });
}

/** Raised with each failover, also with those that nobody planned: a machine that is too busy looks like a master that hangs. */
async function epochOf(redis: RedisSentinel): Promise<number> {
  const epochs = await Promise.all(
    redis.sentinels.map(async (one) => Number((await factsOf(redis, one)).get('config-epoch'))),
  );
  return Math.max(...epochs);
}

async function factsOf({ name }: RedisSentinel, sentinel: RedisServer): Promise<Map<string, string>> {
  const answer = await sentinel.call('SENTINEL', 'MASTER', name);
  const flat = Array.isArray(answer) ? answer.map(String) : [];
  return new Map(flat.flatMap((word, at) => (at % 2 === 0 ? [[word, flat[at + 1] ?? '']] : [])));
}
