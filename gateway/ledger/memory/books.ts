import { addMsat, ZERO_MSAT } from '../../../node/msat.ts';
import {
  type AccountBooks,
  type AccountRow,
  type AttemptRow,
  type Books,
  type ClaimBooks,
  type Counter,
  type IdentityBooks,
  type KeyBooks,
  type LeaseBooks,
  type LeaseRow,
  NOTHING_PAID,
  type OfferBooks,
  type OfferRow,
  type PaidTime,
  type RevocationBooks,
  type SharedTimeBooks,
  type SpendKeyRow,
} from '../books.ts';
import {
  type Claim,
  type Credit,
  type Offer,
  type Revocation,
  SPEND_KEY_TTL_SEC,
  type Totals,
} from '../store.ts';
import { randomGeneration } from '../verbs/identity.ts';

interface Tables {
  readonly accounts: Map<string, AccountRow>;
  readonly claims: Map<string, Claim>;
  readonly credits: Map<string, Credit>;
  readonly spendKeys: Map<string, SpendKeyRow & { readonly forgetAtSec: number }>;
  readonly attempts: Map<string, AttemptRow>;
  readonly leases: Map<string, LeaseRow>;
  readonly offers: Map<string, OfferRow>;
  readonly revocations: Map<string, Revocation>;
}

/** Books in maps. Scans are plain loops: this is for tests and trials, not for millions of accounts. */
export function memoryBooks(): Books {
  const tables: Tables = {
    accounts: new Map(),
    claims: new Map(),
    credits: new Map(),
    spendKeys: new Map(),
    attempts: new Map(),
    leases: new Map(),
    offers: new Map(),
    revocations: new Map(),
  };
  return {
    ...accountBooks(tables),
    ...claimBooks(tables),
    ...keyBooks(tables),
    ...leaseBooks(tables),
    ...sharedTimeBooks(),
    ...offerBooks(tables),
    ...revocationBooks(tables),
    ...identityBooks(),
  };
}

function take<V>(rows: Map<string, V>, limit: number, fits: (row: V) => boolean): V[] {
  const found: V[] = [];
  for (const row of rows.values()) {
    if (found.length >= limit) break;
    if (fits(row)) found.push(row);
  }
  return found;
}

function forget<V>(rows: Map<string, V>, limit: number, fits: (row: V) => boolean): number {
  let count = 0;
  for (const [key, row] of rows) {
    if (count >= limit) break;
    if (!fits(row)) continue;
    rows.delete(key);
    count += 1;
  }
  return count;
}

/** Rows are changed in place, so that nothing is left for the save verbs to do. */
function savedInPlace(): void {}

