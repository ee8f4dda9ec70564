import type {
  Attempt,
  AttemptName,
  Claim,
  Commit,
  Credit,
  Offer,
  Release,
  Reserve,
  SharedTime,
  Spend,
} from './store.ts';
import { MAX_SPANS, StoreError } from './store.ts';

/*
 * What a verb refuses before it comes near the books. Messages name the field and never the value.
 */

const PAYMENT_HASH = /^[0-9a-f]{64}$/;
const CREDIT_KEY = /^[0-9a-f]{64}(:excess)?$/;
const ACCOUNT_ID = /^[0-9a-f]{2,128}$/;
const SERVICE = /^[a-z0-9-]{1,128}$/;
const KEY = /^[\x20-\x7e]{1,128}$/;
const FINGERPRINT = /^[0-9a-f]{16,128}$/;

/** Leases and attempts in flight last at most a day between two signs of life. */
const MAX_TTL_SEC = 24 * 3600;
const MAX_KEYS = 100;
/** Commits in one call. */
export const MAX_COMMITS = 100_000;
/** Rows in one answer. */
export const MAX_PAGE = 1_000;

function refuse(field: string, rule: string): never {
  throw new StoreError('invalid', `${field} ${rule}. This is a bug of the caller; nothing was changed.`);
}

function checkText(field: string, value: string, form: RegExp): void {
  if (typeof value !== 'string' || !form.test(value)) refuse(field, 'does not have the documented form');
}

function checkInteger(field: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    refuse(field, `must be a whole number from ${min} to ${max}`);
  }
}

function checkSeconds(field: string, value: number): void {
  checkInteger(field, value, 0, Number.MAX_SAFE_INTEGER);
}

function checkAmount(field: string, value: number, min: number): void {
  checkInteger(field, value, min, Number.MAX_SAFE_INTEGER);
}

/** @throws StoreError `invalid`, as every function here. */
export function checkAccountId(accountId: string): void {
  checkText('accountId', accountId, ACCOUNT_ID);
}

export function checkPaymentHash(paymentHash: string): void {
  checkText('paymentHash', paymentHash, PAYMENT_HASH);
}

export function checkPaymentHashes(paymentHashes: readonly string[]): void {
  if (paymentHashes.length > MAX_PAGE) refuse('paymentHashes', `must be at most ${MAX_PAGE}`);
  for (const paymentHash of paymentHashes) checkPaymentHash(paymentHash);
}

export function checkClaim(claim: Claim): void {
  checkPaymentHash(claim.paymentHash);
  checkAccountId(claim.accountId);
  checkText('service', claim.service, SERVICE);
  checkAmount('creditMsat', claim.creditMsat, 0);
  checkSeconds('expiresAtSec', claim.expiresAtSec);
}

export function checkCredit(credit: Credit): void {
  checkText('creditKey', credit.creditKey, CREDIT_KEY);
  checkAccountId(credit.accountId);
  checkText('service', credit.service, SERVICE);
  checkAmount('amountMsat', credit.amountMsat, 1);
  checkSeconds('expiresAtSec', credit.expiresAtSec);
}

export function checkSpend(spend: Spend): void {
  checkAccountId(spend.accountId);
  checkText('key', spend.key, KEY);
  checkAmount('amountMsat', spend.amountMsat, 0);
}

export function checkAttempt(attempt: Attempt): void {
  checkAttemptName(attempt);
  checkAmount('amountMsat', attempt.amountMsat, 0);
  checkText('fingerprint', attempt.fingerprint, KEY);
  checkInteger('inFlightSec', attempt.inFlightSec, 1, MAX_TTL_SEC);
}

export function checkAttemptName(attempt: AttemptName): void {
  checkAccountId(attempt.accountId);
  checkText('key', attempt.key, KEY);
  checkText('attemptId', attempt.attemptId, KEY);
}

