import type { DatabaseSync } from 'node:sqlite';
import { StoreError } from '../store.ts';
import { integer } from './row.ts';

/** Marks the file as ours in its header: `SLUC`. */
const APPLICATION_ID = 0x534c5543;

/*
 * Step n leads from version n to n+1. A step that was released is never changed again.
 *
 * accounts: numbers only, with the names apart, because a debit writes the whole page that its row is on: the more accounts a
 * page holds, the fewer pages a batch of debits writes. No index names an amount. The sum is checked by the database itself.
 * spend_keys: clustered by (period, key). Keys of one gateway come nearly in order, so a debit appends; whole periods are
 * purged from the front. A key is looked for in the present period and the one before (keys-table.ts).
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE settings (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE key_fingerprints (fingerprint TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
   CREATE TABLE account_names (
     account_id TEXT PRIMARY KEY,
     ref INTEGER NOT NULL UNIQUE,
     service TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE accounts (
     ref INTEGER PRIMARY KEY,
     credited_msat INTEGER NOT NULL,
     spent_msat INTEGER NOT NULL,
     reserved_msat INTEGER NOT NULL,
     expired_msat INTEGER NOT NULL,
     balance_msat INTEGER NOT NULL,
     expires_at_sec INTEGER NOT NULL,
     revoked INTEGER NOT NULL,
     closed INTEGER NOT NULL,
     CHECK (spent_msat >= 0 AND reserved_msat >= 0 AND expired_msat >= 0 AND balance_msat >= 0
       AND credited_msat = spent_msat + reserved_msat + expired_msat + balance_msat)
   ) STRICT;
   CREATE INDEX accounts_by_end ON accounts (closed, expires_at_sec);
   CREATE TABLE claims (
     payment_hash TEXT PRIMARY KEY,
     account_id TEXT NOT NULL,
     service TEXT NOT NULL,
     credit_msat INTEGER NOT NULL,
     expires_at_sec INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX claims_by_end ON claims (expires_at_sec);
   CREATE TABLE credits (
     credit_key TEXT PRIMARY KEY,
     account_id TEXT NOT NULL,
     amount_msat INTEGER NOT NULL CHECK (amount_msat > 0),
     expires_at_sec INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX credits_by_end ON credits (expires_at_sec);
   CREATE TABLE spend_keys (
     period INTEGER NOT NULL,
     key TEXT NOT NULL,
     account_ref INTEGER NOT NULL,
     amount_msat INTEGER NOT NULL,
     voided INTEGER NOT NULL,
     PRIMARY KEY (period, key)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE attempts (
     key TEXT PRIMARY KEY,
     account_ref INTEGER NOT NULL,
     fingerprint TEXT NOT NULL,
     amount_msat INTEGER NOT NULL,
     state TEXT NOT NULL CHECK (state IN ('in-flight', 'delivered', 'undelivered')),
     free_retries INTEGER NOT NULL,
     in_flight_until_sec INTEGER NOT NULL,
     forget_at_sec INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX attempts_by_end ON attempts (forget_at_sec);
   CREATE TABLE leases (
     account_ref INTEGER NOT NULL,
     lease_id TEXT NOT NULL,
     reserved_msat INTEGER NOT NULL CHECK (reserved_msat >= 0),
     slice INTEGER NOT NULL,
     ended INTEGER NOT NULL,
     until_sec INTEGER NOT NULL,
     PRIMARY KEY (account_ref, lease_id)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX leases_by_end ON leases (ended, until_sec);
   CREATE TABLE offers (
     payment_hash TEXT PRIMARY KEY,
     account_id TEXT NOT NULL,
     service TEXT NOT NULL,
     amount_msat INTEGER NOT NULL,
     invoice_expires_at_sec INTEGER NOT NULL,
     credit_expires_at_sec INTEGER NOT NULL,
     settled INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX offers_by_account ON offers (account_id);
   CREATE INDEX offers_by_end ON offers (credit_expires_at_sec);
   CREATE INDEX offers_open ON offers (payment_hash) WHERE settled = 0;
   CREATE TABLE revocations (
     account_id TEXT PRIMARY KEY,
     until_sec INTEGER NOT NULL,
     sequence INTEGER NOT NULL UNIQUE
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX revocations_by_end ON revocations (until_sec);`,
  // Tries of before it have no name of their own: they end by their deadline.
  "ALTER TABLE attempts ADD COLUMN attempt_id TEXT NOT NULL DEFAULT ''",
  // spans: `from to from to …`, Unix ms
  `CREATE TABLE paid_time (
     account_ref INTEGER NOT NULL,
     key TEXT NOT NULL,
     spans TEXT NOT NULL,
     rest_millionths INTEGER NOT NULL,
     forget_at_sec INTEGER NOT NULL,
     PRIMARY KEY (account_ref, key)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX paid_time_by_end ON paid_time (forget_at_sec);`,
  // What has ended is kept for a while, and whoever opens and ends streams all the time would make each look at the open ones slow.
  'CREATE INDEX leases_open ON leases (account_ref) WHERE ended = 0',
];

function readPragma(db: DatabaseSync, name: 'application_id' | 'user_version'): number {
  return integer(db.prepare(`PRAGMA ${name}`).get() ?? {}, name);
}

/**
 * Looks, without writing anything, whether the file is a store that this Sluice may use.
 * @returns its version; 0 when it is new
 * @throws StoreError `corrupt` when the file belongs to another program or to a newer Sluice.
 */
export function checkIsOurs(db: DatabaseSync, file: string): number {
  const version = readPragma(db, 'user_version');
  const objects = integer(db.prepare('SELECT count(*) AS n FROM sqlite_schema').get() ?? {}, 'n');
  const isNew = version === 0 && objects === 0;
  if (!isNew && readPragma(db, 'application_id') !== APPLICATION_ID) {
    throw new StoreError(
      'corrupt',
      `${file} is not a Sluice store. Configure another file; this one was not changed.`,
    );
  }
  if (version > MIGRATIONS.length) {
    throw new StoreError(
      'corrupt',
      `${file} was written by a newer Sluice (store version ${version}, this one knows ${MIGRATIONS.length}). ` +
        'Run that version or a later one; the file was not changed.',
    );
  }
  return version;
}

/** Brings a database to the present version, in the transaction that the caller opened. @throws StoreError as {@link checkIsOurs} */
export function migrate(db: DatabaseSync, file: string): void {
  const version = checkIsOurs(db, file);
  if (version === MIGRATIONS.length) return;
  for (const step of MIGRATIONS.slice(version)) db.exec(step);
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${MIGRATIONS.length}`);
}
