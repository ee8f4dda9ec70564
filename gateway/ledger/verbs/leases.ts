import { addMsat, type Msat, subtractMsat } from '../../../node/msat.ts';
import type { AccountRow, Books, LeaseRow } from '../books.ts';
import {
  type Commit,
  type CommitOutcome,
  type Release,
  type ReleaseOutcome,
  type Reserve,
  type ReserveOutcome,
  StoreError,
} from '../store.ts';
import { bringUpToDate, closeIfOver, endLease, refusalOf } from './accounts.ts';
import { billShared } from './shared-time.ts';

/** Rule of {@link Store.reserve}. */
export function reserve(books: Books, nowSec: number, asked: Reserve): ReserveOutcome {
  const row = books.account(asked.accountId);
  if (row !== undefined) {
    bringUpToDate(books, row, nowSec);
    if (books.lease(row.ref, asked.leaseId) !== undefined) {
      return { kind: 'repeated', balanceMsat: row.balanceMsat };
    }
  }
  const refusal = refusalOf(books, row, asked.amountMsat, nowSec);
  if (refusal !== undefined) return refusal;
  if (row === undefined) return { kind: 'unknown-account' };
  if (asked.maxLeases !== undefined && countLive(books, row, nowSec) >= asked.maxLeases) {
    return { kind: 'too-many-leases' };
  }
  books.saveLease({
    accountRef: row.ref,
    leaseId: asked.leaseId,
    reservedMsat: asked.amountMsat,
    slice: 0,
    ended: false,
    untilSec: nowSec + asked.ttlSec,
  });
  row.balanceMsat = subtractMsat(row.balanceMsat, asked.amountMsat);
  row.reservedMsat = addMsat(row.reservedMsat, asked.amountMsat);
  books.saveAmounts(row);
  return { kind: 'reserved', balanceMsat: row.balanceMsat };
}

function countLive(books: Books, row: AccountRow, nowSec: number): number {
  return books.openLeases(row.ref).filter((lease) => lease.untilSec > nowSec).length;
}

interface OpenLease {
  readonly row: AccountRow;
  readonly lease: LeaseRow;
}

function findLive(books: Books, nowSec: number, accountId: string, leaseId: string): OpenLease | undefined {
  const row = books.account(accountId);
  if (row === undefined) return undefined;
  const lease = books.lease(row.ref, leaseId);
  return lease === undefined || lease.ended || lease.untilSec <= nowSec ? undefined : { row, lease };
}

/** Rule of {@link Store.commit}, for commits that name each lease once. */
export function commitAll(
  books: Books,
  nowSec: number,
  commits: readonly Commit[],
): readonly CommitOutcome[] {
  const found = commits.map((asked) => findLive(books, nowSec, asked.accountId, asked.leaseId));
  // All are checked before the first is booked: a refusal must change nothing.
  commits.forEach((asked, index) => {
    const lease = found[index]?.lease;
    if (lease !== undefined && asked.slice > lease.slice) checkCovered(lease, asked.spendMsat);
  });
  return commits.map((asked, index) => commitOne(books, nowSec, asked, found[index]));
}

function commitOne(books: Books, nowSec: number, asked: Commit, found: OpenLease | undefined): CommitOutcome {
  if (found === undefined) return { kind: 'gone' };
  const { row, lease } = found;
  if (asked.slice <= lease.slice) return { kind: 'repeated', ...held(found) };
  const billed = spendReserved(books, nowSec, found, asked);
  lease.slice = asked.slice;
  const refusal = refusalOf(books, row, asked.reserveMsat, nowSec);
  const mustEnd = refusal?.kind === 'revoked' || refusal?.kind === 'expired';
  if (!mustEnd) lease.untilSec = nowSec + asked.ttlSec;
  if (refusal === undefined) {
    row.balanceMsat = subtractMsat(row.balanceMsat, asked.reserveMsat);
    row.reservedMsat = addMsat(row.reservedMsat, asked.reserveMsat);
    lease.reservedMsat = addMsat(lease.reservedMsat, asked.reserveMsat);
  }
  books.saveLease(lease);
  books.saveAmounts(row);
  if (mustEnd) return { kind: refusal.kind, ...billed };
  return { kind: refusal === undefined ? 'committed' : 'insufficient', ...held(found), ...billed };
}

function held({ row, lease }: OpenLease): { readonly balanceMsat: Msat; readonly reservedMsat: Msat } {
  return { balanceMsat: row.balanceMsat, reservedMsat: lease.reservedMsat };
}

/** Rule of {@link Store.release}. */
export function release(books: Books, nowSec: number, asked: Release): ReleaseOutcome {
  const found = findLive(books, nowSec, asked.accountId, asked.leaseId);
  if (found === undefined) return { kind: 'gone' };
  const { row, lease } = found;
  checkCovered(lease, asked.spendMsat);
  const billed = spendReserved(books, nowSec, found, asked);
  endLease(books, row, lease, nowSec);
  books.saveAmounts(row);
  closeIfOver(books, row, nowSec);
  return { kind: 'released', balanceMsat: row.balanceMsat, ...billed };
}

function spendReserved(
  books: Books,
  nowSec: number,
  { row, lease }: OpenLease,
  { spendMsat, shared }: Pick<Release, 'spendMsat' | 'shared'>,
): { readonly billedMsat?: Msat } {
  const amountMsat = shared === undefined ? spendMsat : billShared(books, row, shared, spendMsat, nowSec);
  lease.reservedMsat = subtractMsat(lease.reservedMsat, amountMsat);
  row.reservedMsat = subtractMsat(row.reservedMsat, amountMsat);
  row.spentMsat = addMsat(row.spentMsat, amountMsat);
  return shared === undefined ? {} : { billedMsat: amountMsat };
}

function checkCovered(lease: LeaseRow, amountMsat: Msat): void {
  if (amountMsat <= lease.reservedMsat) return;
  throw new StoreError('invalid', 'spendMsat is more than the lease has reserved; nothing was changed.');
}