export function checkAttemptEnd(attempt: AttemptName, end: string): void {
  checkAttemptName(attempt);
  if (end !== 'delivered' && end !== 'undelivered' && end !== 'refunded') {
    refuse('end', 'must be delivered, undelivered or refunded');
  }
}

export function checkReserve(reserve: Reserve): void {
  checkAccountId(reserve.accountId);
  checkText('leaseId', reserve.leaseId, KEY);
  checkAmount('amountMsat', reserve.amountMsat, 0);
  checkInteger('ttlSec', reserve.ttlSec, 1, MAX_TTL_SEC);
  if (reserve.maxLeases !== undefined) checkInteger('maxLeases', reserve.maxLeases, 1, 1_000_000);
}

export function checkCommits(commits: readonly Commit[]): void {
  checkInteger('the number of commits', commits.length, 0, MAX_COMMITS);
  const leases = new Set<string>();
  for (const commit of commits) {
    checkAccountId(commit.accountId);
    checkText('leaseId', commit.leaseId, KEY);
    checkInteger('slice', commit.slice, 1, Number.MAX_SAFE_INTEGER);
    checkAmount('spendMsat', commit.spendMsat, 0);
    checkAmount('reserveMsat', commit.reserveMsat, 0);
    checkInteger('ttlSec', commit.ttlSec, 1, MAX_TTL_SEC);
    if (commit.shared !== undefined) checkShared(commit.shared);
    leases.add(`${commit.accountId} ${commit.leaseId}`);
  }
  if (leases.size !== commits.length) refuse('commits', 'must name each lease once');
}

export function checkRelease(release: Release): void {
  checkAccountId(release.accountId);
  checkText('leaseId', release.leaseId, KEY);
  checkAmount('spendMsat', release.spendMsat, 0);
  if (release.shared !== undefined) checkShared(release.shared);
}

/** Unix ms, thirty thousand years from now. */
const MAX_MS = 1e15;

function checkShared({ key, spans }: SharedTime): void {
  checkText('shared.key', key, KEY);
  checkInteger('the number of spans', spans.length, 0, MAX_SPANS);
  let lastMs = 0;
  for (const [fromMs, toMs] of spans) {
    checkInteger('fromMs', fromMs, lastMs, MAX_MS);
    checkInteger('toMs', toMs, fromMs, MAX_MS);
    lastMs = toMs;
  }
}

export function checkRevocation(accountId: string, untilSec: number): void {
  checkAccountId(accountId);
  checkSeconds('untilSec', untilSec);
}

export function checkOffer(offer: Offer, maxOutstanding: number): void {
  checkPaymentHash(offer.paymentHash);
  checkAccountId(offer.accountId);
  checkText('service', offer.service, SERVICE);
  checkAmount('amountMsat', offer.amountMsat, 1);
  checkSeconds('invoiceExpiresAtSec', offer.invoiceExpiresAtSec);
  checkSeconds('creditExpiresAtSec', offer.creditExpiresAtSec);
  if (offer.creditExpiresAtSec < offer.invoiceExpiresAtSec) {
    refuse(
      'creditExpiresAtSec',
      'must not be before the invoice expires: nobody may pay for what died first',
    );
  }
  checkInteger('maxOutstanding', maxOutstanding, 1, 1_000_000);
}

export function checkSettlement(paymentHash: string, paidMsat: number): void {
  checkPaymentHash(paymentHash);
  checkAmount('paidMsat', paidMsat, 0);
}

export function checkPage(afterHash: string, limit: number): void {
  if (afterHash !== '') checkText('afterHash', afterHash, PAYMENT_HASH);
  checkInteger('limit', limit, 1, MAX_PAGE);
}

export function checkCursor(field: string, cursor: number): void {
  checkInteger(field, cursor, 0, Number.MAX_SAFE_INTEGER);
}

export function checkFingerprints(fingerprints: readonly string[]): void {
  checkInteger('the number of fingerprints', fingerprints.length, 1, MAX_KEYS);
  for (const fingerprint of fingerprints) checkText('fingerprint', fingerprint, FINGERPRINT);
}
