import type { DatabaseSync } from 'node:sqlite';
import type { AttemptRow, KeyBooks } from '../books.ts';
import { SPEND_KEY_TTL_SEC, StoreError } from '../store.ts';
import { amount, integer, type Row, text } from './row.ts';

/** Keys are kept by periods: a key of the present period or the one before is known, so for one to two times the TTL. */
function periodOf(nowSec: number): number {
  return Math.floor(nowSec / SPEND_KEY_TTL_SEC);
}

/** Keys of spends, and attempts. */
export function keysTable(db: DatabaseSync): KeyBooks {
  return { ...spendKeys(db), ...attempts(db) };
}

function spendKeys(
  db: DatabaseSync,
): Pick<KeyBooks, 'spendKey' | 'addSpendKey' | 'voidSpendKey' | 'forgetSpendKeys'> {
  const find = db.prepare(
    'SELECT account_ref, amount_msat, voided FROM spend_keys WHERE period IN (?, ?) AND key = ?',
  );
  const add = db.prepare(
    `INSERT INTO spend_keys (period, key, account_ref, amount_msat, voided)
       SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM spend_keys WHERE period = ?1 - 1 AND key = ?2)
       ON CONFLICT DO NOTHING`,
  );
  const setVoided = db.prepare(
    'UPDATE spend_keys SET voided = 1, period = ?1 WHERE period IN (?1, ?1 - 1) AND key = ?2',
  );
  const forget = db.prepare(
    'DELETE FROM spend_keys WHERE (period, key) IN (SELECT period, key FROM spend_keys WHERE period < ? LIMIT ?)',
  );
  return {
    spendKey(key, nowSec) {
      const period = periodOf(nowSec);
      const row = find.get(period, period - 1, key);
      if (row === undefined) return undefined;
      return {
        key,
        accountRef: integer(row, 'account_ref'),
        amountMsat: amount(row, 'amount_msat'),
        voided: integer(row, 'voided') !== 0,
      };
    },
    addSpendKey({ key, accountRef, amountMsat, voided }, nowSec) {
      return add.run(periodOf(nowSec), key, accountRef, amountMsat, Number(voided)).changes === 1;
    },
    voidSpendKey(key, nowSec) {
      setVoided.run(periodOf(nowSec), key);
    },
    forgetSpendKeys: (nowSec, limit) => Number(forget.run(periodOf(nowSec) - 1, limit).changes),
  };
}

function toAttempt(row: Row): AttemptRow {
  return {
    key: text(row, 'key'),
    attemptId: text(row, 'attempt_id'),
    accountRef: integer(row, 'account_ref'),
    fingerprint: text(row, 'fingerprint'),
    amountMsat: amount(row, 'amount_msat'),
    state: toState(text(row, 'state')),
    freeRetries: integer(row, 'free_retries'),
    inFlightUntilSec: integer(row, 'in_flight_until_sec'),
    forgetAtSec: integer(row, 'forget_at_sec'),
  };
}

function toState(state: string): AttemptRow['state'] {
  if (state === 'in-flight' || state === 'delivered' || state === 'undelivered') return state;
  throw new StoreError('corrupt', 'The store is damaged: an attempt is in no known state.');
}

function attempts(
  db: DatabaseSync,
): Pick<KeyBooks, 'attempt' | 'saveAttempt' | 'removeAttempt' | 'forgetAttempts'> {
  const find = db.prepare('SELECT * FROM attempts WHERE key = ?');
  const save = db.prepare(
    `INSERT OR REPLACE INTO attempts
       (key, attempt_id, account_ref, fingerprint, amount_msat, state, free_retries, in_flight_until_sec, forget_at_sec)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const remove = db.prepare('DELETE FROM attempts WHERE key = ?');
  const forget = db.prepare(
    `DELETE FROM attempts WHERE key IN
       (SELECT key FROM attempts WHERE forget_at_sec <= ? ORDER BY forget_at_sec LIMIT ?)`,
  );
  return {
    attempt(key) {
      const row = find.get(key);
      return row === undefined ? undefined : toAttempt(row);
    },
    saveAttempt(row) {
      const name = [row.key, row.attemptId, row.accountRef, row.fingerprint];
      const until = [row.freeRetries, row.inFlightUntilSec, row.forgetAtSec];
      save.run(...name, row.amountMsat, row.state, ...until);
    },
    removeAttempt(key) {
      remove.run(key);
    },
    forgetAttempts: (nowSec, limit) => Number(forget.run(nowSec, limit).changes),
  };
}
