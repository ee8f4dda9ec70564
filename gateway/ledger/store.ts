import { type Msat, ZERO_MSAT } from '../../node/msat.ts';

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

/** An account as it stands. All amounts msat. */
export interface Account {
  readonly accountId: string;
  readonly service: string;
  readonly creditedMsat: Msat;
  readonly spentMsat: Msat;
  readonly reservedMsat: Msat;
  readonly expiredMsat: Msat;
  readonly balanceMsat: Msat;
  /** Unix seconds: the end of its latest credit. */
  readonly expiresAtSec: number;
  readonly revoked: boolean;
}

/** The terms that a paid credential was minted with: what a payment hash buys, and for whom. */
export interface Claim {
  readonly paymentHash: string;
  readonly accountId: string;
  readonly service: string;
  /** What the payment credits; 0 for a pass. */
  readonly creditMsat: Msat;
  /** Unix seconds. The expiry as minted, never one that a holder narrowed. */
  readonly expiresAtSec: number;
}

/** Outcome of {@link Store.claim} and {@link Store.redeem}. Judged in this order: too-late, revoked, repeated or taken, claimed. */
export type ClaimOutcome =
  /** This call was the first to present the payment. */
  | { readonly kind: 'claimed' }
  /** The same claim was made before: nothing changed. */
  | { readonly kind: 'repeated' }
  /** The payment hash was claimed for another account or other terms. First writer wins, for ever. */
  | { readonly kind: 'taken' }
  /** Expired, or at or before the purge watermark: its claim may have been purged, so it can buy nothing. */
  | { readonly kind: 'too-late' }
  | { readonly kind: 'revoked' };

/**
 * One credit to an account, of 1 msat or more. `creditKey` is the payment hash, or `<hash>:excess` for what was overpaid.
 * Every credit and claim on one payment hash must name the same expiry: the key is forgotten CLAIM_GRACE_SEC after it.
 */
export interface Credit {
  readonly creditKey: string;
  readonly accountId: string;
  readonly service: string;
  readonly amountMsat: Msat;
  /** Unix seconds: the account lives at least as long. */
  readonly expiresAtSec: number;
}

/**
 * Outcome of {@link Store.credit}. `too-late`: it ends now or before, or at or before the purge watermark; nothing changed.
 * A revoked account is credited all the same (the money did come), but can't spend it.
 */
export type CreditOutcome =
  | { readonly kind: 'credited' | 'repeated'; readonly account: Account }
  | { readonly kind: 'too-late' };

/** One debit, known by its key for {@link SPEND_KEY_TTL_SEC}. */
export interface Spend {
  readonly accountId: string;
  /** Unique for one attempt of one request, over all accounts. Another amount under a known key is `invalid`. */
  readonly key: string;
  readonly amountMsat: Msat;
}

/** How long the key of a spend, an attempt or a lease is remembered after it ended, seconds. */
export const SPEND_KEY_TTL_SEC = 600;

/** Why an account can't be charged. */
export type Refusal =
  | { readonly kind: 'insufficient'; readonly balanceMsat: Msat }
  | { readonly kind: 'unknown-account' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'revoked' };

/** Outcome of {@link Store.spend}. `repeated`: this key was spent before; nothing changed. `voided`: it was voided before it came. */
export type SpendOutcome =
  | { readonly kind: 'spent' | 'repeated'; readonly balanceMsat: Msat }
  | { readonly kind: 'voided' }
  | Refusal;

/**
 * Outcome of {@link Store.voidSpend}: given back now, given back before, or never seen: then the key is remembered, and
 * the spend is refused should it arrive late.
 */
export type VoidOutcome = { readonly kind: 'voided' | 'repeated' | 'unknown' };

/**
 * Outcome of {@link Store.refundSpend}: given back now, or before by a refund or a void of the same key. `unknown-account`: it was
 * purged since, so that nothing can be given back.
 */
export type RefundOutcome = { readonly kind: 'refunded' | 'repeated' | 'unknown-account' };

