import type { Msat } from '../../../node/msat.ts';
import type { Refusal } from './spends.ts';

/* Money that is set aside and spent step by step: parts of the store port, ../store.ts. */

/**
 * Opens a lease: sets an amount aside for a stream or an upload, which expires by itself when its gateway dies. With an amount of 0 it is a
 * place among `maxLeases` and no more: it needs no balance, only an account that is neither revoked nor over.
 */
export interface Reserve {
  readonly accountId: string;
  readonly leaseId: string;
  readonly amountMsat: Msat;
  /** Seconds until the lease expires unless a commit renews it; then what is reserved goes back to the balance. */
  readonly ttlSec: number;
  /** Refuse when the account has this many live leases already. */
  readonly maxLeases?: number;
}

/** Outcome of {@link Store.reserve}. `repeated`: this lease was opened before, and may have ended since; nothing changed. */
export type ReserveOutcome =
  | { readonly kind: 'reserved' | 'repeated'; readonly balanceMsat: Msat }
  | { readonly kind: 'too-many-leases' }
  | Refusal;

/** A stretch of time, from and to as Unix ms of the store's clock ({@link Store.clockMs}). */
export type Span = readonly [fromMs: number, toMs: number];

/** Spans in one commit or release, and stretches that are remembered of one key. */
export const MAX_SPANS = 64;

/**
 * Time that leases of one account pay for together: of `spendMsat` only the part is billed that belongs to time which no lease has paid
 * for under this key, and the rest stays reserved. A part of an msat is left to the next such step, so that what is billed in all is the
 * cost of the union, rounded down. Paid time is remembered for {@link SHARED_TTL_SEC} after the last payment, as {@link MAX_SPANS}
 * stretches: of more, the two with the shortest gap become one, gap and all.
 */
export interface SharedTime {
  /** Printable ASCII of at most 128 characters. */
  readonly key: string;
  /** What `spendMsat` is for: in order, each after the one before it. Empty: all of it is billed. */
  readonly spans: readonly Span[];
}

/** How long paid time is remembered after the last payment, seconds. Longer than a lease is kept by one that can't reach the store. */
export const SHARED_TTL_SEC = 25 * 3600;

/** One step of a lease: moves `spendMsat` from reserved to spent, and sets `reserveMsat` more aside. */
export interface Commit {
  readonly accountId: string;
  readonly leaseId: string;
  /** 1, 2, 3 …; a number at or below the last one changes nothing (`repeated`). */
  readonly slice: number;
  /** At most what is reserved. */
  readonly spendMsat: Msat;
  /** Set aside for the next slice, after the spend; 0 to set nothing aside. */
  readonly reserveMsat: Msat;
  /** The lease is renewed to now + this. */
  readonly ttlSec: number;
  /** Present when other leases may have paid for the same time. */
  readonly shared?: SharedTime;
}

/**
 * Outcome of one {@link Commit}. `insufficient`: the spend was committed and the lease renewed, but nothing more could be
 * set aside. `gone`: the lease expired or was released; nothing changed, the stream must end. `revoked` and `expired`: the
 * spend was committed, nothing more was set aside, the stream must end.
 */
export type CommitOutcome =
  | {
      readonly kind: 'committed' | 'repeated' | 'insufficient';
      readonly balanceMsat: Msat;
      readonly reservedMsat: Msat;
      /** Of a commit with `shared` that was not repeated: what was billed of `spendMsat`. */
      readonly billedMsat?: Msat;
    }
  | { readonly kind: 'revoked' | 'expired'; readonly billedMsat?: Msat }
  | { readonly kind: 'gone' };

/** Ends a lease: spends the last part of what is reserved and gives the rest back. */
export interface Release {
  readonly accountId: string;
  readonly leaseId: string;
  /** At most what is reserved. */
  readonly spendMsat: Msat;
  /** As in {@link Commit}. */
  readonly shared?: SharedTime;
}

/** Outcome of {@link Store.release}. `gone`: it expired or was released before; nothing changed. */
export type ReleaseOutcome =
  | {
      readonly kind: 'released';
      readonly balanceMsat: Msat;
      /** Of a release with `shared`: what was billed of `spendMsat`. */
      readonly billedMsat?: Msat;
    }
  | { readonly kind: 'gone' };