function accountBooks({ accounts, claims, leases }: Tables): AccountBooks {
  let lastRef = 0;
  const byRef = (ref: number) => take(accounts, 1, (row) => row.ref === ref)[0];
  const hasLease = (row: AccountRow) => take(leases, 1, (lease) => lease.accountRef === row.ref).length > 0;
  return {
    account: (accountId) => accounts.get(accountId),
    accountByRef: byRef,
    addAccount(accountId, service, expiresAtSec, revoked) {
      lastRef += 1;
      const row: AccountRow = {
        ref: lastRef,
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
      accounts.set(accountId, row);
      return row;
    },
    saveAmounts: savedInPlace,
    saveAccount: savedInPlace,
    accountsToClose: (nowSec, limit) =>
      take(accounts, limit, (row) => !row.closed && row.expiresAtSec <= nowSec),
    forgetAccounts: (watermarkSec, limit) =>
      forget(accounts, limit, (row) => row.closed && row.expiresAtSec <= watermarkSec && !hasLease(row)),
    totals: () => sum(accounts.values(), claims.size),
  };
}

function sum(rows: Iterable<AccountRow>, claims: number): Totals {
  const total = {
    accounts: 0,
    claims,
    creditedMsat: ZERO_MSAT,
    spentMsat: ZERO_MSAT,
    reservedMsat: ZERO_MSAT,
    expiredMsat: ZERO_MSAT,
    balanceMsat: ZERO_MSAT,
  };
  for (const row of rows) {
    total.accounts += 1;
    total.creditedMsat = addMsat(total.creditedMsat, row.creditedMsat);
    total.spentMsat = addMsat(total.spentMsat, row.spentMsat);
    total.reservedMsat = addMsat(total.reservedMsat, row.reservedMsat);
    total.expiredMsat = addMsat(total.expiredMsat, row.expiredMsat);
    total.balanceMsat = addMsat(total.balanceMsat, row.balanceMsat);
  }
  return total;
}

function claimBooks({ claims, credits }: Tables): ClaimBooks {
  return {
    claim: (paymentHash) => claims.get(paymentHash),
    addClaim: (claim) => void claims.set(claim.paymentHash, { ...claim }),
    hasCredit: (creditKey) => credits.has(creditKey),
    creditedMsat: (creditKey) => credits.get(creditKey)?.amountMsat,
    addCredit: (credit) => void credits.set(credit.creditKey, { ...credit }),
    forgetClaims: (watermarkSec, limit) => forget(claims, limit, (row) => row.expiresAtSec <= watermarkSec),
    forgetCredits: (watermarkSec, limit) => forget(credits, limit, (row) => row.expiresAtSec <= watermarkSec),
  };
}

function keyBooks({ spendKeys, attempts }: Tables): KeyBooks {
  return {
    spendKey: (key) => spendKeys.get(key),
    addSpendKey(row, nowSec) {
      if (spendKeys.has(row.key)) return false;
      spendKeys.set(row.key, { ...row, forgetAtSec: nowSec + SPEND_KEY_TTL_SEC });
      return true;
    },
    voidSpendKey(key, nowSec) {
      const row = spendKeys.get(key);
      if (row) spendKeys.set(key, { ...row, voided: true, forgetAtSec: nowSec + SPEND_KEY_TTL_SEC });
    },
    attempt: (key) => attempts.get(key),
    saveAttempt: (row) => void attempts.set(row.key, row),
    removeAttempt: (key) => void attempts.delete(key),
    forgetSpendKeys: (nowSec, limit) => forget(spendKeys, limit, (row) => row.forgetAtSec <= nowSec),
    forgetAttempts: (nowSec, limit) => forget(attempts, limit, (row) => row.forgetAtSec <= nowSec),
  };
}

function leaseBooks({ leases }: Tables): LeaseBooks {
  const nameOf = (accountRef: number, leaseId: string) => `${accountRef} ${leaseId}`;
  return {
    lease: (accountRef, leaseId) => leases.get(nameOf(accountRef, leaseId)),
    saveLease: (row) => void leases.set(nameOf(row.accountRef, row.leaseId), row),
    openLeases: (accountRef) =>
      take(leases, leases.size, (row) => row.accountRef === accountRef && !row.ended),
    expiredLeases: (nowSec, limit) => take(leases, limit, (row) => !row.ended && row.untilSec <= nowSec),
    forgetLeases: (nowSec, limit) => forget(leases, limit, (row) => row.ended && row.untilSec <= nowSec),
  };
}

function sharedTimeBooks(): SharedTimeBooks {
  const rows = new Map<string, { readonly paid: PaidTime; readonly forgetAtSec: number }>();
  const nameOf = (accountRef: number, key: string) => `${accountRef} ${key}`;
  return {
    paidTime(accountRef, key, nowSec) {
      const row = rows.get(nameOf(accountRef, key));
      return row === undefined || row.forgetAtSec <= nowSec ? NOTHING_PAID : row.paid;
    },
    savePaidTime: (accountRef, key, paid, forgetAtSec) =>
      void rows.set(nameOf(accountRef, key), { paid, forgetAtSec }),
    forgetPaidTime: (nowSec, limit) => forget(rows, limit, (row) => row.forgetAtSec <= nowSec),
  };
}

function offerBooks({ offers }: Tables): OfferBooks {
  const payable = (accountId: string, nowSec: number) =>
    take(
      offers,
      offers.size,
      (row) => row.accountId === accountId && !row.settled && row.invoiceExpiresAtSec > nowSec,
    );
  return {
    offer: (paymentHash) => offers.get(paymentHash),
    addOffer: (offer) => void offers.set(offer.paymentHash, { ...offer, settled: false }),
    settleOffer(paymentHash) {
      const row = offers.get(paymentHash);
      if (row) offers.set(paymentHash, { ...row, settled: true });
    },
    removeOffer: (paymentHash) => void offers.delete(paymentHash),
    countPayableOffers: (accountId, nowSec) => payable(accountId, nowSec).length,
    payableOffers: (accountId, nowSec, limit) =>
      payable(accountId, nowSec)
        .sort((a, b) => b.invoiceExpiresAtSec - a.invoiceExpiresAtSec)
        .slice(0, limit)
        .map(({ settled: _, ...offer }): Offer => offer),
    openOffers: (afterHash, limit) =>
      take(offers, offers.size, (row) => !row.settled && row.paymentHash > afterHash)
        .sort((a, b) => (a.paymentHash < b.paymentHash ? -1 : 1))
        .slice(0, limit)
        .map(({ settled: _, ...offer }): Offer => offer),
    forgetOffers: (watermarkSec, limit) =>
      forget(offers, limit, (row) => row.creditExpiresAtSec <= watermarkSec),
  };
}

function revocationBooks({ accounts, offers, revocations }: Tables): RevocationBooks {
  const isInUse = (accountId: string) =>
    accounts.has(accountId) || take(offers, 1, (row) => row.accountId === accountId).length > 0;
  return {
    revocation: (accountId) => revocations.get(accountId),
    saveRevocation: (revocation) => void revocations.set(revocation.accountId, revocation),
    revocationsAfter: (sequence, limit) =>
      [...revocations.values()]
        .filter((row) => row.sequence > sequence)
        .sort((a, b) => a.sequence - b.sequence)
        .slice(0, limit),
    forgetRevocations: (watermarkSec, limit) =>
      forget(revocations, limit, (row) => row.untilSec <= watermarkSec && !isInUse(row.accountId)),
  };
}

function identityBooks(): IdentityBooks {
  let generation = randomGeneration();
  const counters = new Map<Counter, number>();
  const fingerprints = new Set<string>();
  return {
    generation: () => generation,
    setGeneration(next) {
      generation = next;
    },
    counter: (name) => counters.get(name) ?? 0,
    setCounter: (name, value) => void counters.set(name, value),
    keyFingerprints: () => [...fingerprints],
    addKeyFingerprint: (fingerprint) => void fingerprints.add(fingerprint),
    clearKeyFingerprints: () => fingerprints.clear(),
  };
}
