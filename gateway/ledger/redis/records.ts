import type { Redis } from 'ioredis';
import { msat, ZERO_MSAT } from '../../../node/msat.ts';
import type { AccountRecord, CreditRecord, LedgerRecords, OfferRecord, StoreSettings } from '../records.ts';
import { type Claim, type Revocation, StoreError } from '../store.ts';
import { amountAt, integerAt, wordAt } from './answers.ts';
import { closeRedis, type RedisClient } from './connect.ts';
import { judgeFailure } from './judge-failure.ts';
import { type KeyNames, keyNames, readCreditField } from './key-names.ts';
import { type FoundKey, keyPages, readTogether } from './read-pages.ts';
import { parseClaim, parseOffer } from './terms.ts';

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
    kind: FoundKey['kind'],
    read: (master: Redis, found: readonly FoundKey[]) => Promise<readonly T[]>,
  ) => pagesOf(client, keys, name, kind, read);
  return {
    name,
    settings: () => judged(name, () => readSettings(client, keys, name)),
    accounts: () => pages('account', (master, found) => readAccounts(master, found)),
    claims: () => pages('claim', (master, found) => readTexts<Claim>(master, found, parseClaim)),
    offers: () => pages('offer', (master, found) => readTexts<OfferRecord>(master, found, parseOffer)),
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
  kind: FoundKey['kind'],
  read: (master: Redis, found: readonly FoundKey[]) => Promise<readonly T[]>,
): AsyncGenerator<readonly T[]> {
  const pages = keyPages(client, keys, keys.patternOf(kind));
  for (;;) {
    const page = await judged(name, () => pages.next());
    if (page.done === true) return;
    yield await judged(name, () => read(page.value.master, page.value.found));
  }
}

async function readTexts<T>(
  master: Redis,
  found: readonly FoundKey[],
  parse: (id: string, text: string) => T,
): Promise<readonly T[]> {
  const texts = await readTogether(
    master,
    "redis.call('GET', name)",
    found.map(({ name }) => name),
  );
  return found.flatMap(({ id }, at) => {
    const text = texts[at];
    return typeof text === 'string' ? [parse(id, text)] : [];
  });
}

/** Each with its fields and its leases at one moment. */
async function readAccounts(master: Redis, found: readonly FoundKey[]): Promise<readonly AccountRecord[]> {
  // The key of its leases is that of the account but for the last letter.
  const lua = "{ redis.call('HGETALL', name), redis.call('HGETALL', string.sub(name, 1, -2) .. 'l') }";
  const rows = await readTogether(
    master,
    lua,
    found.map(({ name }) => name),
  );
  return found.flatMap(({ id }, at) => {
    const row = rows[at];
    const [fields, leased] = Array.isArray(row) ? row : [];
    const values = pairsOf(fields);
    return values['s'] === undefined ? [] : [toAccount(id, values, Object.values(pairsOf(leased)))];
  });
}

/** Fields and values, which a script answers in turn. */
function pairsOf(answer: unknown): Readonly<Record<string, string>> {
  const flat = Array.isArray(answer) ? answer.map(String) : [];
  if (flat.length > 2 * MAX_FIELDS) throw damaged();
  return Object.fromEntries(flat.flatMap((field, at) => (at % 2 === 0 ? [[field, flat[at + 1] ?? '']] : [])));
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
