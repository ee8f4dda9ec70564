import type { Acknowledge } from './redis/acknowledge.ts';
import { integerAt, wordAt, wordsOf } from './redis/answers.ts';
import { books } from './redis/books.ts';
import type { RedisClient } from './redis/connect.ts';
import { credits } from './redis/credits.ts';
import { debits } from './redis/debits.ts';
import { createEngine, type Engine } from './redis/engine.ts';
import { cursors, identity, revocations, writeProofs } from './redis/identity.ts';
import { judgeFailure } from './redis/judge-failure.ts';
import { DEFAULT_KEY_PREFIX, keyNames } from './redis/key-names.ts';
import { leases } from './redis/leases.ts';
import { offers } from './redis/offers.ts';
import { createProofs, isClusterClient } from './redis/proofs.ts';
import { purger } from './redis/purge.ts';
import { redisClock } from './redis/store-clock.ts';
import { type Store, StoreError } from './store.ts';
import { randomGeneration } from './verbs/identity.ts';

/** Written at first use; a store of a later one is refused. */
export const REDIS_STORE_VERSION = 1;
/** Keys that purge looks at in a minute: a million accounts in about forty. */
const DEFAULT_SWEEP_PER_MINUTE = 60_000;

/** Where the store is and how safe it plays. */
export interface RedisStoreOptions {
  /** Connected. The store closes it. */
  readonly client: RedisClient;
  /** For messages, without a password. */
  readonly name: string;
  /** Begins every key; default `sluice:`. */
  readonly keyPrefix?: string;
  /** Claims, credits, offers and revocations are acknowledged by replicas; absent: by the master alone. */
  readonly acknowledge?: Acknowledge;
  /** For tests. Absent: the clock of the server that runs a script. */
  readonly nowMs?: () => number;
  /** Told each time when a script found that this is not the store that it was when it was opened. */
  readonly onMismatch?: () => void;
  /** Told how long each verb took, ms. */
  readonly onLatency?: (verb: string, ms: number) => void;
  /** Keys that purge looks at in a minute; default 60,000. */
  readonly sweepPerMinute?: number;
  /** `refuse`: there was a store here before, so that a Redis without one has lost it. Default `begin`. */
  readonly whenEmpty?: 'begin' | 'refuse';
}

/**
 * Opens the store in Redis: on one server, behind Sentinel, or on a Cluster. Any number of processes may share it. No script touches two
 * slots; what needs two is two idempotent steps (docs/redis-layout.md).
 * @throws StoreError `corrupt` for one of a later Sluice, `mismatch` for one that is
 * empty and may not be, `unavailable` when it does not answer
 */
export async function openRedisStore(options: RedisStoreOptions): Promise<Store> {
  const { client, name, keyPrefix = DEFAULT_KEY_PREFIX, acknowledge, onLatency = () => {} } = options;
  const clock = redisClock(0, options.nowMs);
  const engine = createEngine({
    client,
    name,
    keys: keyNames(keyPrefix),
    proofs: createProofs({ keyPrefix, isCluster: isClusterClient(client) }),
    onMismatch: options.onMismatch ?? (() => {}),
    ...(acknowledge !== undefined && { acknowledge }),
    clock: clock.argument,
    onLatency,
  });
  const { purge, watermarkSec, note } = purger(
    engine,
    clock,
    options.sweepPerMinute ?? DEFAULT_SWEEP_PER_MINUTE,
  );
  try {
    const opened = await prepare(engine, name, options.whenEmpty ?? 'begin');
    clock.note(opened.clockSec);
    note(opened.watermarkSec);
  } catch (error) {
    await engine.close();
    throw judgeFailure(error, name);
  }
  return {
    ...identity(engine, clock),
    ...cursors(engine),
    ...revocations(engine),
    ...credits(engine),
    ...debits(engine),
    ...leases(engine),
    ...offers(engine, watermarkSec),
    ...books(engine, watermarkSec),
    purge,
    close: () => engine.close(),
  };
}

async function prepare(
  engine: Engine,
  name: string,
  whenEmpty: 'begin' | 'refuse',
): Promise<{ readonly clockSec: number; readonly watermarkSec: number }> {
  const answer = await engine.runStrongly(
    'open-store',
    engine.keys.settings,
    whenEmpty === 'begin' ? randomGeneration() : '',
    String(REDIS_STORE_VERSION),
  );
  if (answer === 'empty') throw engine.lost();
  if (answer === 'importing') {
    throw new StoreError(
      'corrupt',
      `A ledger is being moved to ${name}, and is not whole yet: run \`sluice store migrate\` again, to its end.`,
    );
  }
  const words = wordsOf(answer);
  const version = integerAt(words, 0);
  if (version > REDIS_STORE_VERSION) {
    throw new StoreError(
      'corrupt',
      `The store at ${name} was written by a newer Sluice (store version ${version}, this one knows ${REDIS_STORE_VERSION}). Run that version or a later one.`,
    );
  }
  const generation = wordAt(words, 3);
  if (wordAt(words, 4) === generation) engine.proofs.wantGeneration(generation);
  else await writeProofs(engine, generation);
  return { clockSec: integerAt(words, 1), watermarkSec: integerAt(words, 2) };
}
