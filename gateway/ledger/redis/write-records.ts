import { readFileSync } from 'node:fs';
import { addMsat } from '../../../node/msat.ts';
import type { AccountRecord, OfferRecord, StoreSettings } from '../records.ts';
import { CLAIM_GRACE_SEC, type Claim, type Revocation, StoreError } from '../store.ts';
import type { RedisClient } from './connect.ts';
import { judgeFailure } from './judge-failure.ts';
import { creditField, keyNames } from './key-names.ts';
import { mastersOf } from './masters.ts';
import { createProofs, isClusterClient } from './proofs.ts';
import { claimText, offerText } from './terms.ts';

/** Keys live longer than their records by this, and so long at least: moving takes its time. Seconds. */
const SLACK_SEC = 3_600;
/** What EXPIRE takes, seconds. */
const MAX_TTL_SEC = 3_200_000_000;
/** Redis has this long to send what was written to its replicas, ms. */
const WAIT_MS = 10_000;

/** How an import began. */
export type ImportStart =
  | 'begun'
  | 'resumed'
  /** The store is there already, whole. */
  | 'finished';

/**
 * Writes the rows of another store into an empty place in Redis. Every write may be repeated. Until {@link ImportTarget.finish} no gateway
 * opens that place.
 */
export interface ImportTarget {
  /** @throws StoreError `invalid` when there is a store already, or another one is being moved there */
  begin(source: StoreSettings): Promise<ImportStart>;
  accounts(page: readonly AccountRecord[]): Promise<void>;
  claims(page: readonly Claim[]): Promise<void>;
  offers(page: readonly OfferRecord[]): Promise<void>;
  revocations(page: readonly Revocation[]): Promise<void>;
  /** Makes it a store: the last step, after everything was looked at. */
  finish(source: StoreSettings): Promise<void>;
}

/** What the writer works with. */
export interface ImportOptions {
  /** Connected; stays open. */
  readonly client: RedisClient;
  readonly name: string;
  readonly keyPrefix: string;
  /** The version of what is written. */
  readonly storeVersion: number;
  /** Replicas that must have everything before it counts; 0: none. */
  readonly replicas: number;
  /** Replicas have this long, ms; default 10,000. */
  readonly waitMs?: number;
}

/** A place in Redis for the rows of another store. */
export function openImport(options: ImportOptions): ImportTarget {
  const { client, name, keyPrefix } = options;
  const keys = keyNames(keyPrefix);
  const judged = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw judgeFailure(error, name);
    }
  };
  const ttlUntil = async (): Promise<(sec: number) => number> => {
    const [master] = mastersOf(client);
    const [nowSec = '0'] = (await master?.time()) ?? [];
    return (sec) => Math.min(Math.max(sec + CLAIM_GRACE_SEC - Number(nowSec), 0) + SLACK_SEC, MAX_TTL_SEC);
  };
  const each = <T>(page: readonly T[], write: (row: T, ttl: (sec: number) => number) => Promise<unknown>) =>
    judged(async () => {
      const ttl = await ttlUntil();
      await Promise.all(page.map((row) => write(row, ttl)));
    });
  return {
    begin: (source) => judged(() => begin(options, source)),
    accounts: (page) => each(page, (record, ttl) => writeAccount(client, keys.account, record, ttl)),
    claims: (page) =>
      each(page, (claim, ttl) =>
        client.set(keys.claim(claim.paymentHash), claimText(claim), 'EX', ttl(claim.expiresAtSec)),
      ),
    offers: (page) =>
      each(page, async (offer, ttl) => {
        const { paymentHash, accountId, settled, creditExpiresAtSec, invoiceExpiresAtSec } = offer;
        if (!settled) {
          const own = keys.of(accountId).offers;
          await client.zadd(own, invoiceExpiresAtSec, paymentHash);
          await client.expire(own, ttl(creditExpiresAtSec));
          await client.zadd(keys.openOffers(paymentHash), creditExpiresAtSec, paymentHash);
        }
        const text = `${settled ? 1 : 0} ${offerText(offer)}`;
        await client.set(keys.offer(paymentHash), text, 'EX', ttl(creditExpiresAtSec));
      }),
    revocations: (page) =>
      each(page, async ({ accountId, untilSec, sequence }, ttl) => {
        const { account, revocation } = keys.of(accountId);
        const ends = Number((await client.hget(account, 'e')) ?? 0);
        await client.set(revocation, String(untilSec), 'EX', ttl(Math.max(untilSec, ends)));
        await client.zadd(keys.revocationsByNumber, sequence, accountId);
        await client.zadd(keys.revocationsByEnd, untilSec, accountId);
      }),
    finish: (source) => judged(() => finish(options, source)),
  };
}

