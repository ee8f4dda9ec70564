import type { ChainableCommander } from 'ioredis';
import { checkAccountId, checkCursor, checkFingerprints, checkRevocation, MAX_PAGE } from '../check-input.ts';
import { type Revocation, type Store, StoreError } from '../store.ts';
import { randomGeneration } from '../verbs/identity.ts';
import { integerAt, kindOf, wordAt, wordsOf } from './answers.ts';
import type { Engine } from './engine.ts';
import { mastersOf } from './masters.ts';
import { isClusterClient } from './proofs.ts';
import type { RedisClock } from './store-clock.ts';

type Identity = Pick<
  Store,
  'generation' | 'newGeneration' | 'admitMasterKeys' | 'epoch' | 'nextEpoch' | 'clock' | 'verify' | 'ping'
>;

/** The clock is written down when it has gone on by so much, seconds. */
const CLOCK_STEP_SEC = 30;

/** What the store is. All of it lies in one slot. */
export function identity(engine: Engine, clock: RedisClock): Identity {
  const { keys } = engine;
  const generation = async (): Promise<string> => {
    const value = await engine.client.hget(keys.settings, 'generation');
    if (value === null) throw engine.lost();
    if (!/^[0-9a-f]{32}$/.test(value)) throw engine.damaged();
    return value;
  };
  return {
    generation: () => engine.verb('generation', generation),
    newGeneration: () =>
      engine.verb('newGeneration', async () => {
        const next = randomGeneration();
        await engine.runStrongly('new-generation', keys.settings, keys.fingerprints, next);
        await writeProofs(engine, next);
        return next;
      }),
    admitMasterKeys: async (fingerprints) => {
      checkFingerprints(fingerprints);
      return engine.verb('admitMasterKeys', async () => {
        const answer = await engine.runStrongly('admit-keys', keys.fingerprints, ...fingerprints);
        return { kind: kindOf(wordsOf(answer), ['first', 'known', 'unknown']) };
      });
    },
    epoch: () => engine.verb('epoch', () => counter(engine, 'epoch')),
    nextEpoch: () =>
      engine.verb('nextEpoch', async () => {
        const epoch = integerAt([await engine.runStrongly('next-epoch', keys.settings)], 0);
        // On a Cluster that would be 16,384 writes: there, the settings alone tell an older copy.
        const isSingle = !isClusterClient(engine.client);
        const raise = (pipeline: ChainableCommander): void => engine.proofs.addRaise(pipeline, epoch);
        if (isSingle) await engine.strongly(keys.settings, raise);
        if (!engine.hasReplicas) await replicated(engine);
        if (isSingle) engine.proofs.wantEpoch(epoch);
        return epoch;
      }),
    clock: () => engine.verb('clock', () => readClock(engine, clock)),
    verify: () => engine.verb('verify', () => verify(engine)),
    ping: () => engine.verb('ping', async () => void (await generation())),
  };
}

/**
 * Writes the proofs of a store that is new or has a new generation, and asks for them from now on. Repeated until it is noted that all
 * are written: until then, whoever opens the store writes them.
 */
export async function writeProofs(engine: Engine, generation: string): Promise<void> {
  engine.proofs.wantGeneration(generation);
  await engine.proofs.write(engine.client, generation);
  await engine.runStrongly('proofs-written', engine.keys.settings, generation);
}

/** Replicas have so long to take the epoch, ms. */
const REPLICATED_MS = 500;

/**
 * Whoever could be promoted has the epoch before this gateway asks for it: a failover right after it was raised would otherwise look like an
 * older copy, and stop the sales. For stores without `wait`, whose strong writes have not waited already: it is once a minute.
 */
async function replicated({ client }: Engine): Promise<void> {
  for (const master of mastersOf(client)) {
    const online = (await master.info('replication')).match(/^slave\d+:.*state=online/gm) ?? [];
    if (online.length === 0 || (await master.wait(1, REPLICATED_MS)) > 0) continue;
    throw new StoreError(
      'unavailable',
      `None of the ${online.length} replicas of Redis took the store's epoch within ${REPLICATED_MS} ms: look at its replicas.`,
    );
  }
}

