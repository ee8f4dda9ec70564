import type { Redis } from 'ioredis';
import { msat, ZERO_MSAT } from '../../../node/msat.ts';
import type { AccountRecord, CreditRecord, LedgerRecords, OfferRecord, StoreSettings } from '../records.ts';
import { type Claim, type Revocation, StoreError } from '../store.ts';
import { amountAt, integerAt, wordAt } from './answers.ts';
import { closeRedis, type RedisClient } from './connect.ts';
import { judgeFailure } from './judge-failure.ts';
import { type KeyNames, keyNames, readCreditField } from './key-names.ts';
import { mastersOf } from './masters.ts';
import { parseClaim, parseOffer } from './terms.ts';

/** Keys that one SCAN looks at. */
const SCAN_COUNT = 500;
/** Revocations of a page. */
const REVOCATION_PAGE = 500;
/** Credits that one account may have; a damaged one must not fill the memory. */
const MAX_FIELDS = 100_000;

/**
 * Reads a store in Redis as a whole, while gateways go on: each account as it is at one moment, all of them not at the same.
 * @param client - connected; closed with the records
 */
export function openRedisRecords(client: RedisClient, name: string, keyPrefix: string): LedgerRecords {
  const keys = keyNames(keyPrefix);
  const pages = <T>(
    kind: 'account' | 'claim' | 'offer',
    read: (master: Redis, ids: readonly string[]) => Promise<readonly T[]>,
  ) => pagesOf(client, keys, name, kind, read);
  return {
    name,
    settings: () => judged(name, () => readSettings(client, keys, name)),
    accounts: () => pages('account', (master, ids) => readAccounts(master, keys, ids)),
    claims: () =>
      pages('claim', (master, ids) =>
        readTexts(
          master,
          ids,
          (id) => keys.claim(id),
          (id, text): Claim => parseClaim(id, text),
        ),
      ),
    offers: () =>
      pages('offer', (master, ids) =>
        readTexts(
          master,
          ids,
          (id) => keys.offer(id),
          (id, text): OfferRecord => parseOffer(id, text),
        ),
      ),
    revocations: () => revocationPages(client, keys, name),
    hasPayment: (paymentHash) =>
      judged(name, async () => {
        const [claims, offers] = await Promise.all([
          client.exists(keys.claim(paymentHash)),
          client.exists(keys.offer(paymentHash)),
        ]);
        return claims + offers > 0;
      }),
    damage: async () => [],
    close: () => closeRedis(client),
  };
}

async function judged<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw judgeFailure(error, name);
  }
}

async function* pagesOf<T>(
  client: RedisClient,
  keys: KeyNames,
  name: string,
  wanted: 'account' | 'claim' | 'offer',
  read: (master: Redis, ids: readonly string[]) => Promise<readonly T[]>,
): AsyncGenerator<readonly T[]> {
  // SCAN may name a key twice when Redis resizes its table meanwhile.
  const seen = new Set<string>();
  for (const master of mastersOf(client)) {
    let cursor = '0';
    do {
      const [next, found] = await judged(name, () =>
        master.scan(cursor, 'MATCH', keys.recordPattern, 'COUNT', SCAN_COUNT),
      );
      const ids = found.flatMap((key) => {
        const record = keys.readRecord(key);
        return record?.kind === wanted && !seen.has(record.id) ? [record.id] : [];
      });
      for (const id of ids) seen.add(id);
      cursor = next;
      if (ids.length > 0) yield await judged(name, () => read(master, ids));
    } while (cursor !== '0');
  }
}

async function readTexts<T>(
  master: Redis,
  ids: readonly string[],
  keyOf: (id: string) => string,
  parse: (id: string, text: string) => T,
): Promise<readonly T[]> {
  const texts = await Promise.all(ids.map((id) => master.get(keyOf(id))));
  return ids.flatMap((id, at) => {
    const text = texts[at];
    return text == null ? [] : [parse(id, text)];
  });
}

