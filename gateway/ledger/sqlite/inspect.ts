import { DatabaseSync } from 'node:sqlite';
import { StoreError } from '../store.ts';
import type { StoreFacts } from '../store-facts.ts';
import { toStoreError } from './failure.ts';
import { identityTables } from './identity-tables.ts';
import { checkIsOurs } from './migrations.ts';

/** Another process's lock is waited for so long, ms. */
const LOCK_WAIT_MS = 1_000;

/**
 * Reads a SQLite store without writing to it: it is not migrated, no key is admitted, its epoch is not raised.
 * @throws StoreError
 */
export function inspectSqliteStore(file: string): StoreFacts {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { readOnly: true, timeout: LOCK_WAIT_MS });
    if (checkIsOurs(db, file) === 0) {
      throw new StoreError(
        'corrupt',
        `${file} is empty: a first start was broken off. Start the gateway again.`,
      );
    }
    const tables = identityTables(db);
    return {
      generation: tables.generation(),
      epoch: tables.counter('epoch'),
      clockSec: tables.counter('clock'),
      keyFingerprints: tables.keyFingerprints(),
    };
  } catch (error) {
    throw toStoreError(error, file);
  } finally {
    db?.close();
  }
}
