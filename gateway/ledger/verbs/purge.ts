import { addMsat, type Msat, ZERO_MSAT } from '../../../node/msat.ts';
import type { Books } from '../books.ts';
import { CLAIM_GRACE_SEC, type PurgeReport, StoreError } from '../store.ts';
import { closeIfOver, endLease } from './accounts.ts';
import { raise } from './identity.ts';

/** Rows of one kind that one purge handles, so that it never holds the event loop or the lock for long. */
export const PURGE_CHUNK = 1_000;

/** Rule of {@link Store.purge}. */
export function purge(books: Books, nowSec: number): PurgeReport {
  // The watermark is written with the deletions: whoever finds a claim gone finds the watermark past it.
  raise(books, 'watermark', nowSec - CLAIM_GRACE_SEC);
  raise(books, 'clock', nowSec);
  const watermarkSec = books.counter('watermark');
  const leases = giveBackLeases(books, nowSec);
  const closed = closeAccounts(books, nowSec);
  const spendKeys = books.forgetSpendKeys(nowSec, PURGE_CHUNK);
  const attempts = books.forgetAttempts(nowSec, PURGE_CHUNK);
  const endedLeases = books.forgetLeases(nowSec, PURGE_CHUNK);
  const paidTime = books.forgetPaidTime(nowSec, PURGE_CHUNK);
  const claims = books.forgetClaims(watermarkSec, PURGE_CHUNK);
  const credits = books.forgetCredits(watermarkSec, PURGE_CHUNK);
  const offers = books.forgetOffers(watermarkSec, PURGE_CHUNK);
  const accounts = books.forgetAccounts(watermarkSec, PURGE_CHUNK);
  const revocations = books.forgetRevocations(watermarkSec, PURGE_CHUNK);
  const counts = [
    leases.count,
    closed.count,
    spendKeys,
    attempts,
    endedLeases,
    paidTime,
    claims,
    credits,
    offers,
    accounts,
    revocations,
  ];
  return {
    claims,
    accounts,
    leases: leases.count,
    keys: spendKeys + attempts + endedLeases,
    offers,
    expiredMsat: addMsat(leases.expiredMsat, closed.expiredMsat),
    watermarkSec,
    more: counts.some((count) => count >= PURGE_CHUNK),
  };
}

interface Step {
  readonly count: number;
  readonly expiredMsat: Msat;
}

function giveBackLeases(books: Books, nowSec: number): Step {
  const leases = books.expiredLeases(nowSec, PURGE_CHUNK);
  let expiredMsat: Msat = ZERO_MSAT;
  for (const lease of leases) {
    const row = books.accountByRef(lease.accountRef);
    if (row === undefined)
      throw new StoreError('corrupt', 'The store holds a lease whose account is missing.');
    endLease(books, row, lease, nowSec);
    books.saveAmounts(row);
    expiredMsat = addMsat(expiredMsat, closeIfOver(books, row, nowSec));
  }
  return { count: leases.length, expiredMsat };
}

function closeAccounts(books: Books, nowSec: number): Step {
  const rows = books.accountsToClose(nowSec, PURGE_CHUNK);
  let expiredMsat: Msat = ZERO_MSAT;
  for (const row of rows) expiredMsat = addMsat(expiredMsat, closeIfOver(books, row, nowSec));
  return { count: rows.length, expiredMsat };
}