async function begin(
  { client, name, keyPrefix, replicas, waitMs = WAIT_MS }: ImportOptions,
  source: StoreSettings,
): Promise<ImportStart> {
  const keys = keyNames(keyPrefix);
  const lua = readFileSync(new URL('begin-import.lua', import.meta.url), 'utf8');
  const answer = await client.eval(lua, 1, keys.settings, source.generation, String(source.epoch));
  if (answer === 'finished' && replicas > 0) await acknowledged(client, name, replicas, waitMs);
  if (answer === 'resumed' || answer === 'finished') return answer;
  if (answer === 'begun' && !(await hasRecords(client, keys.recordPattern))) return 'begun';
  if (answer === 'begun') await client.hdel(keys.settings, 'importing');
  throw new StoreError('invalid', obstacle(String(answer), name));
}

function obstacle(answer: string, name: string): string {
  switch (answer) {
    case 'other-import':
      return `Another store is being moved to ${name}: finish that first, or empty the place.`;
    case 'used-since':
      return (
        `This ledger was moved to ${name} before, and a gateway has used the old one since: what it sold and charged is not there. ` +
        `Nothing was changed. If no gateway has used ${name} yet, empty it and move again; else keep that one.`
      );
    default:
      return `There is a ledger at ${name} already, and two can't be made one. Choose another keyPrefix, or empty the place.`;
  }
}

async function hasRecords(client: RedisClient, pattern: string): Promise<boolean> {
  for (const master of mastersOf(client)) {
    let cursor = '0';
    do {
      const [next, found] = await master.scan(cursor, 'MATCH', pattern, 'COUNT', 1_000);
      if (found.length > 0) return true;
      cursor = next;
    } while (cursor !== '0');
  }
  return false;
}

/** As the source would have it once its leases are over: what they held is back in the balance. */
async function writeAccount(
  client: RedisClient,
  keyOf: (accountId: string) => string,
  { account, closed, credits }: AccountRecord,
  ttl: (sec: number) => number,
): Promise<void> {
  const key = keyOf(account.accountId);
  const fields: Record<string, string> = {
    s: account.service,
    b: String(addMsat(account.balanceMsat, account.reservedMsat)),
    p: String(account.spentMsat),
    e: String(account.expiresAtSec),
    c: String(account.creditedMsat),
    x: String(account.expiredMsat),
    ...(account.revoked && { v: '1' }),
    ...(closed && { d: '1' }),
  };
  for (const { creditKey, amountMsat, expiresAtSec } of credits)
    fields[creditField(creditKey)] = `${amountMsat}:${expiresAtSec}`;
  await client.del(key);
  await client.hset(key, fields);
  await client.expire(key, ttl(account.expiresAtSec));
}

async function finish(
  { client, name, keyPrefix, storeVersion, replicas, waitMs = WAIT_MS }: ImportOptions,
  source: StoreSettings,
): Promise<void> {
  const keys = keyNames(keyPrefix);
  if (source.keyFingerprints.length > 0) await client.sadd(keys.fingerprints, ...source.keyFingerprints);
  await createProofs({ keyPrefix, isCluster: isClusterClient(client) }).write(client, source.generation);
  if (replicas > 0) await acknowledged(client, name, replicas, waitMs);
  // In one step: from now on it is a store.
  await client
    .multi()
    .hset(keys.settings, {
      version: String(storeVersion),
      generation: source.generation,
      proofs: source.generation,
      // By which the old store is known to be as it was, should this be the last that we do.
      'moved-epoch': String(source.epoch),
      epoch: String(source.epoch),
      clock: String(source.clockSec),
      watermark: String(source.watermarkSec),
      'settlement-cursor': String(source.settlementCursor),
      'revocation-sequence': String(source.revocationSequence),
    })
    .hdel(keys.settings, 'importing')
    .exec();
  // Before the old store is given up: who is promoted without this last step would be no store, and the old one is none any more.
  if (replicas > 0) await acknowledged(client, name, replicas, waitMs);
}

async function acknowledged(
  client: RedisClient,
  name: string,
  replicas: number,
  waitMs: number,
): Promise<void> {
  for (const master of mastersOf(client)) {
    const got = await master.wait(replicas, waitMs);
    if (got >= replicas) continue;
    throw new StoreError(
      'unavailable',
      `${got} of ${replicas} replicas of ${name} have what was written: look at its replicas, and run this again.`,
    );
  }
}
