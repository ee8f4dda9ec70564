import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AccountRecord, CreditRecord, LedgerRecords, StoreSettings } from '../records.ts';
import { StoreError } from '../store.ts';
import { randomGeneration } from '../verbs/identity.ts';
import { toClaim } from './claims-table.ts';
import { isBusy, toStoreError } from './failure.ts';
import { identityTables, toRevocation } from './identity-tables.ts';
import { checkIsOurs } from './migrations.ts';
import { toStoredOffer } from './offers-table.ts';
import { amount, integer, type Row, text } from './row.ts';

/** Rows of a page. */
const PAGE = 500;
/** Another process's lock is waited for so long, ms. */
const LOCK_WAIT_MS = 2_000;

/**
 * How a file is opened. `snapshot`: as it is at this moment, while gateways go on. `alone`: nobody else may have it open, now and until it is
 * closed.
 */
export type RecordsLock = 'snapshot' | 'alone';

/** A SQLite store, read as a whole. */
export interface SqliteRecords extends LedgerRecords {
  /** Gives the file another generation: what was sold from it is good in another store now, and must not be good in both. */
  retire(): void;
}

/**
 * Opens a SQLite store for reading it as a whole.
 * @throws StoreError `unavailable` when there is no such file, or a gateway has it open and it is wanted alone
 */
export function openSqliteRecords(file: string, lock: RecordsLock): SqliteRecords {
  // To be alone SQLite has to write, and so it would make the file that a mistyped name stands for.
  if (!existsSync(file)) throw new StoreError('unavailable', `There is no file ${file}.`);
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { readOnly: lock === 'snapshot', timeout: LOCK_WAIT_MS });
    if (checkIsOurs(db, file) === 0) throw new StoreError('corrupt', `${file} is empty: it holds no store.`);
    // In exclusive mode SQLite wants the whole file, which every connection of a gateway holds a share of as long as it is open.
    if (lock === 'alone') db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT');
    db.exec('BEGIN');
    return recordsOf(db, file);
  } catch (error) {
    db?.close();
    if (lock === 'alone' && isBusy(error)) {
      throw new StoreError('unavailable', `${file} is in use: stop every gateway on it first.`, {
        cause: error,
      });
    }
    throw toStoreError(error, file);
  }
}

function recordsOf(db: DatabaseSync, file: string): SqliteRecords {
  const identity = identityTables(db);
  const pages = <T>(sql: string, toRecord: (row: Row) => T): AsyncIterable<readonly T[]> =>
    pagesOf(db, file, sql, toRecord);
  const known = db.prepare(
    'SELECT 1 AS known FROM claims WHERE payment_hash = ? UNION ALL SELECT 1 FROM offers WHERE payment_hash = ?',
  );
  return {
    name: file,
    settings: async (): Promise<StoreSettings> => ({
      generation: identity.generation(),
      epoch: identity.counter('epoch'),
      clockSec: identity.counter('clock'),
      watermarkSec: identity.counter('watermark'),
      settlementCursor: identity.counter('settlement-cursor'),
      revocationSequence: identity.counter('revocation-sequence'),
      keyFingerprints: identity.keyFingerprints(),
    }),
    accounts: () => accountPages(db, file),
    claims: () => pages('SELECT * FROM claims ORDER BY payment_hash', toClaim),
    offers: () => pages('SELECT * FROM offers ORDER BY payment_hash', toStoredOffer),
    revocations: () => pages('SELECT * FROM revocations ORDER BY sequence', toRevocation),
    hasPayment: async (paymentHash) => known.get(paymentHash, paymentHash) !== undefined,
    damage: async () => {
      const found = db
        .prepare('PRAGMA integrity_check(20)')
        .all()
        .map((row) => text(row, 'integrity_check'));
      return found.filter((line) => line !== 'ok');
    },
    retire: () => {
      db.exec('COMMIT; BEGIN IMMEDIATE');
      identity.setGeneration(randomGeneration());
      identity.clearKeyFingerprints();
      db.exec('COMMIT; BEGIN');
    },
    close: async () => {
      if (db.isTransaction) db.exec('COMMIT');
      db.close();
    },
  };
}

async function* pagesOf<T>(
  db: DatabaseSync,
  file: string,
  sql: string,
  toRecord: (row: Row) => T,
): AsyncGenerator<readonly T[]> {
  let page: T[] = [];
  try {
    for (const row of db.prepare(sql).iterate()) {
      page.push(toRecord(row));
      if (page.length < PAGE) continue;
      yield page;
      page = [];
      await nextTurn();
    }
  } catch (error) {
    throw toStoreError(error, file);
  }
  if (page.length > 0) yield page;
}

const ACCOUNTS = `SELECT accounts.*, account_id, service,
    (SELECT coalesce(sum(reserved_msat), 0) FROM leases WHERE account_ref = accounts.ref AND ended = 0) AS leased_msat
  FROM account_names JOIN accounts USING (ref) ORDER BY account_id`;
const CREDITS = 'SELECT * FROM credits ORDER BY account_id';

/** Accounts and their credits side by side, both in the order of account ids. */
async function* accountPages(db: DatabaseSync, file: string): AsyncGenerator<readonly AccountRecord[]> {
  const credits = db.prepare(CREDITS).iterate();
  let next = credits.next();
  const creditsOf = (accountId: string): readonly CreditRecord[] => {
    const own: CreditRecord[] = [];
    while (!next.done) {
      const owner = text(next.value, 'account_id');
      // Those of an account that was forgotten are as old as it was.
      if (owner > accountId) break;
      if (owner === accountId) own.push(toCredit(next.value));
      next = credits.next();
    }
    return own;
  };
  yield* pagesOf(db, file, ACCOUNTS, (row) => toAccount(row, creditsOf(text(row, 'account_id'))));
}

function toAccount(row: Row, credits: readonly CreditRecord[]): AccountRecord {
  return {
    account: {
      accountId: text(row, 'account_id'),
      service: text(row, 'service'),
      creditedMsat: amount(row, 'credited_msat'),
      spentMsat: amount(row, 'spent_msat'),
      reservedMsat: amount(row, 'reserved_msat'),
      expiredMsat: amount(row, 'expired_msat'),
      balanceMsat: amount(row, 'balance_msat'),
      expiresAtSec: integer(row, 'expires_at_sec'),
      revoked: integer(row, 'revoked') !== 0,
    },
    closed: integer(row, 'closed') !== 0,
    credits,
    leasedMsat: amount(row, 'leased_msat'),
  };
}

function toCredit(row: Row): CreditRecord {
  return {
    creditKey: text(row, 'credit_key'),
    amountMsat: amount(row, 'amount_msat'),
    expiresAtSec: integer(row, 'expires_at_sec'),
  };
}
