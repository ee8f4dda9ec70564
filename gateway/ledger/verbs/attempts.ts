import { ZERO_MSAT } from '../../../node/msat.ts';
import type { AccountRow, AttemptRow, Books } from '../books.ts';
import {
  type Attempt,
  type AttemptEnd,
  type AttemptEndOutcome,
  type AttemptName,
  type AttemptOutcome,
  MAX_FREE_RETRIES,
  SPEND_KEY_TTL_SEC,
  type VoidOutcome,
} from '../store.ts';
import { debit, refund, refusalOf } from './accounts.ts';

/** Rule of {@link Store.beginAttempt}. */
export function beginAttempt(books: Books, nowSec: number, asked: Attempt): AttemptOutcome {
  const row = books.account(asked.accountId);
  const before = books.attempt(asked.key);
  if (books.spendKey(asked.attemptId, nowSec) !== undefined) return { kind: 'voided' };
  if (before !== undefined && nowSec < before.forgetAtSec) {
    const repeated = judgeRetry(books, nowSec, asked, before, row);
    if (repeated !== undefined) return repeated;
  }
  const refusal = refusalOf(books, row, asked.amountMsat, nowSec);
  if (refusal !== undefined) return refusal;
  if (row === undefined) return { kind: 'unknown-account' };
  books.saveAttempt({
    key: asked.key,
    attemptId: asked.attemptId,
    accountRef: row.ref,
    fingerprint: asked.fingerprint,
    amountMsat: asked.amountMsat,
    state: 'in-flight',
    freeRetries: 0,
    ...deadlines(asked, nowSec),
  });
  debit(books, row, asked.amountMsat);
  return { kind: 'spent', balanceMsat: row.balanceMsat };
}

/** `undefined`: this is to be charged like a first attempt. */
function judgeRetry(
  books: Books,
  nowSec: number,
  asked: Attempt,
  before: AttemptRow,
  row: AccountRow | undefined,
): AttemptOutcome | undefined {
  if (before.accountRef !== row?.ref || before.fingerprint !== asked.fingerprint) return { kind: 'mismatch' };
  if (before.attemptId === asked.attemptId) return repeatedTry(before, row);
  if (before.state === 'delivered') return undefined;
  if (before.state === 'in-flight' && nowSec < before.inFlightUntilSec) return { kind: 'in-flight' };
  if (before.freeRetries >= MAX_FREE_RETRIES) return undefined;
  // Costs nothing, but a revoked or expired account gets nothing either.
  const refusal = refusalOf(books, row, asked.amountMsat, nowSec);
  if (refusal !== undefined && refusal.kind !== 'insufficient') return refusal;
  books.saveAttempt({
    ...before,
    attemptId: asked.attemptId,
    state: 'in-flight',
    freeRetries: before.freeRetries + 1,
    ...deadlines(asked, nowSec),
  });
  return { kind: 'free', balanceMsat: row.balanceMsat };
}

/** The same try again, under way or over: nothing is taken for it a second time. */
function repeatedTry(before: AttemptRow, row: AccountRow): AttemptOutcome {
  if (before.state !== 'in-flight') return { kind: 'voided' };
  return { kind: before.freeRetries === 0 ? 'spent' : 'free', balanceMsat: row.balanceMsat };
}

function deadlines(asked: Attempt, nowSec: number): Pick<AttemptRow, 'inFlightUntilSec' | 'forgetAtSec'> {
  const inFlightUntilSec = nowSec + asked.inFlightSec;
  return { inFlightUntilSec, forgetAtSec: inFlightUntilSec + SPEND_KEY_TTL_SEC };
}

/** Rule of {@link Store.endAttempt}. */
export function endAttempt(
  books: Books,
  nowSec: number,
  asked: AttemptName,
  end: AttemptEnd,
): AttemptEndOutcome {
  const row = books.account(asked.accountId);
  const attempt = books.attempt(asked.key);
  if (row === undefined || !isInFlight(attempt, asked, row)) return { kind: 'unknown' };
  if (end === 'refunded') undo(books, nowSec, attempt, row);
  else books.saveAttempt({ ...attempt, state: end, forgetAtSec: nowSec + SPEND_KEY_TTL_SEC });
  return { kind: 'ended' };
}

/** Rule of {@link Store.voidAttempt}. */
export function voidAttempt(books: Books, nowSec: number, asked: AttemptName): VoidOutcome {
  const row = books.account(asked.accountId);
  const attempt = books.attempt(asked.key);
  if (row !== undefined && isInFlight(attempt, asked, row)) {
    undo(books, nowSec, attempt, row);
    return { kind: 'voided' };
  }
  const isOver =
    row !== undefined && attempt?.accountRef === row.ref && attempt.attemptId === asked.attemptId;
  if (isOver || books.spendKey(asked.attemptId, nowSec) !== undefined) return { kind: 'repeated' };
  refuseFromNowOn(books, nowSec, asked.attemptId, row);
  return { kind: 'unknown' };
}

function isInFlight(
  attempt: AttemptRow | undefined,
  { attemptId }: AttemptName,
  row: AccountRow,
): attempt is AttemptRow {
  return attempt?.accountRef === row.ref && attempt.attemptId === attemptId && attempt.state === 'in-flight';
}

function undo(books: Books, nowSec: number, attempt: AttemptRow, row: AccountRow): void {
  refuseFromNowOn(books, nowSec, attempt.attemptId, row);
  if (attempt.freeRetries > 0) {
    // Nothing was taken for this retry. The price was for an answer before it, which the client may have read to its last byte.
    const freeRetries = attempt.freeRetries - 1;
    const forgetAtSec = nowSec + SPEND_KEY_TTL_SEC;
    books.saveAttempt({ ...attempt, state: 'undelivered', freeRetries, forgetAtSec });
    return;
  }
  books.removeAttempt(attempt.key);
  refund(books, row, attempt.amountMsat, nowSec);
}

/** Kept among the keys of spends, as a spend that was voided. */
function refuseFromNowOn(books: Books, nowSec: number, attemptId: string, row: AccountRow | undefined): void {
  const name = { key: attemptId, accountRef: row?.ref ?? 0 };
  books.addSpendKey({ ...name, amountMsat: ZERO_MSAT, voided: true }, nowSec);
}
