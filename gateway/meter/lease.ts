import { type Msat, msat, ZERO_MSAT } from '../../node/msat.ts';
import type { Commit, CommitOutcome, Release, SharedTime } from '../ledger/store.ts';
import { costOf, type Rate, unitsFor } from './rate.ts';

/** What a lease is opened with: its reservation was made. */
export interface LeaseStart {
  readonly accountId: string;
  readonly leaseId: string;
  readonly rate: Rate;
  readonly ttlSec: number;
  readonly reservedMsat: Msat;
  readonly balanceMsat: Msat;
  /** When the reservation was sent, ms. */
  readonly sentAtMs: number;
}

/** A part of the total whose time others may have paid for. */
export type Share = (fromUnits: number, toUnits: number) => SharedTime;

/** What the next commit is about: cumulative units. */
export interface Ask {
  /** To be paid now. */
  readonly deliveredUnits: number;
  /** Less than this is of no use. */
  readonly needUnits: number;
  /** To be set aside when the balance allows. */
  readonly wantUnits: number;
  /** Credit came since the store last said what the balance is: ask for all that is wanted, and the answer tells. */
  readonly credited: boolean;
  /** Present when the time is paid for together with others. */
  readonly share?: Share;
}

/**
 * The money of one stream: what is set aside and what was spent of it, as the store last said. One step at a time; a step
 * whose answer was lost is repeated as it was, under the same slice number, until the store says what became of it.
 */
export class Lease {
  readonly accountId: string;
  readonly leaseId: string;
  readonly rate: Rate;
  readonly ttlSec: number;
  /** What the delivered units that the store has been told of cost. */
  committedMsat: Msat = ZERO_MSAT;
  /** What of that the store has taken: less, when others had paid for the same time. */
  billedMsat: Msat = ZERO_MSAT;
  reservedMsat: Msat;
  balanceMsat: Msat;
  /** Cumulative units that are paid for or set aside: none beyond it may be delivered. */
  coveredUnits: number;
  /** The lease is renewed as of this moment. */
  renewedAtMs: number;
  /** There is no such lease any more: it expired, or was released. */
  gone = false;
  #toldUnits = 0;
  #pendingUnits = 0;
  #slice = 0;
  #pending: Commit | undefined;
  #pendingSinceMs = 0;

  constructor(start: LeaseStart) {
    this.accountId = start.accountId;
    this.leaseId = start.leaseId;
    this.rate = start.rate;
    this.ttlSec = start.ttlSec;
    this.reservedMsat = start.reservedMsat;
    this.balanceMsat = start.balanceMsat;
    this.renewedAtMs = start.sentAtMs;
    this.coveredUnits = unitsFor(start.rate, start.reservedMsat);
  }

  /** Cumulative units that the store has been told of. */
  get toldUnits(): number {
    return this.#toldUnits;
  }

  /** A step that was sent and has not been answered. */
  get pending(): Commit | undefined {
    return this.#pending;
  }

  /** From this moment on the store may have given back what is set aside: it counts in whole seconds, and so up to one less than it was told. */
  get expiresAtMs(): number {
    return this.renewedAtMs + (this.ttlSec - 1) * 1000;
  }

  /** How much must be set aside beyond what is, so that `units` are covered; msat. */
  shortOf(units: number): Msat {
    return msat(Math.max(0, costOf(this.rate, units) - this.committedMsat - this.reservedMsat));
  }

  /** The next step, or once more the one without an answer. */
  prepare(ask: Ask, nowMs: number): Commit {
    if (this.#pending !== undefined) return this.#pending;
    this.#slice += 1;
    this.#pendingSinceMs = nowMs;
    this.#pendingUnits = Math.max(this.#toldUnits, ask.deliveredUnits);
    this.#pending = {
      accountId: this.accountId,
      leaseId: this.leaseId,
      slice: this.#slice,
      spendMsat: this.owed(ask.deliveredUnits),
      reserveMsat: this.#affordable(ask),
      ttlSec: this.ttlSec,
      ...(ask.share === undefined ? {} : { shared: ask.share(this.#toldUnits, this.#pendingUnits) }),
    };
    return this.#pending;
  }

  /** All of it, or what there is; when even that is not enough, the least, to be told when there is more. */
  #affordable(ask: Ask): Msat {
    const wantMsat = this.shortOf(ask.wantUnits);
    if (wantMsat <= this.balanceMsat || ask.credited) return wantMsat;
    const needMsat = msat(Math.max(1, this.shortOf(ask.needUnits)));
    return needMsat <= this.balanceMsat ? this.balanceMsat : needMsat;
  }

  /** What is still to be paid of a final total, msat. Never more than is set aside. */
  owed(finalUnits: number): Msat {
    const owedMsat = costOf(this.rate, finalUnits) - this.committedMsat;
    return msat(Math.min(Math.max(owedMsat, 0), this.reservedMsat));
  }

  /** The last step: pays what is still owed and gives the rest back. */
  ending(finalUnits: number, share: Share | undefined): Release {
    const { accountId, leaseId } = this;
    return {
      accountId,
      leaseId,
      spendMsat: this.owed(finalUnits),
      ...(share === undefined ? {} : { shared: share(this.#toldUnits, finalUnits) }),
    };
  }

  /** The lease was released with this as its last payment, of which that much was taken. */
  released(spentMsat: Msat, billedMsat: Msat): void {
    this.committedMsat = msat(this.committedMsat + spentMsat);
    this.billedMsat = msat(this.billedMsat + billedMsat);
    this.reservedMsat = ZERO_MSAT;
    this.gone = true;
  }

  /** The store answered the pending step. */
  apply(outcome: CommitOutcome, sentAtMs: number): void {
    const step = this.#pending;
    if (step === undefined) return;
    this.#pending = undefined;
    // What a step took whose answer was lost is not known here any more: it counts as all that it asked for.
    const billedMsat = ('billedMsat' in outcome ? outcome.billedMsat : undefined) ?? step.spendMsat;
    switch (outcome.kind) {
      case 'gone':
        this.gone = true;
        this.reservedMsat = ZERO_MSAT;
        return;
      case 'revoked':
      case 'expired':
        this.#book(step.spendMsat, billedMsat);
        this.reservedMsat = msat(this.reservedMsat - billedMsat);
        return;
      default:
        this.#book(step.spendMsat, billedMsat);
    }
    this.reservedMsat = outcome.reservedMsat;
    this.balanceMsat = outcome.balanceMsat;
    // A repeated step renews nothing: it was renewed when the lost answer was sent.
    this.renewedAtMs = outcome.kind === 'repeated' ? this.#pendingSinceMs : sentAtMs;
    this.coveredUnits = unitsFor(this.rate, this.committedMsat + this.reservedMsat);
  }

  #book(spentMsat: Msat, billedMsat: Msat): void {
    this.committedMsat = msat(this.committedMsat + spentMsat);
    this.billedMsat = msat(this.billedMsat + billedMsat);
    this.#toldUnits = this.#pendingUnits;
  }
}
