import type { Msat } from '../../node/msat.ts';
import type { Account, Claim, ClaimOutcome, Credit, CreditOutcome } from './store/accounts.ts';
import type {
  Commit,
  CommitOutcome,
  Release,
  ReleaseOutcome,
  Reserve,
  ReserveOutcome,
} from './store/leases.ts';
import type { Offer, OfferOutcome, PaymentEntry, SettleOutcome } from './store/offers.ts';
import type {
  Attempt,
  AttemptEnd,
  AttemptEndOutcome,
  AttemptName,
  AttemptOutcome,
  RefundOutcome,
  Spend,
  SpendOutcome,
  VoidOutcome,
} from './store/spends.ts';
import type { KeyAdmission, PurgeReport, Revocation, Totals } from './store/upkeep.ts';

/*
 * The store port. Every verb is atomic, idempotent by the key it names, and judged by the store's own clock and
 * contents: a verdict is what the store says inside the transaction, never what a gateway remembers.
 *
 * Invariant after every verb, for every account:  credited = spent + reserved + expired + balance.
 * Ids (accountId, paymentHash) are lower-case hex; keys and leaseIds are printable ASCII of at most 128 characters.
 * A payment hash is 64 hex digits, an account id 2 to 128; a service is [a-z0-9-]. Whatever is malformed is refused with
 * StoreError('invalid') and changes nothing.
 *
 * "Now" is the store's clock in whole seconds, and it never goes back: what was refused as too late stays refused when the
 * wall clock is set back. What ends at second t is over at t.
 *
 * An account past its end refuses every debit at once; its balance moves to expired at the next verb that touches it, or at
 * purge. A later credit opens the account again with the new credit alone: what had expired stays expired.
 */

export * from './store/accounts.ts';
export * from './store/leases.ts';
export * from './store/offers.ts';
export * from './store/spends.ts';
export * from './store/upkeep.ts';

/**
 * The ledger's storage. Every method rejects with {@link StoreError} and with nothing else; after `unavailable` the
 * outcome of a verb is unknown and is resolved by its key (repeat it, or void it).
 */
export interface Store {
  /** Random hex, mixed into every root key: a store that lost its claims must have a new one, or it would sell twice. */
  generation(): Promise<string>;
  /**
   * Makes a new generation: voids every credential minted so far, and forgets the master keys' fingerprints, so that the
   * next keys are admitted as the first. For an operator whose store or key was lost or restored. Clock and watermark begin anew when
   * the store is opened next, since they only guard what is void now: the way out when a clock was wrong.
   */
  newGeneration(): Promise<string>;
  /** Records the configured keys' fingerprints (hex) when the store is new or knows at least one of them. */
  admitMasterKeys(fingerprints: readonly string[]): Promise<KeyAdmission>;
  /** A number that gateways raise while they use the store: one with a lower epoch than was seen is an older copy. */
  epoch(): Promise<number>;
  /** Raises the epoch by one, durably, and returns it. */
  nextEpoch(): Promise<number>;

  claim(claim: Claim): Promise<ClaimOutcome>;
  credit(credit: Credit): Promise<CreditOutcome>;
  /**
   * {@link Store.claim}, and for `claimed` and `repeated` the credit under the payment hash too (none for a pass): one
   * transaction where the store can.
   */
  redeem(claim: Claim): Promise<ClaimOutcome>;

  spend(spend: Spend): Promise<SpendOutcome>;
  /** For a spend whose outcome the caller does not know. */
  voidSpend(spend: Spend): Promise<VoidOutcome>;
  /**
   * Gives back a spend that the caller was told was made, also when its key has been forgotten meanwhile: a request may take longer
   * than a key lives. From then on the key is known for SPEND_KEY_TTL_SEC; a caller whose answer was lost repeats it within that time
   * and never after it. More than the account ever spent is `invalid`.
   */
  refundSpend(spend: Spend): Promise<RefundOutcome>;
  beginAttempt(attempt: Attempt): Promise<AttemptOutcome>;
  endAttempt(attempt: AttemptName, end: AttemptEnd): Promise<AttemptEndOutcome>;
  /**
   * For a try whose beginning had an outcome that the caller does not know: undone as if it ended `refunded`, or refused should it
   * arrive within SPEND_KEY_TTL_SEC. `repeated`: that try was over.
   */
  voidAttempt(attempt: AttemptName): Promise<VoidOutcome>;

