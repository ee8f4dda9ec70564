import type { Redis } from 'ioredis';
import { addMsat, type Msat, msat, ZERO_MSAT } from '../../../node/msat.ts';
import { checkAccountId, checkPaymentHashes } from '../check-input.ts';
import { NO_TOTALS, type PaymentEntry, type Store, type Totals } from '../store.ts';
import { accountOf, amountAt, wordsOf } from './answers.ts';
import type { Engine } from './engine.ts';
import { creditField } from './key-names.ts';
import { type FoundKey, keyPages, readTogether } from './read-pages.ts';
import { parseClaim, parseOffer } from './terms.ts';

/** What the store holds, for reading. */
export function books(
  engine: Engine,
  watermarkSec: () => number,
): Pick<Store, 'account' | 'paymentEntries' | 'totals'> {
  return {
    account: async (accountId) => {
      checkAccountId(accountId);
      return engine.verb('account', async () => {
        const { account, leases, endedLeases } = engine.keys.of(accountId);
        const answer = await engine.run('read-account', account, leases, endedLeases, engine.clock());
        return answer === 'none' ? undefined : accountOf(accountId, wordsOf(answer));
      });
    },
    paymentEntries: async (paymentHashes) => {
      checkPaymentHashes(paymentHashes);
      return engine.verb('paymentEntries', () =>
        Promise.all(paymentHashes.map((hash) => readEntry(engine, watermarkSec(), hash))),
      );
    },
    totals: () => engine.verb('totals', () => readTotals(engine, watermarkSec())),
  };
}

/** What ended at or before the watermark counts as forgotten, whether its TTL has passed or not. */
async function readEntry(engine: Engine, watermarkSec: number, paymentHash: string): Promise<PaymentEntry> {
  const { keys, client } = engine;
  const [claimText, offerText] = await Promise.all([
    client.get(keys.claim(paymentHash)),
    client.get(keys.offer(paymentHash)),
  ]);
  const claim = claimText === null ? undefined : parseClaim(paymentHash, claimText);
  const offer = offerText === null ? undefined : parseOffer(paymentHash, offerText);
  const accountId = claim?.accountId ?? offer?.accountId;
  const creditKeys = [paymentHash, `${paymentHash}:excess`];
  const fields =
    accountId === undefined
      ? []
      : await client.hmget(keys.account(accountId), ...creditKeys.map(creditField));
  const [creditedMsat, excessMsat] = fields.map((field) => creditOf(field, watermarkSec));
  return {
    paymentHash,
    claim: claim !== undefined && claim.expiresAtSec > watermarkSec ? claim : undefined,
    offer: offer !== undefined && offer.creditExpiresAtSec > watermarkSec ? offer : undefined,
    creditedMsat,
    excessMsat,
  };
}

function creditOf(field: string | null | undefined, watermarkSec: number): Msat | undefined {
  if (field == null) return undefined;
  const [amount = '', end = ''] = field.split(':');
  return Number(end) > watermarkSec ? amountAt([amount], 0) : undefined;
}

/**
 * Reads every account and every claim, in small steps: seconds for some ten thousand, minutes for a million. No snapshot: what changes
 * meanwhile is counted as before or after, each account as a whole.
 */
async function readTotals(engine: Engine, watermarkSec: number): Promise<Totals> {
  const total: { -readonly [Sum in keyof Totals]: Totals[Sum] } = { ...NO_TOTALS };
  const count = (amounts: readonly Msat[]): void => {
    const [credited = ZERO_MSAT, spent = ZERO_MSAT, reserved = ZERO_MSAT] = amounts;
    const [, , , expired = ZERO_MSAT, balance = ZERO_MSAT] = amounts;
    total.accounts += 1;
    total.creditedMsat = addMsat(total.creditedMsat, credited);
    total.spentMsat = addMsat(total.spentMsat, spent);
    total.reservedMsat = addMsat(total.reservedMsat, reserved);
    total.expiredMsat = addMsat(total.expiredMsat, expired);
    total.balanceMsat = addMsat(total.balanceMsat, balance);
  };
  for await (const { master, found } of keyPages(engine.client, engine.keys, engine.keys.pattern)) {
    const { accounts, claims } = await readRows(master, found);
    for (const amounts of accounts) count(amounts);
    total.claims += claims.filter(({ expiresAtSec }) => expiresAtSec > watermarkSec).length;
  }
  return total;
}

interface Rows {
  /** Credited, spent, reserved, expired, balance. */
  readonly accounts: readonly (readonly Msat[])[];
  readonly claims: readonly { readonly expiresAtSec: number }[];
}

/** A claim's text, or an account's service and amounts. */
const READ_ROW =
  "string.sub(name, -1) == 'c' and redis.call('GET', name) or redis.call('HMGET', name, 's', 'c', 'p', 'r', 'x', 'b')";

async function readRows(master: Redis, found: readonly FoundKey[]): Promise<Rows> {
  const accounts: (readonly Msat[])[] = [];
  const claims: { readonly expiresAtSec: number }[] = [];
  const names = found.map(({ name }) => name);
  const rows = await readTogether(master, READ_ROW, names);
  found.forEach(({ kind, id }, at) => {
    const value = rows[at];
    if (kind === 'claim' && typeof value === 'string') claims.push(parseClaim(id, value));
    if (kind !== 'account' || !Array.isArray(value) || value[0] === null) return;
    accounts.push(value.slice(1).map((amount: unknown) => amountAt([String(amount ?? '0')], 0)));
  });
  return { accounts, claims };
}

/** The sum of amounts that scripts report, msat. */
export function sumOf(amounts: readonly number[]): Msat {
  return msat(amounts.reduce((sum, amount) => sum + amount, 0));
}
