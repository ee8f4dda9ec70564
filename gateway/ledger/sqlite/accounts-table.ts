import type { DatabaseSync } from 'node:sqlite';
import { ZERO_MSAT } from '../../../node/msat.ts';
import type { AccountBooks, AccountRow } from '../books.ts';
import { amount, integer, type Row, text } from './row.ts';

const COLUMNS = `accounts.ref, account_id, service, credited_msat, spent_msat, reserved_msat, expired_msat, balance_msat,
  expires_at_sec, revoked, closed`;

/** From an array, in the order of COLUMNS: objects with eleven names cost a debit a tenth of its time. */
function toRow(row: Row): AccountRow {
  return {
    ref: integer(row, 0),
    accountId: text(row, 1),
    service: text(row, 2),
    creditedMsat: amount(row, 3),
    spentMsat: amount(row, 4),
    reservedMsat: amount(row, 5),
    expiredMsat: amount(row, 6),
    balanceMsat: amount(row, 7),
    expiresAtSec: integer(row, 8),
    revoked: integer(row, 9) !== 0,
    closed: integer(row, 10) !== 0,
  };
}

/** The accounts as one transaction sees them. */
export interface AccountsTable extends AccountBooks {
  /** Rows read in one transaction say nothing about the next one: another process may write between them. */
  forgetRowsRead(): void;
}

export function accountsTable(db: DatabaseSync): AccountsTable {
  const rows = new Map<string, AccountRow>();
  /** One object an account within a transaction, so that no rule works on a stale copy. */
  const hold = (found: Row | undefined): AccountRow | undefined => {
    if (found === undefined) return undefined;
    const held = rows.get(text(found, 1));
    if (held !== undefined) return held;
    const row = toRow(found);
    rows.set(row.accountId, row);
    return row;
  };
  return {
    ...readers(db, rows, hold),
    ...writers(db, rows),
    totals: totals(db),
    forgetRowsRead: () => rows.clear(),
  };
}

type Hold = (found: Row | undefined) => AccountRow | undefined;

function readers(
  db: DatabaseSync,
  rows: ReadonlyMap<string, AccountRow>,
  hold: Hold,
): Pick<AccountBooks, 'account' | 'accountByRef' | 'accountsToClose'> {
  const byId = db.prepare(
    `SELECT ${COLUMNS} FROM account_names JOIN accounts USING (ref) WHERE account_id = ?`,
  );
  const byRef = db.prepare(
    `SELECT ${COLUMNS} FROM accounts JOIN account_names USING (ref) WHERE accounts.ref = ?`,
  );
  const toClose = db.prepare(
    `SELECT ${COLUMNS} FROM accounts JOIN account_names USING (ref)
       WHERE closed = 0 AND expires_at_sec <= ? ORDER BY expires_at_sec LIMIT ?`,
  );
  for (const statement of [byId, byRef, toClose]) statement.setReturnArrays(true);
  return {
    account: (accountId) => rows.get(accountId) ?? hold(byId.get(accountId)),
    accountByRef: (ref) => hold(byRef.get(ref)),
    accountsToClose: (nowSec, limit) => toClose.all(nowSec, limit).flatMap((found) => hold(found) ?? []),
  };
}

function writers(
  db: DatabaseSync,
  rows: Map<string, AccountRow>,
): Pick<AccountBooks, 'addAccount' | 'saveAmounts' | 'saveAccount' | 'forgetAccounts'> {
  const insert = db.prepare(
    `INSERT INTO accounts (credited_msat, spent_msat, reserved_msat, expired_msat, balance_msat, expires_at_sec, revoked,
       closed) VALUES (0, 0, 0, 0, 0, ?, ?, 0)`,
  );
  const insertName = db.prepare('INSERT INTO account_names (account_id, ref, service) VALUES (?, ?, ?)');
  const updateAmounts = db.prepare(
    'UPDATE accounts SET spent_msat = ?, reserved_msat = ?, expired_msat = ?, balance_msat = ? WHERE ref = ?',
  );
  const update = db.prepare(
    `UPDATE accounts SET credited_msat = ?, spent_msat = ?, reserved_msat = ?, expired_msat = ?, balance_msat = ?,
       expires_at_sec = ?, revoked = ?, closed = ? WHERE ref = ?`,
  );
  const forget = db.prepare(
    `DELETE FROM accounts WHERE ref IN (SELECT ref FROM accounts WHERE closed = 1 AND expires_at_sec <= ?
       AND NOT EXISTS (SELECT 1 FROM leases WHERE account_ref = accounts.ref) ORDER BY expires_at_sec LIMIT ?)
       RETURNING ref`,
  );
  const forgetName = db.prepare('DELETE FROM account_names WHERE ref = ?');
  return {
    addAccount(accountId, service, expiresAtSec, revoked) {
      const ref = Number(insert.run(expiresAtSec, Number(revoked)).lastInsertRowid);
      insertName.run(accountId, ref, service);
      const row: AccountRow = {
        ref,
        accountId,
        service,
        creditedMsat: ZERO_MSAT,
        spentMsat: ZERO_MSAT,
        reservedMsat: ZERO_MSAT,
        expiredMsat: ZERO_MSAT,
        balanceMsat: ZERO_MSAT,
        expiresAtSec,
        revoked,
        closed: false,
      };
      rows.set(accountId, row);
      return row;
    },
    saveAmounts(row) {
      updateAmounts.run(row.spentMsat, row.reservedMsat, row.expiredMsat, row.balanceMsat, row.ref);
    },
    saveAccount(row) {
      const amounts = [row.creditedMsat, row.spentMsat, row.reservedMsat, row.expiredMsat, row.balanceMsat];
      update.run(...amounts, row.expiresAtSec, Number(row.revoked), Number(row.closed), row.ref);
    },
    forgetAccounts(watermarkSec, limit) {
      rows.clear();
      const forgotten = forget.all(watermarkSec, limit);
      for (const row of forgotten) forgetName.run(integer(row, 'ref'));
      return forgotten.length;
    },
  };
}

function totals(db: DatabaseSync): AccountBooks['totals'] {
  const sums = db.prepare(
    `SELECT count(*) AS accounts, (SELECT count(*) FROM claims) AS claims,
       coalesce(sum(credited_msat), 0) AS credited_msat, coalesce(sum(spent_msat), 0) AS spent_msat,
       coalesce(sum(reserved_msat), 0) AS reserved_msat, coalesce(sum(expired_msat), 0) AS expired_msat,
       coalesce(sum(balance_msat), 0) AS balance_msat FROM accounts`,
  );
  return () => {
    const row = sums.get() ?? {};
    return {
      accounts: integer(row, 'accounts'),
      claims: integer(row, 'claims'),
      creditedMsat: amount(row, 'credited_msat'),
      spentMsat: amount(row, 'spent_msat'),
      reservedMsat: amount(row, 'reserved_msat'),
      expiredMsat: amount(row, 'expired_msat'),
      balanceMsat: amount(row, 'balance_msat'),
    };
  };
}