  reserve(reserve: Reserve): Promise<ReserveOutcome>;
  /**
   * Many leases in one call, each at most once; outcomes in the same order. Each commit is atomic by itself; when the call
   * rejects, repeat it: what was done before is `repeated`.
   */
  commit(commits: readonly Commit[]): Promise<readonly CommitOutcome[]>;
  release(release: Release): Promise<ReleaseOutcome>;

  /** The clock by which the account's {@link SharedTime} is counted, Unix ms: one for all who use the store. It may be set back. */
  clockMs(accountId: string): Promise<number>;

  /** `undefined` when nothing was ever credited to it, or it was purged. */
  account(accountId: string): Promise<Account | undefined>;
  /**
   * From now on the account can't claim or be debited. Kept until `untilSec` is long past and nothing of the account is left.
   * Revoking again only ever extends it.
   */
  revoke(accountId: string, untilSec: number): Promise<void>;
  /** Revocations after a sequence number, oldest first; at most 1,000 a call. */
  revocationsAfter(sequence: number): Promise<readonly Revocation[]>;

  /** Refused when the account has `maxOutstanding` offers whose invoice can still be paid. */
  offer(offer: Offer, maxOutstanding: number): Promise<OfferOutcome>;
  settleOffer(paymentHash: string, paidMsat: Msat): Promise<SettleOutcome>;
  /** Offers neither settled nor dropped, by payment hash; at most `limit` (1 to 1,000) that sort after `afterHash` ('': all). */
  openOffers(afterHash: string, limit: number): Promise<readonly Offer[]>;
  /** Offers of one account, not settled, whose invoice can still be paid; the latest 100 by expiry. */
  offersOf(accountId: string): Promise<readonly Offer[]>;
  /** The node says that its invoice is cancelled, or expired and unpaid. */
  dropOffer(paymentHash: string): Promise<void>;

  /** What the books hold of each payment hash, in the same order; at most 1,000 hashes. Changes nothing. */
  paymentEntries(paymentHashes: readonly string[]): Promise<readonly PaymentEntry[]>;
  /** Unix seconds: claims, credits and offers that ended at or before it may have been purged; 0 before the first purge. */
  purgeWatermark(): Promise<number>;

  settlementCursor(): Promise<number>;
  /** Only moves forward; a smaller cursor changes nothing. */
  advanceSettlementCursor(cursor: number): Promise<void>;

  /**
   * Expires accounts past their end, gives back expired leases, forgets old keys, and deletes claims CLAIM_GRACE_SEC past
   * their expiry behind the watermark. Bounded work a call; run it every minute.
   */
  purge(): Promise<PurgeReport>;
  /** The store's now, Unix seconds: the latest of its clock and of what any gateway on it has purged by. */
  clock(): Promise<number>;
  totals(): Promise<Totals>;
  /** Resolves when the store is the one that was opened and whole; rejects with `mismatch` when it is not. Run it every second. */
  verify(): Promise<void>;
  /** Resolves when the store answers; rejects with StoreError when it does not. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** Why a store did not answer. */
export type StoreErrorCode =
  /** Gone, full, locked or timed out: the outcome is unknown, to be resolved by key. */
  | 'unavailable'
  /** Not a Sluice store, of a newer version, or damaged. */
  | 'corrupt'
  /** Not the store that was opened, any more: it came back empty, older, or was replaced. Nothing was changed in it. */
  | 'mismatch'
  /** The verb was called with something it cannot mean (spend more than reserved, malformed id): a bug of the caller. */
  | 'invalid';

/** The only error a {@link Store} rejects with. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'StoreError';
    this.code = code;
  }
}
