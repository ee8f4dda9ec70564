import type { DatabaseSync } from 'node:sqlite';
import type { LeaseBooks, LeaseRow } from '../books.ts';
import { amount, integer, type Row, text } from './row.ts';

const COLUMNS = 'account_ref, lease_id, reserved_msat, slice, ended, until_sec';

function toLease(row: Row): LeaseRow {
  return {
    accountRef: integer(row, 'account_ref'),
    leaseId: text(row, 'lease_id'),
    reservedMsat: amount(row, 'reserved_msat'),
    slice: integer(row, 'slice'),
    ended: integer(row, 'ended') !== 0,
    untilSec: integer(row, 'until_sec'),
  };
}

/** Leases of streams and uploads, live and ended. */
export function leasesTable(db: DatabaseSync): LeaseBooks {
  const find = db.prepare(`SELECT ${COLUMNS} FROM leases WHERE account_ref = ? AND lease_id = ?`);
  const save = db.prepare(
    `INSERT INTO leases (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
       reserved_msat = excluded.reserved_msat, slice = excluded.slice, ended = excluded.ended, until_sec = excluded.until_sec`,
  );
  // By name: left to itself, SQLite takes the primary key, and reads through all that have ended.
  const open = db.prepare(
    `SELECT ${COLUMNS} FROM leases INDEXED BY leases_open WHERE account_ref = ? AND ended = 0`,
  );
  const expired = db.prepare(
    `SELECT ${COLUMNS} FROM leases WHERE ended = 0 AND until_sec <= ? ORDER BY until_sec LIMIT ?`,
  );
  const forget = db.prepare(
    `DELETE FROM leases WHERE (account_ref, lease_id) IN
       (SELECT account_ref, lease_id FROM leases WHERE ended = 1 AND until_sec <= ? ORDER BY until_sec LIMIT ?)`,
  );
  return {
    lease(accountRef, leaseId) {
      const row = find.get(accountRef, leaseId);
      return row === undefined ? undefined : toLease(row);
    },
    saveLease(row) {
      save.run(row.accountRef, row.leaseId, row.reservedMsat, row.slice, Number(row.ended), row.untilSec);
    },
    openLeases: (accountRef) => open.all(accountRef).map(toLease),
    expiredLeases: (nowSec, limit) => expired.all(nowSec, limit).map(toLease),
    forgetLeases: (nowSec, limit) => Number(forget.run(nowSec, limit).changes),
  };
}
