import type { Msat } from '../../node/msat.ts';
import type { Claim, Credit, Offer, Revocation, Span, Totals } from './store.ts';

/*
 * What the rules in verbs/ read and write: rows, by key. A storage that keeps these rows, and runs each rule as one
 * transaction, is a store (assemble-store.ts). So the rules of money stand once, and memory and SQLite can't differ in them.
 * Rows handed out are the storage's own: a rule changes a row and then saves it, within the transaction.
 */

/** An account's row. */
export interface AccountRow {
  /** Short name of the account inside this storage, from 1; never reused while anything refers to it. */
  readonly ref: number;
  readonly accountId: string;
  readonly service: string;
  creditedMsat: Msat;
  spentMsat: Msat;
  reservedMsat: Msat;
  expiredMsat: Msat;
  balanceMsat: Msat;
  expiresAtSec: number;
  revoked: boolean;
  /** Its end was noticed and its balance moved to expired; a credit opens it again. */
  closed: boolean;
}

export interface SpendKeyRow {
  readonly key: string;
  /** 0: voided before the account was known. */
  readonly accountRef: number;
  readonly amountMsat: Msat;
  readonly voided: boolean;
}

export interface AttemptRow {
  readonly key: string;
  /** Of the latest try. */
  readonly attemptId: string;
  readonly accountRef: number;
  readonly fingerprint: string;
  readonly amountMsat: Msat;
  readonly state: 'in-flight' | 'delivered' | 'undelivered';
  readonly freeRetries: number;
  /** Unix seconds: from then on, an attempt in flight counts as undelivered. */
  readonly inFlightUntilSec: number;
  /** Unix seconds. */
  readonly forgetAtSec: number;
}

export interface LeaseRow {
  readonly accountRef: number;
  readonly leaseId: string;
  reservedMsat: Msat;
  slice: number;
  ended: boolean;
  /** Unix seconds: when a live lease expires, and when an ended one is forgotten. */
  untilSec: number;
}

export interface OfferRow extends Offer {
  readonly settled: boolean;
}

/** Names of the single numbers of a store; all start at 0. */
export type Counter = 'clock' | 'watermark' | 'epoch' | 'settlement-cursor' | 'revocation-sequence';

export interface AccountBooks {
  account(accountId: string): AccountRow | undefined;
  accountByRef(ref: number): AccountRow | undefined;
  /** All amounts 0. */
  addAccount(accountId: string, service: string, expiresAtSec: number, revoked: boolean): AccountRow;
  /** Saves spent, reserved, expired and balance: the hot path. */
  saveAmounts(row: AccountRow): void;
  saveAccount(row: AccountRow): void;
  /** Accounts not closed that end at or before `nowSec`. */
  accountsToClose(nowSec: number, limit: number): readonly AccountRow[];
  /** Forgets closed accounts without any lease that ended at or before `watermarkSec`; how many. */
  forgetAccounts(watermarkSec: number, limit: number): number;
  totals(): Totals;
}

export interface ClaimBooks {
  claim(paymentHash: string): Claim | undefined;
  addClaim(claim: Claim): void;
  hasCredit(creditKey: string): boolean;
  /** What was credited under that key; `undefined` when nothing was, or it is forgotten. */
  creditedMsat(creditKey: string): Msat | undefined;
  addCredit(credit: Credit): void;
  /** Forgets claims that were minted to end at or before `watermarkSec`; how many. Credits likewise. */
  forgetClaims(watermarkSec: number, limit: number): number;
  forgetCredits(watermarkSec: number, limit: number): number;
}

export interface KeyBooks {
  spendKey(key: string, nowSec: number): SpendKeyRow | undefined;
  /** False, and nothing changes, when the key is known. */
  addSpendKey(row: SpendKeyRow, nowSec: number): boolean;
  /** From now on it is known for another SPEND_KEY_TTL_SEC. */
  voidSpendKey(key: string, nowSec: number): void;
  attempt(key: string): AttemptRow | undefined;
  /** Adds or replaces. */
  saveAttempt(row: AttemptRow): void;
  removeAttempt(key: string): void;
  forgetSpendKeys(nowSec: number, limit: number): number;
  forgetAttempts(nowSec: number, limit: number): number;
}

