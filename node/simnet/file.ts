import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { NodeError } from '../node.ts';

/** Grows when the tables change; a file of a later version is refused. */
const SCHEMA_VERSION = 1;

const SCHEMA = `
  CREATE TABLE wallets (
    name TEXT PRIMARY KEY,
    private_key BLOB NOT NULL,
    macaroon TEXT NOT NULL,
    balance_msat INTEGER NOT NULL CHECK (balance_msat >= 0),
    inbound_msat INTEGER NOT NULL CHECK (inbound_msat >= 0),
    next_add_index INTEGER NOT NULL DEFAULT 1,
    settle_index INTEGER NOT NULL DEFAULT 0,
    payment_index INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE settled (
    payment_hash TEXT PRIMARY KEY,
    wallet TEXT NOT NULL,
    settle_index INTEGER NOT NULL,
    add_index INTEGER NOT NULL,
    preimage TEXT NOT NULL,
    payment_secret TEXT NOT NULL,
    bolt11 TEXT NOT NULL,
    memo TEXT NOT NULL,
    description_hash TEXT,
    amount_msat INTEGER NOT NULL,
    paid_msat INTEGER NOT NULL,
    created_sec INTEGER NOT NULL,
    expiry_sec INTEGER NOT NULL,
    settled_sec INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX settled_by_settle_index ON settled (wallet, settle_index);
  CREATE UNIQUE INDEX settled_by_add_index ON settled (wallet, add_index);
  CREATE TABLE payments (
    wallet TEXT NOT NULL,
    payment_hash TEXT NOT NULL,
    payment_index INTEGER NOT NULL,
    bolt11 TEXT NOT NULL,
    memo TEXT NOT NULL,
    amount_msat INTEGER NOT NULL,
    fee_msat INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('succeeded', 'failed')),
    preimage TEXT,
    failure TEXT NOT NULL,
    PRIMARY KEY (wallet, payment_hash)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX payments_by_index ON payments (wallet, payment_index);
`;

/**
 * Opens the network's database and keeps it for this process alone until it is closed or the process dies: two processes
 * with the same wallets would each spend the same money.
 * @param file - absent: a database in memory
 * @throws NodeError `not-ready` when another process has it, or it is damaged or of a later version.
 */
export function openSimnetFile(file: string | undefined): DatabaseSync {
  // Made here first, because it holds keys: SQLite would make it readable for everybody.
  if (file !== undefined) closeSync(openSync(file, 'a', 0o600));
  const database = new DatabaseSync(file ?? ':memory:', { timeout: 100 });
  try {
    // The lock is the operating system's, on the file: nothing stays behind after a crash.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; BEGIN EXCLUSIVE;');
    migrate(database);
    database.exec('COMMIT');
    // A preimage leaves this process only after its settlement is on disk.
    database.exec('PRAGMA synchronous = FULL');
    return database;
  } catch (cause) {
    database.close();
    throw cause instanceof NodeError ? cause : explain(file, cause);
  }
}

/** Runs `work` as one transaction: all of it, or, when it throws, nothing. */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    // A failed COMMIT (full disk) may have rolled back by itself.
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

function migrate(database: DatabaseSync): void {
  const version = Object.values(database.prepare('PRAGMA user_version').get() ?? {})[0];
  if (version === SCHEMA_VERSION) return;
  if (version !== 0) {
    throw new NodeError(
      'not-ready',
      `The simulated network's file has version ${version}; this program knows ${SCHEMA_VERSION}. Use a newer Sluice, or another --data folder.`,
    );
  }
  database.exec(SCHEMA);
  database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
}

function explain(file: string | undefined, cause: unknown): NodeError {
  const text = cause instanceof Error ? cause.message : '';
  if (/locked|busy/i.test(text)) {
    return new NodeError(
      'not-ready',
      `The simulated network in ${file} is in use by another process. Give this one a folder of its own (--data DIR), or let both share one network: run \`sluice simnet\` and set node.url.`,
      { cause },
    );
  }
  return new NodeError(
    'not-ready',
    `The simulated network's file ${file} can't be opened: ${text}. It holds play money only; move it away to start anew.`,
    { cause },
  );
}
