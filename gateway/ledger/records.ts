import type { Msat } from '../../node/msat.ts';
import type { Account, Claim, Offer, Revocation } from './store.ts';

/*
 * A store from the outside, row by row: for `sluice store check` and `sluice store migrate`. No verb of the port is for that, because no
 * gateway may do it.
 */

/** What was credited to an account under one key. */
export interface CreditRecord {
  /** The payment hash, or `<hash>:excess`. */
  readonly creditKey: string;
  readonly amountMsat: Msat;
  /** Unix seconds. */
  readonly expiresAtSec: number;
}

/** An account as it is written, not as it would stand now. */
export interface AccountRecord {
  readonly account: Account;
  /** Its end was noticed. */
  readonly closed: boolean;
  /** Those that were not forgotten yet. */
  readonly credits: readonly CreditRecord[];
  /** What its open leases hold, msat. */
  readonly leasedMsat: Msat;
}

/** A top-up as it is written. */
export interface OfferRecord extends Offer {
  readonly settled: boolean;
}

/** The single values of a store. */
export interface StoreSettings {
  readonly generation: string;
  readonly epoch: number;
  /** Unix seconds. */
  readonly clockSec: number;
  readonly watermarkSec: number;
  readonly settlementCursor: number;
  readonly revocationSequence: number;
  readonly keyFingerprints: readonly string[];
}

/** Reads what a store holds, a page at a time; each row once. @throws StoreError */
export interface LedgerRecords {
  /** For messages. */
  readonly name: string;
  settings(): Promise<StoreSettings>;
  accounts(): AsyncIterable<readonly AccountRecord[]>;
  claims(): AsyncIterable<readonly Claim[]>;
  offers(): AsyncIterable<readonly OfferRecord[]>;
  revocations(): AsyncIterable<readonly Revocation[]>;
  /** Whether there is a claim or an offer on it now. */
  hasPayment(paymentHash: string): Promise<boolean>;
  /** What the storage itself finds wrong with what it holds. */
  damage(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** The rows of all pages. @throws StoreError */
export async function countRows(pages: AsyncIterable<readonly unknown[]>): Promise<number> {
  let rows = 0;
  for await (const page of pages) rows += page.length;
  return rows;
}