/** Looks at the settings, and on a Cluster at some slots each time, so that a node that was emptied is found without a verb for it. */
async function verify({ run, keys, proofs, client }: Engine): Promise<void> {
  await run('verify', keys.settings, proofs.wanted()[0]);
  await proofs.check(client);
}

/** One of the store's single numbers; 0 before it was ever written. */
async function counter(engine: Engine, name: 'epoch' | 'settlement-cursor' | 'watermark'): Promise<number> {
  return integerAt([(await engine.client.hget(engine.keys.settings, name)) ?? '0'], 0);
}

/**
 * The latest of all servers' clocks, which is written down: keys have a TTL, and what a clock that was wrong has made Redis forget must
 * be refused when the clock is right again.
 */
async function readClock(engine: Engine, clock: RedisClock): Promise<number> {
  const nowSec = Math.max(clock.latestSec(), await serverSec(engine, clock));
  const written = integerAt([(await engine.client.hget(engine.keys.settings, 'clock')) ?? '0'], 0);
  clock.note(written);
  if (nowSec - written >= CLOCK_STEP_SEC) {
    await engine.run('raise', engine.keys.settings, 'clock', String(nowSec));
    // Not only at the next look: until then a clock that is right again would have what was forgotten sold anew.
    clock.note(nowSec);
  }
  return Math.max(nowSec, written);
}

/** Unix seconds of the server that is ahead of the others. */
async function serverSec(engine: Engine, clock: RedisClock): Promise<number> {
  if (clock.argument().startsWith('-')) return 0;
  const times = await Promise.all(mastersOf(engine.client).map((master) => master.time()));
  return Math.max(0, ...times.map(([sec]) => Number(sec)));
}

/** Where the settlement feed stands, and what purge has reached. */
export function cursors(
  engine: Engine,
): Pick<Store, 'settlementCursor' | 'advanceSettlementCursor' | 'purgeWatermark'> {
  return {
    settlementCursor: () => engine.verb('settlementCursor', () => counter(engine, 'settlement-cursor')),
    advanceSettlementCursor: async (cursor) => {
      checkCursor('cursor', cursor);
      await engine.verb('advanceSettlementCursor', () =>
        engine.runStrongly('raise', engine.keys.settings, 'settlement-cursor', String(cursor)),
      );
    },
    purgeWatermark: () => engine.verb('purgeWatermark', () => counter(engine, 'watermark')),
  };
}

/** Revocations: a mark in the account's slot, and the list that all gateways read. Repeating a revocation makes up for either. */
export function revocations(engine: Engine): Pick<Store, 'revoke' | 'revocationsAfter'> {
  const { keys } = engine;
  const lists = [keys.revocationsByNumber, keys.revocationsByEnd];
  return {
    revoke: async (accountId, untilSec) => {
      checkRevocation(accountId, untilSec);
      await engine.verb('revoke', async () => {
        const { account, revocation } = keys.of(accountId);
        await engine.runStrongly('revoke-account', account, revocation, engine.clock(), String(untilSec));
        await engine.runStrongly('list-revocation', keys.settings, ...lists, accountId, String(untilSec));
      });
    },
    revocationsAfter: async (sequence) => {
      checkCursor('sequence', sequence);
      return engine.verb('revocationsAfter', async () => {
        const answer = await engine.run('revocations-after', ...lists, String(sequence), String(MAX_PAGE));
        return answer === '' ? [] : answer.split(',').map(toRevocation);
      });
    },
  };
}

function toRevocation(row: string): Revocation {
  const words = wordsOf(row);
  const accountId = wordAt(words, 0);
  checkAccountId(accountId);
  return { accountId, untilSec: integerAt(words, 1), sequence: integerAt(words, 2) };
}