async function readAccounts(
  master: Redis,
  keys: KeyNames,
  ids: readonly string[],
): Promise<readonly AccountRecord[]> {
  const found = await Promise.all(ids.map((id) => readAccount(master, keys, id)));
  return found.flatMap((record) => record ?? []);
}

/** Its fields and its leases at one moment. */
async function readAccount(
  master: Redis,
  keys: KeyNames,
  accountId: string,
): Promise<AccountRecord | undefined> {
  const { account, leases } = keys.of(accountId);
  const [fields, leased] = (await master.multi().hgetall(account).hgetall(leases).exec()) ?? [];
  const values = stringsOf(fields);
  return values['s'] === undefined
    ? undefined
    : toAccount(accountId, values, Object.values(stringsOf(leased)));
}

function stringsOf(answer: readonly [Error | null, unknown] | undefined): Readonly<Record<string, string>> {
  const [error, value] = answer ?? [];
  if (error) throw error;
  const entries = Object.entries(typeof value === 'object' && value !== null ? value : {});
  if (entries.length > MAX_FIELDS) throw damaged();
  return Object.fromEntries(entries.map(([field, text]) => [field, String(text)]));
}

function toAccount(
  accountId: string,
  fields: Readonly<Record<string, string>>,
  leases: readonly string[],
): AccountRecord {
  const amount = (field: string) => amountAt([fields[field] ?? '0'], 0);
  return {
    account: {
      accountId,
      service: wordAt([fields['s'] ?? ''], 0),
      creditedMsat: amount('c'),
      spentMsat: amount('p'),
      reservedMsat: amount('r'),
      expiredMsat: amount('x'),
      balanceMsat: amount('b'),
      expiresAtSec: integerAt([fields['e'] ?? ''], 0),
      revoked: fields['v'] !== undefined,
    },
    closed: fields['d'] !== undefined,
    credits: Object.entries(fields).flatMap(([field, text]) => toCredit(field, text) ?? []),
    leasedMsat: leases.reduce((sum, text) => msat(sum + amountAt(text.split(' '), 0)), ZERO_MSAT),
  };
}

function toCredit(field: string, text: string): CreditRecord | undefined {
  const creditKey = readCreditField(field);
  if (creditKey === undefined) return undefined;
  const words = text.split(':');
  return { creditKey, amountMsat: amountAt(words, 0), expiresAtSec: integerAt(words, 1) };
}

async function readSettings(client: RedisClient, keys: KeyNames, name: string): Promise<StoreSettings> {
  const [fields, keyFingerprints] = await Promise.all([
    client.hgetall(keys.settings),
    client.smembers(keys.fingerprints),
  ]);
  const generation = fields['generation'];
  if (generation === undefined)
    throw new StoreError('corrupt', `There is no store at ${name} with this keyPrefix.`);
  const number = (field: string): number => integerAt([fields[field] ?? '0'], 0);
  return {
    generation,
    epoch: number('epoch'),
    clockSec: number('clock'),
    watermarkSec: number('watermark'),
    settlementCursor: number('settlement-cursor'),
    revocationSequence: number('revocation-sequence'),
    keyFingerprints,
  };
}

async function* revocationPages(
  client: RedisClient,
  keys: KeyNames,
  name: string,
): AsyncGenerator<readonly Revocation[]> {
  for (let from = 0; ; from += REVOCATION_PAGE) {
    const listed = await judged(name, () =>
      client.zrange(keys.revocationsByNumber, String(from), String(from + REVOCATION_PAGE - 1), 'WITHSCORES'),
    );
    if (listed.length === 0) return;
    const page: Revocation[] = [];
    for (let at = 0; at < listed.length; at += 2) {
      const accountId = listed[at] ?? '';
      const until = await judged(name, () => client.zscore(keys.revocationsByEnd, accountId));
      page.push({ accountId, untilSec: integerAt([until ?? ''], 0), sequence: integerAt(listed, at + 1) });
    }
    yield page;
  }
}

function damaged(): StoreError {
  return new StoreError('corrupt', 'The store is damaged: an account has more fields than there can be.');
}
