import { addMsat, type Msat, subtractMsat, ZERO_MSAT } from '../../../node/msat.ts';
import type { AccountRow, Books, LeaseRow } from '../books.ts';
import { type Account, type Refusal, SPEND_KEY_TTL_SEC } from '../store.ts';

/** The row as the port shows it. */
export function toAccount(row: AccountRow): Account {
  return {
    accountId: row.accountId,
    service: row.service,
    creditedMsat: row.creditedMsat,
    spentMsat: row.spentMsat,
    reservedMsat: row.reservedMsat,
    expiredMsat: row.expiredMsat,
    balanceMsat: row.balanceMsat,
    expiresAtSec: row.expiresAtSec,
    revoked: row.revoked,
  };
}

/** True from the second at which its latest credit ends. */
export function isOver(row: AccountRow, nowSec: number): boolean {
  return row.closed || row.expiresAtSec <= nowSec;
}

/** Ends a lease: what it still holds goes back to the balance. The caller saves the account. */
export function endLease(books: Books, row: AccountRow, lease: LeaseRow, nowSec: number): void {
  row.reservedMsat = subtractMsat(row.reservedMsat, lease.reservedMsat);
  row.balanceMsat = addMsat(row.balanceMsat, lease.reservedMsat);
  lease.reservedMsat = ZERO_MSAT;
  lease.ended = true;
  lease.untilSec = nowSec + SPEND_KEY_TTL_SEC;
  books.saveLease(lease);
}

/** Moves the balance of an account that is over to expired, and returns how much. */
export function closeIfOver(books: Books, row: AccountRow, nowSec: number): Msat {
  if (!isOver(row, nowSec) || (row.closed && row.balanceMsat === 0)) return ZERO_MSAT;
  const moved = row.balanceMsat;
  row.expiredMsat = addMsat(row.expiredMsat, moved);
  row.balanceMsat = ZERO_MSAT;
  row.closed = true;
  books.saveAccount(row);
  return moved;
}

/** Brings a row up to the present: gives back its expired leases, then expires what is over. */
export function bringUpToDate(books: Books, row: AccountRow, nowSec: number): void {
  if (row.reservedMsat > 0) {
    const expired = books.openLeases(row.ref).filter((lease) => lease.untilSec <= nowSec);
    for (const lease of expired) endLease(books, row, lease, nowSec);
    if (expired.length > 0) books.saveAmounts(row);
  }
  closeIfOver(books, row, nowSec);
}

/** Why the account can't set `amountMsat` aside or spend it now; `undefined` when it can. */
export function refusalOf(
  books: Books,
  row: AccountRow | undefined,
  amountMsat: Msat,
  nowSec: number,
): Refusal | undefined {
  if (row === undefined) return { kind: 'unknown-account' };
  if (row.revoked) return { kind: 'revoked' };
  if (isOver(row, nowSec) || row.balanceMsat < amountMsat) bringUpToDate(books, row, nowSec);
  if (row.closed) return { kind: 'expired' };
  if (row.balanceMsat < amountMsat) return { kind: 'insufficient', balanceMsat: row.balanceMsat };
  return undefined;
}

/** Moves an amount from the balance to spent, and saves. */
export function debit(books: Books, row: AccountRow, amountMsat: Msat): void {
  row.balanceMsat = subtractMsat(row.balanceMsat, amountMsat);
  row.spentMsat = addMsat(row.spentMsat, amountMsat);
  books.saveAmounts(row);
}

/** Gives a debit back. Into an account that is over, it goes on to expired. */
export function refund(books: Books, row: AccountRow, amountMsat: Msat, nowSec: number): void {
  row.spentMsat = subtractMsat(row.spentMsat, amountMsat);
  row.balanceMsat = addMsat(row.balanceMsat, amountMsat);
  books.saveAmounts(row);
  closeIfOver(books, row, nowSec);
}

/** The account as it stands now, for reading: what has expired since it was last written is counted as expired. */
export function readAccount(books: Books, nowSec: number, accountId: string): Account | undefined {
  const row = books.account(accountId);
  if (row === undefined) return undefined;
  let { reservedMsat, balanceMsat, expiredMsat } = row;
  if (reservedMsat > 0) {
    for (const lease of books.openLeases(row.ref)) {
      if (lease.untilSec > nowSec) continue;
      reservedMsat = subtractMsat(reservedMsat, lease.reservedMsat);
      balanceMsat = addMsat(balanceMsat, lease.reservedMsat);
    }
  }
  if (isOver(row, nowSec)) {
    expiredMsat = addMsat(expiredMsat, balanceMsat);
    balanceMsat = ZERO_MSAT;
  }
  return { ...toAccount(row), reservedMsat, balanceMsat, expiredMsat };
}
