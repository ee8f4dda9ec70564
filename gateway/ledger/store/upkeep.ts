import { type Msat, ZERO_MSAT } from '../../../node/msat.ts';

/* What the store says of itself as a whole: parts of the store port, ../store.ts. */

/** One revocation; `until` as Unix seconds, when nothing of that account can be valid any more. */
export interface Revocation {
  readonly accountId: string;
  readonly untilSec: number;
  /** Grows with each revocation of this store. */
  readonly sequence: number;
}

/** Sums over the whole store, msat: for metrics, `store check` and tests. */
export interface Totals {
  readonly accounts: number;
  readonly claims: number;
  readonly creditedMsat: Msat;
  readonly spentMsat: Msat;
  readonly reservedMsat: Msat;
  readonly expiredMsat: Msat;
  readonly balanceMsat: Msat;
}

/** The sums of a store that holds nothing. */
export const NO_TOTALS: Totals = {
  accounts: 0,
  claims: 0,
  creditedMsat: ZERO_MSAT,
  spentMsat: ZERO_MSAT,
  reservedMsat: ZERO_MSAT,
  expiredMsat: ZERO_MSAT,
  balanceMsat: ZERO_MSAT,
};

/** What {@link Store.purge} did: rows forgotten (accounts, claims, keys, offers), leases given back, money expired. */
export interface PurgeReport {
  readonly claims: number;
  readonly accounts: number;
  readonly leases: number;
  readonly keys: number;
  readonly offers: number;
  readonly expiredMsat: Msat;
  /** Unix seconds; claims that expire at or before it are refused. */
  readonly watermarkSec: number;
  /** More is due than one call does: call again. */
  readonly more: boolean;
}

/** Outcome of {@link Store.admitMasterKeys}. */
export type KeyAdmission = { readonly kind: 'first' | 'known' | 'unknown' };
