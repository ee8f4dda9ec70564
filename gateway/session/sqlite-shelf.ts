import { chmodSync, closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as wait } from 'node:timers/promises';
import { isBusy, toStoreError } from '../ledger/sqlite/failure.ts';
import { MAX_SESSIONS, type SessionShelf } from './shelf.ts';
import { MAX_PER_ACCOUNT } from './table.ts';

/** A shelf in a file. */
export interface SqliteShelf extends SessionShelf {
  close(): void;
}

/** What a shelf in a file needs. */
export interface SqliteShelfOptions {
  readonly file: string;
  readonly nowMs: () => number;
  /** Default `MAX_SESSIONS`. */
  readonly maxSessions?: number;
}

/** SQLite's own wait for a lock blocks the event loop, ms. */
const BLOCKING_WAIT_MS = 2;
const BUSY_TIMEOUT_MS = 5_000;
const VERSION = 1;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS session (
    key TEXT PRIMARY KEY,
    sealed BLOB NOT NULL,
    until_sec INTEGER NOT NULL,
    opened INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS session_end ON session (until_sec);
  CREATE INDEX IF NOT EXISTS session_age ON session (opened);
  CREATE TABLE IF NOT EXISTS session_account (
    account_id TEXT NOT NULL,
    opened INTEGER NOT NULL,
    key TEXT NOT NULL REFERENCES session (key) ON DELETE CASCADE,
    PRIMARY KEY (account_id, opened, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS session_account_key ON session_account (key);
  PRAGMA user_version = ${VERSION};
`;

/** The file of the sessions beside a store's own: `ledger.db` → `ledger-sessions.db`. */
export function sessionsFileOf(storeFile: string): string {
  return storeFile.replace(/(\.[^./\\]+)?$/, '-sessions$1');
}

/**
 * Opens the sessions of all processes on one SQLite store, in a file beside it (mode 0600): they are no money, so they wait neither for
 * the ledger's lock nor for its syncs, and a file that was lost costs a browser one more request.
 * @throws StoreError
 */
export async function openSqliteShelf(options: SqliteShelfOptions): Promise<SqliteShelf> {
  const { file } = options;
  try {
    const db = openFile(file);
    await whileBusy(() => prepare(db));
    return shelfOn(db, options);
  } catch (error) {
    throw toStoreError(error, file);
  }
}

function openFile(file: string): DatabaseSync {
  closeSync(openSync(file, 'a', 0o600));
  chmodSync(file, 0o600);
  return new DatabaseSync(file, { timeout: BLOCKING_WAIT_MS });
}

function prepare(db: DatabaseSync): void {
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;');
  const { user_version: version } = db.prepare('PRAGMA user_version').get() ?? {};
  if (typeof version === 'number' && version > VERSION) throw new Error('written by a newer Sluice');
  if (version !== VERSION) db.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT;`);
}

function shelfOn(db: DatabaseSync, options: SqliteShelfOptions): SqliteShelf {
  const { file, nowMs, maxSessions = MAX_SESSIONS } = options;
  const insert = db.prepare('INSERT INTO session (key, sealed, until_sec, opened) VALUES (?, ?, ?, ?)');
  const assign = db.prepare('INSERT INTO session_account (account_id, opened, key) VALUES (?, ?, ?)');
  const newest = db.prepare('SELECT coalesce(max(opened), 0) + 1 AS opened FROM session');
  const expire = db.prepare('DELETE FROM session WHERE until_sec <= ?');
  const boundAccount = db.prepare(
    'DELETE FROM session WHERE key IN (SELECT key FROM session_account WHERE account_id = ? ORDER BY opened DESC LIMIT -1 OFFSET ?)',
  );
  const boundAll = db.prepare(
    'DELETE FROM session WHERE key IN (SELECT key FROM session ORDER BY opened DESC LIMIT -1 OFFSET ?)',
  );
  const select = db.prepare('SELECT sealed FROM session WHERE key = ? AND until_sec > ?');
  const remove = db.prepare('DELETE FROM session WHERE key = ?');
  const nowSec = (): number => Math.floor(nowMs() / 1000);

  const ask = async <T>(work: () => T): Promise<T> => {
    try {
      return await whileBusy(work);
    } catch (error) {
      throw toStoreError(error, file);
    }
  };
  return {
    put: ({ key, sealed, accountIds, untilSec }) =>
      ask(() =>
        inTransaction(db, () => {
          expire.run(nowSec());
          const opened = Number(newest.get()?.['opened']);
          insert.run(key, sealed, untilSec, opened);
          for (const accountId of accountIds) {
            assign.run(accountId, opened, key);
            boundAccount.run(accountId, MAX_PER_ACCOUNT);
          }
          boundAll.run(maxSessions);
        }),
      ),
    get: (key) =>
      ask(() => {
        const sealed = select.get(key, nowSec())?.['sealed'];
        return sealed instanceof Uint8Array ? Buffer.from(sealed) : undefined;
      }),
    drop: (key) => ask(() => void remove.run(key)),
    close: () => db.close(),
  };
}

function inTransaction(db: DatabaseSync, work: () => void): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    work();
    db.exec('COMMIT');
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}

/** Another process has the lock for the time of a small write. */
async function whileBusy<T>(work: () => T): Promise<T> {
  const endMs = performance.now() + BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error) || performance.now() > endMs) throw error;
      await wait(5);
    }
  }
}
