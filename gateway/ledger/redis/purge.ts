import { performance } from 'node:perf_hooks';
import type { Redis } from 'ioredis';
import { CLAIM_GRACE_SEC, type PurgeReport } from '../store.ts';
import { amountAt, integerAt, wordsOf } from './answers.ts';
import { sumOf } from './books.ts';
import type { Engine } from './engine.ts';
import { mastersOf } from './masters.ts';
import { forgetListed } from './offers.ts';
import type { RedisClock } from './store-clock.ts';

/** Accounts that one call visits, with a script each. */
const ACCOUNTS_PER_CALL = 1_000;
/** Keys that one SCAN looks at, and scans of one call. */
const SCAN_COUNT = 500;
const SCANS_PER_CALL = 60;
/** Revocations that one call looks at. */
const REVOCATIONS_PER_CALL = 1_000;
/** Milliseconds in the unit of the pace. */
const MINUTE_MS = 60_000;

/** Where a round over all keys stands: it goes on over many calls. */
interface Round {
  /** Masters that are left, the one under way first, by name. */
  readonly left: string[];
  cursor: string;
}

interface Swept {
  readonly looked: number;
  readonly leases: number;
  readonly expiredMsat: number;
  readonly accounts: number;
}

const NOTHING: Swept = { looked: 0, leases: 0, expiredMsat: 0, accounts: 0 };

/**
 * Redis forgets keys, claims, credits and offers by their TTL. What is left for purge: to close accounts that nobody touches, so that
 * totals are right, to give back their leases, and to keep the watermark and the lists in order.
 * @param keysPerMinute - the pace at which keys are looked at
 */
export function purger(
  engine: Engine,
  clock: RedisClock,
  keysPerMinute: number,
): {
  readonly purge: () => Promise<PurgeReport>;
  readonly watermarkSec: () => number;
  note(sec: number): void;
} {
  let watermarkSec = 0;
  let round: Round | undefined;
  let looked = 0;
  let minute = -1;

  function hasPace(): boolean {
    const now = Math.floor(performance.now() / MINUTE_MS);
    if (now !== minute) looked = 0;
    minute = now;
    return looked < keysPerMinute;
  }

  async function purge(): Promise<PurgeReport> {
    const nowSec = await serverNowSec(engine, clock);
    const args = ['watermark', String(Math.max(0, nowSec - CLAIM_GRACE_SEC)), 'clock', String(nowSec)];
    const words = wordsOf(await engine.runStrongly('raise', engine.keys.settings, ...args));
    watermarkSec = integerAt(words, 0);
    clock.note(integerAt(words, 1));
    if (round === undefined) await forgetListed(engine, watermarkSec);
    round ??= { left: mastersOf(engine.client).map(nameOf), cursor: '0' };
    const swept = await sweep(engine, round, watermarkSec);
    looked += swept.looked;
    const isDone = round.left.length === 0;
    if (isDone) {
      round = undefined;
      await forgetRevocations(engine, watermarkSec);
    }
    return {
      claims: 0,
      accounts: swept.accounts,
      leases: swept.leases,
      keys: 0,
      offers: 0,
      expiredMsat: sumOf([swept.expiredMsat]),
      watermarkSec,
      more: !isDone && hasPace(),
    };
  }

  return {
    purge: () => engine.verb('purge', purge),
    watermarkSec: () => watermarkSec,
    note(sec) {
      watermarkSec = Math.max(watermarkSec, sec);
    },
  };
}

async function serverNowSec(engine: Engine, clock: RedisClock): Promise<number> {
  const known = clock.latestSec();
  if (clock.argument().startsWith('-')) return known;
  const times = await Promise.all(mastersOf(engine.client).map((master) => master.time()));
  return Math.max(known, ...times.map(([sec]) => Number(sec)));
}

function nameOf({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}

/** Goes on with a round until it is done, or has done as much as one call may. */
async function sweep(engine: Engine, round: Round, watermarkSec: number): Promise<Swept> {
  let sum = NOTHING;
  let visited = 0;
  for (let scans = 0; scans < SCANS_PER_CALL && visited < ACCOUNTS_PER_CALL; scans += 1) {
    if (round.left.length === 0) break;
    const [name] = round.left;
    const master = mastersOf(engine.client).find((node) => nameOf(node) === name);
    // A master that is none any more has its keys on another, which a later round comes by.
    if (master === undefined) {
      round.left.shift();
      round.cursor = '0';
      continue;
    }
    const [next, names] = await master.scan(round.cursor, 'MATCH', engine.keys.pattern, 'COUNT', SCAN_COUNT);
    const found = names.flatMap((key) => engine.keys.read(key) ?? []);
    const accounts = found.filter(({ kind }) => kind === 'account');
    visited += accounts.length;
    const swept = await Promise.all(accounts.map(({ id }) => sweepAccount(engine, id, watermarkSec)));
    sum = [sum, ...swept].reduce(add, { ...NOTHING, looked: SCAN_COUNT });
    round.cursor = next;
    if (next !== '0') continue;
    round.left.shift();
  }
  return sum;
}

function add(a: Swept, b: Swept): Swept {
  return {
    looked: a.looked + b.looked,
    leases: a.leases + b.leases,
    expiredMsat: a.expiredMsat + b.expiredMsat,
    accounts: a.accounts + b.accounts,
  };
}

async function sweepAccount(engine: Engine, accountId: string, watermarkSec: number): Promise<Swept> {
  const { account, leases, endedLeases } = engine.keys.of(accountId);
  const args = [engine.clock(), String(watermarkSec)];
  const words = wordsOf(await engine.run('sweep-account', account, leases, endedLeases, ...args));
  return {
    looked: 0,
    leases: integerAt(words, 0),
    expiredMsat: amountAt(words, 1),
    accounts: integerAt(words, 2),
  };
}

/** Forgets revocations until the watermark or before, whose account has nothing left. Each script looks again whether it is still so. */
async function forgetRevocations(engine: Engine, watermarkSec: number): Promise<void> {
  const { keys, client } = engine;
  const over = await client.zrange(
    keys.revocationsByEnd,
    '-inf',
    String(watermarkSec),
    'BYSCORE',
    'LIMIT',
    0,
    REVOCATIONS_PER_CALL,
    'WITHSCORES',
  );
  for (let at = 0; at < over.length; at += 2) {
    const accountId = over[at] ?? '';
    const { account, offers, revocation } = keys.of(accountId);
    const untilSec = over[at + 1] ?? '';
    // First the mark: a revocation that is renewed in between is listed again, and stays.
    if ((await engine.run('forget-mark', account, offers, revocation, untilSec)) === 'kept') continue;
    const lists = [keys.revocationsByNumber, keys.revocationsByEnd];
    await engine.run('forget-revocation', ...lists, accountId, untilSec);
  }
}
