import type { AccountRow, Books } from '../books.ts';
import { type RefundOutcome, type Spend, type SpendOutcome, StoreError, type VoidOutcome } from '../store.ts';
import { debit, refund, refusalOf } from './accounts.ts';

/** Rule of {@link Store.spend}. */
export function spend(books: Books, nowSec: number, asked: Spend): SpendOutcome {
  const row = books.account(asked.accountId);
  const known =
    row !== undefined && isReady(row, asked, nowSec) ? undefined : seenBefore(books, nowSec, asked, row);
  if (known !== undefined) return known;
  const refusal = refusalOf(books, row, asked.amountMsat, nowSec);
  if (refusal !== undefined) return refusal;
  if (row === undefined) return { kind: 'unknown-account' };
  const { key, amountMsat } = asked;
  // The key's row is the lock on the debit: it is there already when this spend, or its void, came before.
  if (!books.addSpendKey({ key, accountRef: row.ref, amountMsat, voided: false }, nowSec)) {
    return seenBefore(books, nowSec, asked, row) ?? lostKey();
  }
  debit(books, row, amountMsat);
  return { kind: 'spent', balanceMsat: row.balanceMsat };
}

/** Most spends can be paid, and need no look-up of their key before its row is written. */
function isReady(row: AccountRow, asked: Spend, nowSec: number): boolean {
  return !row.revoked && !row.closed && row.expiresAtSec > nowSec && row.balanceMsat >= asked.amountMsat;
}

function seenBefore(
  books: Books,
  nowSec: number,
  asked: Spend,
  row: AccountRow | undefined,
): SpendOutcome | undefined {
  const known = books.spendKey(asked.key, nowSec);
  if (known === undefined) return undefined;
  checkSame(known.accountRef, known.amountMsat, asked, row);
  if (known.voided) return { kind: 'voided' };
  return row === undefined ? lostKey() : { kind: 'repeated', balanceMsat: row.balanceMsat };
}

/** Rule of {@link Store.voidSpend}. */
export function voidSpend(books: Books, nowSec: number, asked: Spend): VoidOutcome {
  const row = books.account(asked.accountId);
  const known = books.spendKey(asked.key, nowSec);
  if (known === undefined) {
    const { key, amountMsat } = asked;
    books.addSpendKey({ key, accountRef: row?.ref ?? 0, amountMsat, voided: true }, nowSec);
    return { kind: 'unknown' };
  }
  checkSame(known.accountRef, known.amountMsat, asked, row);
  if (known.voided) return { kind: 'repeated' };
  if (row === undefined) return lostKey();
  books.voidSpendKey(asked.key, nowSec);
  refund(books, row, known.amountMsat, nowSec);
  return { kind: 'voided' };
}

/** Rule of {@link Store.refundSpend}. */
export function refundSpend(books: Books, nowSec: number, asked: Spend): RefundOutcome {
  const { key, amountMsat } = asked;
  const row = books.account(asked.accountId);
  const known = books.spendKey(key, nowSec);
  if (known !== undefined) {
    checkSame(known.accountRef, known.amountMsat, asked, row);
    if (known.voided) return { kind: 'repeated' };
  }
  if (row === undefined) return { kind: 'unknown-account' };
  if (row.spentMsat < amountMsat)
    throw new StoreError('invalid', 'More is to be given back than was ever spent; nothing was changed.');
  if (known === undefined) books.addSpendKey({ key, accountRef: row.ref, amountMsat, voided: true }, nowSec);
  else books.voidSpendKey(key, nowSec);
  refund(books, row, amountMsat, nowSec);
  return { kind: 'refunded' };
}

function checkSame(accountRef: number, amountMsat: number, asked: Spend, row: AccountRow | undefined): void {
  if ((accountRef === 0 || accountRef === row?.ref) && amountMsat === asked.amountMsat) return;
  throw new StoreError('invalid', 'The key was used for another account or amount; nothing was changed.');
}

function lostKey(): never {
  throw new StoreError('corrupt', 'The store holds the key of a spend whose account is missing.');
}
