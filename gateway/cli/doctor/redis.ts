import type { RedisStoreConfig } from '../../../config/config.ts';
import { nameRedis } from '../../ledger/name-store.ts';
import { checkServers } from '../../ledger/redis/check-server.ts';
import { closeRedis, connectRedis, type RedisClient } from '../../ledger/redis/connect.ts';
import { explainRedisFailure } from '../../ledger/redis/failure.ts';
import { inspectRedisStore } from '../../ledger/redis/inspect.ts';
import { StoreError } from '../../ledger/store.ts';
import type { StoreFacts } from '../../ledger/store-facts.ts';
import { describeSeconds } from './describe-seconds.ts';
import { type Diagnosis, scribe } from './diagnosis.ts';

/** A request waits for an answer of Redis once or more, ms. */
const SLOW_MS = 20;
/** Clocks of two machines may be so far apart, seconds. */
const CLOCK_SLACK_SEC = 60;

/** What a look at Redis found. */
export interface RedisFindings {
  readonly found: readonly Diagnosis[];
  /** `none`: no store lies there yet. `unknown`: it could not be read, and `found` says why. */
  readonly facts: StoreFacts | 'none' | 'unknown';
}

/** Whether Redis answers, what about its servers may lose payments (the words of the gateway's start), and what its store says of itself. */
export async function checkRedis(store: RedisStoreConfig, nowMs: () => number): Promise<RedisFindings> {
  const say = scribe('store');
  try {
    const client = await connectRedis(store);
    try {
      const findings = await checkServers(client, store);
      const answers = await checkAnswers(client, store, nowMs);
      const warnings = findings.map(({ message, remedy }) => say.warning(message, `mend it with ${remedy}`));
      const [answered, ...others] = answers;
      return { found: [answered, ...warnings, ...others], facts: await readFacts(client, store) };
    } finally {
      await closeRedis(client);
    }
  } catch (error) {
    const reason = error instanceof StoreError ? error.message : explainRedisFailure(error);
    return { found: [say.problem(reason, 'mend that, or set `store` right')], facts: 'unknown' };
  }
}

async function readFacts(client: RedisClient, store: RedisStoreConfig): Promise<StoreFacts | 'none'> {
  const { keyPrefix } = store;
  return (await inspectRedisStore({ client, name: nameRedis(store), keyPrefix })) ?? 'none';
}

async function checkAnswers(
  client: RedisClient,
  store: RedisStoreConfig,
  nowMs: () => number,
): Promise<readonly [Diagnosis, ...Diagnosis[]]> {
  const say = scribe('store');
  const startMs = performance.now();
  await client.ping();
  const tookMs = performance.now() - startMs;
  const [sec] = await client.time();
  const apartSec = Math.abs(Number(sec) - nowMs() / 1000);
  const others: Diagnosis[] = [];
  if (tookMs > SLOW_MS) {
    others.push(
      say.warning('Redis is slow or far away: every paid request waits for it', 'bring them closer together'),
    );
  }
  if (apartSec > CLOCK_SLACK_SEC) {
    others.push(
      say.problem(
        `the clock of Redis and this machine's are ${describeSeconds(apartSec)} apart`,
        'set both by NTP',
      ),
    );
  }
  return [say.ok(`${nameRedis(store)} answers in ${tookMs.toFixed(1)} ms`), ...others];
}
