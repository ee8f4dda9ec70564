import type { AccountRow, AttemptRow, Books } from '../books.ts';
import {
  type Attempt,
  type AttemptEnd,
  type AttemptEndOutcome,
  type AttemptOutcome,
  MAX_FREE_RETRIES,
  SPEND_KEY_TTL_SEC,
} from '../store.ts';
import { debit, refund, refusalOf } from './accounts.ts';

/** Rule of {@link Store.beginAttempt}. */
export function beginAttempt(books: Books, nowSec: number, asked: Attempt): AttemptOutcome {
  const row = books.account(asked.accountId);
  const before = books.attempt(asked.key);
  if (before !== undefined && nowSec < before.forgetAtSec) {
    const repeated = judgeRetry(books, nowSec, asked, before, row);
    if (repeated !== undefined) return repeated;
  }
  const refusal = refusalOf(books, row, asked.amountMsat, nowSec);
  if (refusal !== undefined) return refusal;
  if (row === undefined) return { kind: 'unknown-account' };
  books.saveAttempt({
    key: asked.key,
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
  if (before.state === 'delivered') return undefined;
  if (before.state === 'in-flight' && nowSec < before.inFlightUntilSec) return { kind: 'in-flight' };
  if (before.freeRetries >= MAX_FREE_RETRIES) return undefined;
  // Costs nothing, but a revoked or expired account gets nothing either.
  const refusal = refusalOf(books, row, asked.amountMsat, nowSec);
  if (refusal !== undefined && refusal.kind !== 'insufficient') return refusal;
  books.saveAttempt({
    ...before,
    state: 'in-flight',
    freeRetries: before.freeRetries + 1,
    ...deadlines(asked, nowSec),
  });
  return { kind: 'free', balanceMsat: row.balanceMsat };
}

function deadlines(asked: Attempt, nowSec: number): Pick<AttemptRow, 'inFlightUntilSec' | 'forgetAtSec'> {
  const inFlightUntilSec = nowSec + asked.inFlightSec;
  return { inFlightUntilSec, forgetAtSec: inFlightUntilSec + SPEND_KEY_TTL_SEC };
}

/** Rule of {@link Store.endAttempt}. */
export function endAttempt(
  books: Books,
  nowSec: number,
  accountId: string,
  key: string,
  end: AttemptEnd,
): AttemptEndOutcome {
  const row = books.account(accountId);
  const attempt = books.attempt(key);
  if (row === undefined || attempt?.accountRef !== row.ref || attempt.state !== 'in-flight')
    return { kind: 'unknown' };
  if (end === 'refunded' && attempt.freeRetries > 0) {
    // Nothing was taken for this retry. The price was for an answer before it, which the client may have read to its last byte.
    const freeRetries = attempt.freeRetries - 1;
    books.saveAttempt({
      ...attempt,
      state: 'undelivered',
      freeRetries,
      forgetAtSec: nowSec + SPEND_KEY_TTL_SEC,
    });
    return { kind: 'ended' };
  }
  if (end === 'refunded') {
    books.removeAttempt(key);
    refund(books, row, attempt.amountMsat, nowSec);
  } else {
    books.saveAttempt({ ...attempt, state: end, forgetAtSec: nowSec + SPEND_KEY_TTL_SEC });
  }
  return { kind: 'ended' };
}
