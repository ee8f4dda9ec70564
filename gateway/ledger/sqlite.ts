import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as wait } from 'node:timers/promises';
import { assembleStore } from './assemble-store.ts';
import { sqliteBooks } from './sqlite/books.ts';
import { isBusy, toStoreError } from './sqlite/failure.ts';
import { GroupCommit } from './sqlite/group-commit.ts';
import { checkIsOurs, migrate } from './sqlite/migrations.ts';
import { text } from './sqlite/row.ts';
import { type Store, StoreError } from './store.ts';
import { storeClock } from './store-clock.ts';
import { randomGeneration } from './verbs/identity.ts';

/** SQLite's own wait for a lock blocks the event loop, ms: short, and then we wait without blocking. */
const BLOCKING_WAIT_MS = 2;
/** A lock that another process holds is waited for so long before a verb is `unavailable`, ms. */
const DEFAULT_BUSY_TIMEOUT_MS = 5_000;
/**
 * The log is copied into the file when it has so many pages (16 MB). That blocks the event loop for two syncs and the
 * writing of each page once: rarely, and the log stays bounded.
 */
const CHECKPOINT_PAGES = 4_000;
/** What a write-ahead log that grew is cut back to, bytes. */
const WAL_LIMIT_BYTES = 64 * 1024 * 1024;

/** Where the store is and how safe it plays. */
export interface SqliteStoreOptions {
  readonly file: string;
  readonly nowMs: () => number;
  /** `normal`: a power cut may forget the last debits, never a credit. `full`: every debit is on disk first. */
  readonly spendDurability: 'normal' | 'full';
  /** Told how long each verb took, ms. */
  readonly onLatency?: (verb: string, ms: number) => void;
  /** A lock that another process holds is waited for so long, ms; default 5,000. */
  readonly busyTimeoutMs?: number;
}

/**
 * Opens the store in a SQLite file, making it (mode 0600) when there is none. Several processes on one machine may share it.
 * @throws StoreError `corrupt` for a file that is damaged, of another program or of a newer Sluice; `unavailable` for one
 * that can't be read, written or locked.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { file, nowMs } = options;
  const busyTimeoutMs = options.busyTimeoutMs ?? DEFAULT_BUSY_TIMEOUT_MS;
  const db = openFile(file);
  try {
    await whileBusy(busyTimeoutMs, () => prepareDatabase(db, file));
    const books = sqliteBooks(db);
    const nowSec = storeClock(nowMs, books.counter('clock'));
    const { spendDurability, onLatency = () => {} } = options;
    return assembleStore(
      new GroupCommit({ db, books, file, nowSec, nowMs, spendDurability, busyTimeoutMs, onLatency }),
    );
  } catch (error) {
    db.close();
    throw toStoreError(error, file);
  }
}

function openFile(file: string): DatabaseSync {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // SQLite would make the file with the mode that the umask leaves, and its log with the mode of the file.
    closeSync(openSync(file, 'a', 0o600));
    return new DatabaseSync(file, { timeout: BLOCKING_WAIT_MS });
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) {
      throw new StoreError(
        'unavailable',
        `The store at ${file} can't be opened for writing: ${error.message}.`,
        {
          cause: error,
        },
      );
    }
    throw toStoreError(error, file);
  }
}

function prepareDatabase(db: DatabaseSync, file: string): void {
  checkIsOurs(db, file);
  if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600);
  const mode = db.prepare('PRAGMA journal_mode = WAL').get() ?? {};
  if (text(mode, 'journal_mode') !== 'wal') {
    throw new StoreError(
      'unavailable',
      `The store at ${file} must lie on a local disk: SQLite can't use WAL there.`,
    );
  }
  // fullfsync: what macOS needs for a sync to reach the disk; nothing elsewhere.
  db.exec(
    `PRAGMA fullfsync = ON; PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL;
     PRAGMA journal_size_limit = ${WAL_LIMIT_BYTES}; PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`,
  );
  db.exec('BEGIN IMMEDIATE');
  try {
    migrate(db, file);
    db.prepare("INSERT OR IGNORE INTO settings (name, value) VALUES ('generation', ?)").run(
      randomGeneration(),
    );
    db.exec('COMMIT');
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

async function whileBusy(timeoutMs: number, work: () => void): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      work();
      return;
    } catch (error) {
      if (!isBusy(error) || performance.now() >= deadlineMs) throw error;
    }
    await wait(10);
  }
}