export interface LeaseBooks {
  lease(accountRef: number, leaseId: string): LeaseRow | undefined;
  /** Adds or replaces. */
  saveLease(row: LeaseRow): void;
  /** Leases of an account that have not ended, expired or not. */
  openLeases(accountRef: number): readonly LeaseRow[];
  /** Leases of all accounts that expired at or before `nowSec` and have not ended. */
  expiredLeases(nowSec: number, limit: number): readonly LeaseRow[];
  forgetLeases(nowSec: number, limit: number): number;
}

/** What leases of an account have paid for together under a key. */
export interface PaidTime {
  /** In order, each apart from the next. */
  readonly spans: readonly Span[];
  /** Less than one msat that was not billed yet, in millionths of it. */
  readonly restMillionths: number;
}

/** Of what nothing is remembered. */
export const NOTHING_PAID: PaidTime = { spans: [], restMillionths: 0 };

export interface SharedTimeBooks {
  paidTime(accountRef: number, key: string, nowSec: number): PaidTime;
  /** Adds or replaces. */
  savePaidTime(accountRef: number, key: string, paid: PaidTime, forgetAtSec: number): void;
  forgetPaidTime(nowSec: number, limit: number): number;
}

export interface OfferBooks {
  offer(paymentHash: string): OfferRow | undefined;
  addOffer(offer: Offer): void;
  settleOffer(paymentHash: string): void;
  removeOffer(paymentHash: string): void;
  /** Offers of an account, not settled, whose invoice ends after `nowSec`. */
  countPayableOffers(accountId: string, nowSec: number): number;
  /** The same offers, the one that ends last first. */
  payableOffers(accountId: string, nowSec: number, limit: number): readonly Offer[];
  openOffers(afterHash: string, limit: number): readonly Offer[];
  /** Forgets offers whose credit ended at or before `watermarkSec`; how many. */
  forgetOffers(watermarkSec: number, limit: number): number;
}

export interface RevocationBooks {
  revocation(accountId: string): Revocation | undefined;
  /** Adds or replaces. */
  saveRevocation(revocation: Revocation): void;
  revocationsAfter(sequence: number, limit: number): readonly Revocation[];
  /** Forgets revocations until `watermarkSec` or before whose account has neither row nor offer; how many. */
  forgetRevocations(watermarkSec: number, limit: number): number;
}

export interface IdentityBooks {
  generation(): string;
  setGeneration(generation: string): void;
  counter(name: Counter): number;
  setCounter(name: Counter, value: number): void;
  keyFingerprints(): readonly string[];
  addKeyFingerprint(fingerprint: string): void;
  clearKeyFingerprints(): void;
}

/** Everything that a store holds. */
export interface Books
  extends AccountBooks,
    ClaimBooks,
    KeyBooks,
    LeaseBooks,
    SharedTimeBooks,
    OfferBooks,
    RevocationBooks,
    IdentityBooks {}

/** A rule at work on the books, as one transaction at one moment (Unix seconds). Checks first, writes last. */
export type Work<T> = (books: Books, nowSec: number) => T;

/** What runs rules as transactions over some storage. */
export interface Engine {
  /** Changes nothing. */
  read<T>(verb: string, work: Work<T>): Promise<T>;
  /** On disk before it resolves. */
  durable<T>(verb: string, work: Work<T>): Promise<T>;
  /** Atomic; a power cut may forget it, as a whole, unless the operator asked for more. */
  grouped<T>(verb: string, work: Work<T>): Promise<T>;
  /** The clock that those who use the store have in common, Unix ms. */
  nowMs(): number;
  close(): Promise<void>;
}