/** Names one try of a request that carries an `Idempotency-Key`: what is said of it reaches no other try of that request. */
export interface AttemptName {
  readonly accountId: string;
  /** Hash of account and Idempotency-Key: the same for every try. */
  readonly key: string;
  /** Unique for this try, among the keys of spends too. */
  readonly attemptId: string;
}

/** A request that carries an `Idempotency-Key`, so that its retry is free. */
export interface Attempt extends AttemptName {
  readonly amountMsat: Msat;
  /** Hash of method, full target and body. */
  readonly fingerprint: string;
  /** After this many seconds an attempt still in flight counts as undelivered (its gateway died). */
  readonly inFlightSec: number;
}

/** How many free retries one paid attempt has. */
export const MAX_FREE_RETRIES = 2;

/** Outcome of {@link Store.beginAttempt}. Repeated under its attemptId while in flight, it is what it was, and changes nothing. */
export type AttemptOutcome =
  /** Charged: the first attempt, or the one before was fully delivered, too old, or used up its retries. */
  | { readonly kind: 'spent'; readonly balanceMsat: Msat }
  /** The first response was not fully delivered: this retry costs nothing. */
  | { readonly kind: 'free'; readonly balanceMsat: Msat }
  /** The first attempt is still under way: 409. */
  | { readonly kind: 'in-flight' }
  /** The key was used for another request: 422. */
  | { readonly kind: 'mismatch' }
  /** This try is over already, or was voided before it came. */
  | { readonly kind: 'voided' }
  | Refusal;

/**
 * How an attempt ended. `refunded`: the upstream failed, the money goes back and the key is forgotten; when a free retry failed,
 * there is nothing to give back: that retry does not count, and the attempt is undelivered as before it. Only a try in
 * flight can end, and only under its own attemptId: anything else changes nothing.
 */
export type AttemptEnd = 'delivered' | 'undelivered' | 'refunded';

/** Outcome of {@link Store.endAttempt}. `unknown`: that try is not in flight (any more); nothing changed. */
export type AttemptEndOutcome = { readonly kind: 'ended' | 'unknown' };

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

/** A top-up that was asked for: written before its invoice is shown, so that its payment is credited whatever happens. */
export interface Offer {
  readonly paymentHash: string;
  readonly accountId: string;
  readonly service: string;
  readonly amountMsat: Msat;
  /** Unix seconds: when its invoice can't be paid any more. */
  readonly invoiceExpiresAtSec: number;
  /** Unix seconds: how long the credit lives. */
  readonly creditExpiresAtSec: number;
}

/** Outcome of {@link Store.offer}. */
export type OfferOutcome = {
  readonly kind: 'offered' | 'repeated' | 'too-many' | 'unknown-account' | 'expired' | 'revoked';
};

/**
 * Outcome of {@link Store.settleOffer}: the amount of the offer is credited under the payment hash (unless a preimage
 * credited it before), what was overpaid under `<hash>:excess`. `repeated`: both were credited before. `no-offer`: not ours
 * to credit. `underpaid`: nothing changed. `too-late`: the credit would be over by now; the offer is closed.
 */
export type SettleOutcome =
  | {
      readonly kind: 'credited' | 'repeated';
      readonly account: Account;
      /** What this call credited: less than was paid when a preimage had credited the offer before; 0 when repeated. */
      readonly creditedMsat: Msat;
    }
  | { readonly kind: 'no-offer' | 'underpaid' | 'too-late' };

/** What the books hold of one payment hash, for reconciliation; `undefined`: nothing of that kind, or it was purged. */
export interface PaymentEntry {
  readonly paymentHash: string;
  readonly claim: Claim | undefined;
  readonly offer: (Offer & { readonly settled: boolean }) | undefined;
  /** Credited under the payment hash. */
  readonly creditedMsat: Msat | undefined;
  /** Credited under `<hash>:excess`. */
  readonly excessMsat: Msat | undefined;
}

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

/** How long a claim outlives the expiry that it was minted with, seconds. */
export const CLAIM_GRACE_SEC = 24 * 3600;

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
