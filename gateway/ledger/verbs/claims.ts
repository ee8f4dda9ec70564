import { addMsat } from '../../../node/msat.ts';
import type { AccountRow, Books } from '../books.ts';
import { type Claim, type ClaimOutcome, type Credit, type CreditOutcome, StoreError } from '../store.ts';
import { bringUpToDate, toAccount } from './accounts.ts';

/** True when what ends then can buy nothing: it is over, or so old that its claim may have been purged. */
export function isTooLate(books: Books, nowSec: number, expiresAtSec: number): boolean {
  return expiresAtSec <= Math.max(nowSec, books.counter('watermark'));
}

/** Rule of {@link Store.claim}. */
export function claim(books: Books, nowSec: number, asked: Claim): ClaimOutcome {
  const verdict = judgeClaim(books, nowSec, asked);
  if (verdict.kind === 'claimed') books.addClaim(asked);
  return verdict;
}

function judgeClaim(books: Books, nowSec: number, asked: Claim): ClaimOutcome {
  if (isTooLate(books, nowSec, asked.expiresAtSec)) return { kind: 'too-late' };
  if (books.revocation(asked.accountId) !== undefined) return { kind: 'revoked' };
  const first = books.claim(asked.paymentHash);
  if (first === undefined) return { kind: 'claimed' };
  const same =
    first.accountId === asked.accountId &&
    first.service === asked.service &&
    first.creditMsat === asked.creditMsat &&
    first.expiresAtSec === asked.expiresAtSec;
  return { kind: same ? 'repeated' : 'taken' };
}

/** Rule of {@link Store.redeem}: the claim and its credit in one. */
export function redeem(books: Books, nowSec: number, asked: Claim): ClaimOutcome {
  const verdict = judgeClaim(books, nowSec, asked);
  if (verdict.kind !== 'claimed' && verdict.kind !== 'repeated') return verdict;
  // The credit comes first because it may refuse, and a refusal must leave no claim behind.
  if (asked.creditMsat > 0) {
    credit(books, nowSec, {
      creditKey: asked.paymentHash,
      accountId: asked.accountId,
      service: asked.service,
      amountMsat: asked.creditMsat,
      expiresAtSec: asked.expiresAtSec,
    });
  }
  if (verdict.kind === 'claimed') books.addClaim(asked);
  return verdict;
}

/** Rule of {@link Store.credit}. */
export function credit(books: Books, nowSec: number, asked: Credit): CreditOutcome {
  if (isTooLate(books, nowSec, asked.expiresAtSec)) return { kind: 'too-late' };
  const found = books.account(asked.accountId);
  if (found !== undefined) checkFits(found, asked);
  if (books.hasCredit(asked.creditKey)) {
    if (found === undefined) throw new StoreError('invalid', 'creditKey was used for another account.');
    bringUpToDate(books, found, nowSec);
    return { kind: 'repeated', account: toAccount(found) };
  }
  const row = found ?? openAccount(books, asked);
  // What had expired before this credit stays expired; the account opens again with the new credit alone.
  bringUpToDate(books, row, nowSec);
  books.addCredit(asked);
  row.creditedMsat = addMsat(row.creditedMsat, asked.amountMsat);
  row.balanceMsat = addMsat(row.balanceMsat, asked.amountMsat);
  row.expiresAtSec = Math.max(row.expiresAtSec, asked.expiresAtSec);
  row.closed = false;
  books.saveAccount(row);
  return { kind: 'credited', account: toAccount(row) };
}

function openAccount(books: Books, asked: Credit): AccountRow {
  const revoked = books.revocation(asked.accountId) !== undefined;
  return books.addAccount(asked.accountId, asked.service, asked.expiresAtSec, revoked);
}

function checkFits(row: AccountRow, asked: Credit): void {
  if (row.service !== asked.service) {
    throw new StoreError('invalid', 'The account belongs to another service; nothing was changed.');
  }
  if (row.creditedMsat + asked.amountMsat > Number.MAX_SAFE_INTEGER) {
    throw new StoreError('invalid', 'The account would hold more than 2^53-1 msat; nothing was changed.');
  }
}
