import type { DatabaseSync } from 'node:sqlite';
import type { IdentityBooks, RevocationBooks } from '../books.ts';
import type { Revocation } from '../store.ts';
import { integer, type Row, text } from './row.ts';

/** Generation, counters and the master keys' fingerprints. */
export function identityTables(db: DatabaseSync): IdentityBooks {
  const read = db.prepare('SELECT value FROM settings WHERE name = ?');
  const write = db.prepare('INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)');
  const fingerprints = db.prepare('SELECT fingerprint FROM key_fingerprints');
  const addFingerprint = db.prepare('INSERT INTO key_fingerprints (fingerprint) VALUES (?)');
  const clearFingerprints = db.prepare('DELETE FROM key_fingerprints');
  return {
    generation: () => text(read.get('generation') ?? {}, 'value'),
    setGeneration(generation) {
      write.run('generation', generation);
    },
    counter(name) {
      const row = read.get(name);
      return row === undefined ? 0 : integer(row, 'value');
    },
    setCounter(name, value) {
      write.run(name, value);
    },
    keyFingerprints: () => fingerprints.all().map((row) => text(row, 'fingerprint')),
    addKeyFingerprint(fingerprint) {
      addFingerprint.run(fingerprint);
    },
    clearKeyFingerprints() {
      clearFingerprints.run();
    },
  };
}

/** The revocation of a row. @throws StoreError `corrupt` */
export function toRevocation(row: Row): Revocation {
  return {
    accountId: text(row, 'account_id'),
    untilSec: integer(row, 'until_sec'),
    sequence: integer(row, 'sequence'),
  };
}

export function revocationsTable(db: DatabaseSync): RevocationBooks {
  const find = db.prepare('SELECT account_id, until_sec, sequence FROM revocations WHERE account_id = ?');
  const save = db.prepare(
    'INSERT OR REPLACE INTO revocations (account_id, until_sec, sequence) VALUES (?, ?, ?)',
  );
  const after = db.prepare(
    'SELECT account_id, until_sec, sequence FROM revocations WHERE sequence > ? ORDER BY sequence LIMIT ?',
  );
  const forget = db.prepare(
    `DELETE FROM revocations WHERE account_id IN (SELECT account_id FROM revocations WHERE until_sec <= ?
       AND NOT EXISTS (SELECT 1 FROM account_names WHERE account_names.account_id = revocations.account_id)
       AND NOT EXISTS (SELECT 1 FROM offers WHERE offers.account_id = revocations.account_id)
       ORDER BY until_sec LIMIT ?)`,
  );
  return {
    revocation(accountId) {
      const row = find.get(accountId);
      return row === undefined ? undefined : toRevocation(row);
    },
    saveRevocation({ accountId, untilSec, sequence }) {
      save.run(accountId, untilSec, sequence);
    },
    revocationsAfter: (sequence, limit) => after.all(sequence, limit).map(toRevocation),
    forgetRevocations: (watermarkSec, limit) => Number(forget.run(watermarkSec, limit).changes),
  };
}
