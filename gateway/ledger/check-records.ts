import { addMsat, formatMsat, type Msat, ZERO_MSAT } from '../../node/msat.ts';
import { type AccountRecord, countRows, type LedgerRecords } from './records.ts';
import { NO_TOTALS, type Totals } from './store.ts';

/** What looking at every row of a store has shown. */
export interface RecordsReport {
  readonly totals: Totals;
  readonly offers: number;
  readonly revocations: number;
  /** What can't be: each names the row and what is wrong. At most {@link MAX_FINDINGS}. */
  readonly findings: readonly string[];
  /** Findings in all. */
  readonly wrong: number;
  /** Claims whose credit was not made yet: it is made when their holder comes again. */
  readonly claimsWithoutCredit: number;
}

/** Findings that are told. */
export const MAX_FINDINGS = 50;

/**
 * Looks at every row: the books of each account balance, its leases hold what is reserved, and what it was credited is no more than its
 * credits say. Memory: the keys of claims and offers.
 * @throws StoreError when a row is not of the form that is written
 */
export async function checkRecords(records: LedgerRecords): Promise<RecordsReport> {
  const findings: string[] = [];
  let wrong = 0;
  const find = (finding: string): void => {
    wrong += 1;
    if (findings.length < MAX_FINDINGS) findings.push(finding);
  };
  for (const line of await records.damage()) find(`the file: ${line}`);
  const { watermarkSec } = await records.settings();
  const paid = await readPaid(records);
  const credited = new Set<string>();
  let totals: Totals = NO_TOTALS;
  for await (const page of records.accounts()) {
    for (const record of page) {
      for (const finding of findingsOf(record)) find(`account ${record.account.accountId}: ${finding}`);
      for (const { creditKey, expiresAtSec } of record.credits) {
        credited.add(creditKey);
        const paymentHash = creditKey.slice(0, 64);
        // A store that is in use may have been claimed from since its claims were read.
        const isLate = expiresAtSec <= watermarkSec || (await isKnown(records, paid, paymentHash));
        if (!isLate)
          find(`account ${record.account.accountId}: was credited for ${creditKey}, which nobody claimed`);
      }
      totals = add(totals, record);
    }
  }
  return {
    totals: { ...totals, claims: paid.claims },
    offers: paid.offers,
    revocations: await countRows(records.revocations()),
    findings,
    wrong,
    claimsWithoutCredit: paid.creditHashes.filter((hash) => !credited.has(hash)).length,
  };
}

function add(sum: Totals, { account }: AccountRecord): Totals {
  return {
    ...sum,
    accounts: sum.accounts + 1,
    creditedMsat: addMsat(sum.creditedMsat, account.creditedMsat),
    spentMsat: addMsat(sum.spentMsat, account.spentMsat),
    reservedMsat: addMsat(sum.reservedMsat, account.reservedMsat),
    expiredMsat: addMsat(sum.expiredMsat, account.expiredMsat),
    balanceMsat: addMsat(sum.balanceMsat, account.balanceMsat),
  };
}

interface Paid {
  readonly claims: number;
  /** Payment hashes of claims and offers. */
  readonly hashes: ReadonlySet<string>;
  /** Of claims that are to be credited. */
  readonly creditHashes: readonly string[];
  readonly offers: number;
}

async function readPaid(records: LedgerRecords): Promise<Paid> {
  const hashes = new Set<string>();
  const creditHashes: string[] = [];
  let offers = 0;
  let claims = 0;
  for await (const page of records.claims()) {
    claims += page.length;
    for (const { paymentHash, creditMsat } of page) {
      hashes.add(paymentHash);
      if (creditMsat > 0) creditHashes.push(paymentHash);
    }
  }
  for await (const page of records.offers()) {
    offers += page.length;
    for (const { paymentHash } of page) hashes.add(paymentHash);
  }
  return { claims, hashes, creditHashes, offers };
}

async function isKnown(records: LedgerRecords, paid: Paid, paymentHash: string): Promise<boolean> {
  return paid.hashes.has(paymentHash) || (await records.hasPayment(paymentHash));
}

function findingsOf({ account, credits, leasedMsat }: AccountRecord): readonly string[] {
  const findings: string[] = [];
  const { creditedMsat, spentMsat, reservedMsat, expiredMsat, balanceMsat } = account;
  const sum = spentMsat + reservedMsat + expiredMsat + balanceMsat;
  if (creditedMsat !== sum)
    findings.push(
      `credited ${shown(creditedMsat)}, but spent, reserved, expired and balance are ${sum} msat together`,
    );
  if (leasedMsat !== reservedMsat)
    findings.push(`reserved ${shown(reservedMsat)}, but its leases hold ${shown(leasedMsat)}`);
  const known = credits.reduce((total, { amountMsat }) => addMsat(total, amountMsat), ZERO_MSAT);
  if (known > creditedMsat)
    findings.push(`credited ${shown(creditedMsat)}, but its credits are ${shown(known)}`);
  return findings;
}

function shown(amountMsat: Msat): string {
  return formatMsat(amountMsat);
}
