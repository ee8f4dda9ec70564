import { type Msat, msat } from '../../node/msat.ts';
import { type Commit, type CommitOutcome, StoreError } from '../ledger/store.ts';
import { Landing } from './landing.ts';
import type { Lease, Share } from './lease.ts';
import { LowWater, lastsMs } from './low-water.ts';
import { keepAliveAt, nextStepAt } from './next-step.ts';
import { keepPlaces } from './places.ts';
import { type Counter, Seconds } from './quantity.ts';
import { shareOf } from './span-log.ts';
import type { Member, Place, TabPort, TabSettings, TabState } from './tab-types.ts';
import type { CutReason, MeterEnd, MeterNotice } from './terms.ts';
import { NO_SLOT, type Timed } from './wheel.ts';

/**
 * One lease, what is delivered on it, and the connections that it pays for: one, or with `charge: once` all of an account. All of
 * its methods are synchronous; money moves only by steps that the store answers.
 */
export class Tab implements Timed {
  slot = NO_SLOT;
  readonly lease: Lease;
  readonly quantity: Seconds | Counter;
  readonly settings: TabSettings;
  readonly members = new Set<Member>();
  /** Those of all members but one: see places.ts. */
  readonly places = new Set<Place>();
  state: TabState = { kind: 'opening' };
  heldMs = 0;
  /** Set when it ended: what is to be paid for. */
  finalUnits = 0;
  /** Set when it ended: resolves when it was settled, or is in the hands of what settles it. */
  settled: Promise<void> | undefined;
  /** Told at the end. */
  onEnd: ((cutBy: CutReason | undefined) => void) | undefined;
  readonly #port: TabPort<Tab>;
  #active = 0;
  #askAtMs: number;
  /** A step is on its way, or in the next store call. */
  #asked = false;
  #inFlight = false;
  readonly #landing = new Landing();
  #failures = 0;
  readonly #lowWater: LowWater;
  /** Credit came since the last step was made. */
  #credited = false;
  /** The last step asked for more than the balance was known to hold; its answer says what there is. */
  #guessed = false;
  #takenMsat = 0;

  constructor(lease: Lease, quantity: Seconds | Counter, settings: TabSettings, port: TabPort<Tab>) {
    this.lease = lease;
    this.quantity = quantity;
    this.settings = settings;
    this.#port = port;
    this.#lowWater = new LowWater(settings.warnMs, 2 * settings.sliceMs);
    this.#askAtMs = keepAliveAt(lease);
  }

  /** Resolves when no step is on its way. */
  async answer(): Promise<void> {
    if (this.#inFlight) await this.#landing.next();
  }

  /** What was set aside is used up, and the store has not said yet whether there is more. */
  get awaitsAnswer(): boolean {
    return this.state.kind === 'holding' && this.state.for === 'answer';
  }

  /**
   * Resolves with the store's next answer, or when the tab has ended.
   * @throws StoreError when the store did not answer, and nobody knows whether there is credit
   */
  async nextAnswer(): Promise<void> {
    await this.#landing.next();
    if (this.#failures === 0 || !this.awaitsAnswer) return;
    throw new StoreError('unavailable', 'The store did not say whether there is credit for the stream.');
  }

  /** A member's delivery begins. */
  activate(nowMs: number): void {
    if (this.state.kind === 'ended') return;
    this.#active += 1;
    if (this.state.kind === 'opening') this.state = { kind: 'running' };
    if (this.#active === 1 && this.state.kind === 'running') this.quantity.start(nowMs);
    this.#askAtMs = Math.min(this.#askAtMs, this.#nextAsk(nowMs));
    this.#reschedule(nowMs);
  }

  /** A member's delivery is over. */
  deactivate(nowMs: number): void {
    if (this.state.kind === 'ended') return;
    this.#active -= 1;
    if (this.#active === 0) this.quantity.stop(nowMs, this.lease.coveredUnits);
  }

  /** Counts what is about to pass. @returns false when it must wait */
  admit(units: number, nowMs: number): boolean {
    const { quantity } = this;
    if (this.state.kind === 'ended') return false;
    if (this.state.kind === 'opening') this.state = { kind: 'running' };
    if (!(quantity instanceof Seconds)) quantity.add(units);
    return this.#checkCovered(units, nowMs);
  }

  /** What was admitted waits all the same. */
  withhold(units: number): void {
    if (!(this.quantity instanceof Seconds)) this.quantity.wait(units);
  }

  /** What waited goes on its way. */
  flowed(units: number): void {
    if (!(this.quantity instanceof Seconds)) this.quantity.passed(units);
  }

  /** In the lease's units; after the end, what is paid for. */
  deliveredUnits(nowMs: number): number {
    return this.state.kind === 'ended'
      ? this.finalUnits
      : this.quantity.delivered(nowMs, this.lease.coveredUnits);
  }

  /** A running total was reported. @returns false when it is more than is set aside */
  raise(total: number, nowMs: number): boolean {
    if (this.state.kind === 'ended') return false;
    if (this.quantity instanceof Seconds) return true;
    if (this.state.kind === 'opening') this.state = { kind: 'running' };
    this.quantity.raise(total);
    return this.#checkCovered(0, nowMs);
  }

  /** A running total that may still fall: covered, but not paid for yet. @returns false when it is more than is set aside */
  foresee(total: number, nowMs: number): boolean {
    if (this.state.kind === 'ended' || this.quantity instanceof Seconds) return this.state.kind !== 'ended';
    if (this.state.kind === 'opening') this.state = { kind: 'running' };
    this.quantity.foresee(total);
    return this.#checkCovered(0, nowMs);
  }

  #checkCovered(units: number, nowMs: number): boolean {
    const { quantity, lease } = this;
    const counter = quantity instanceof Seconds ? undefined : quantity;
    if (this.state.kind === 'holding' || quantity.usedUp(nowMs, lease.coveredUnits)) {
      counter?.wait(units);
      this.touch(nowMs);
      return false;
    }
    if (counter === undefined || this.#asked) return true;
    const low = lease.coveredUnits - counter.counted() <= counter.aheadUnits / 2 && lease.balanceMsat > 0;
    const nextMs = low && this.#failures === 0 ? nowMs : nowMs + this.settings.sliceMs;
    if (nextMs < this.#askAtMs) {
      this.#askAtMs = nextMs;
      if (low) this.touch(nowMs);
      else this.#reschedule(nowMs);
    }
    return true;
  }

  /** The wheel's tick, or something happened: moves the state, and asks for a step when one is due. */
  touch(nowMs: number): void {
    if (this.state.kind === 'ended') return;
    const { lease } = this;
    if (nowMs >= lease.expiresAtMs) {
      this.end('lease-lost', nowMs);
      return;
    }
    if (this.state.kind === 'running' && this.quantity.usedUp(nowMs, lease.coveredUnits)) this.#hold(nowMs);
    if (this.#holdIsOver(nowMs)) {
      this.end('unpaid', nowMs);
      return;
    }
    if (!this.#asked && nowMs >= this.#askAtMs) {
      this.#asked = true;
      this.#port.collect(this);
    }
    this.#reschedule(nowMs);
  }

  /** Before it is over, the store is asked once more: credit that came in time always counts. */
  #holdIsOver(nowMs: number): boolean {
    const { state } = this;
    if (state.kind !== 'holding' || nowMs < state.untilMs || this.#asked) return false;
    if (state.last) return true;
    this.state = { ...state, last: true };
    this.#askAtMs = nowMs;
    return false;
  }

  /** This process stood still for so long beyond what its clock counted, ms. */
  missed(missedMs: number, nowMs: number): void {
    if (this.state.kind === 'ended' || !(this.quantity instanceof Seconds)) return;
    this.quantity.missed(missedMs, nowMs, this.lease.coveredUnits);
  }

  #hold(nowMs: number): void {
    this.quantity.stop(nowMs, this.lease.coveredUnits);
    this.state = {
      kind: 'holding',
      sinceMs: nowMs,
      for: 'answer',
      untilMs: Number.POSITIVE_INFINITY,
      asks: 0,
      last: false,
    };
    // While the store is away its own rhythm of retries holds.
    if (this.#failures === 0) this.#askAtMs = nowMs;
    for (const member of this.members) member.hold();
  }

  /** Says to the store which time a part of the total was; undefined when this tab pays for itself alone. */
  get share(): Share | undefined {
    const log = this.quantity instanceof Seconds ? this.quantity.log : undefined;
    return shareOf(log, this.settings.sharedAs);
  }

  /** The next step for the store; once more the last one when its answer was lost. */
  prepare(nowMs: number): Commit {
    const { lease, quantity, state, settings } = this;
    this.#inFlight = true;
    if (lease.pending !== undefined) return lease.pending;
    if (!(quantity instanceof Seconds)) quantity.learn(nowMs, lease.coveredUnits);
    else if (quantity.log !== undefined) quantity.clamp(nowMs, lease.coveredUnits);
    if (state.kind === 'holding') this.state = { ...state, asks: state.asks + 1 };
    const counted = quantity.counted(nowMs, lease.coveredUnits);
    const ahead = quantity instanceof Seconds ? settings.sliceMs + settings.leadMs : quantity.aheadUnits;
    const credited = this.#credited;
    this.#credited = false;
    this.#guessed = credited;
    const idle = state.kind === 'opening' || (quantity instanceof Seconds && this.#active === 0);
    const { share } = this;
    return lease.prepare(
      {
        deliveredUnits: quantity.delivered(nowMs, lease.coveredUnits),
        needUnits: idle ? 0 : this.#needUnits(nowMs),
        wantUnits: idle ? 0 : counted + ahead,
        credited,
        ...(share === undefined ? {} : { share }),
      },
      nowMs,
    );
  }

  /** What must be covered before anything more passes. After a hold for credit, a whole slice: not a stutter. */
  #needUnits(nowMs: number): number {
    const counted = this.quantity.counted(nowMs, this.lease.coveredUnits);
    if (!(this.quantity instanceof Seconds)) return counted;
    const { state, settings } = this;
    return counted + (state.kind === 'holding' && state.for === 'credit' ? settings.sliceMs : 1);
  }

  /** The store did not answer; what it did is unknown, and the same step is repeated. */
  failed(nowMs: number): void {
    this.#landed();
    if (this.state.kind === 'ended') return;
    this.#failures += 1;
    const waitMs = this.settings.tickMs * 2 ** Math.min(this.#failures - 1, 10);
    this.#askAtMs = nowMs + Math.min(waitMs, this.settings.retryMs);
    this.touch(nowMs);
  }

  /** The store answered the step. */
  answered(outcome: CommitOutcome, sentAtMs: number, nowMs: number): void {
    this.#landed();
    this.#failures = 0;
    if (this.quantity instanceof Seconds) this.quantity.clamp(nowMs, this.lease.coveredUnits);
    this.applied(outcome, sentAtMs);
    if (this.state.kind === 'ended') return;
    if (outcome.kind === 'gone' || outcome.kind === 'revoked' || outcome.kind === 'expired') {
      this.end(outcome.kind === 'gone' ? 'lease-lost' : outcome.kind, nowMs);
      return;
    }
    if (this.state.kind === 'holding') this.#tryResume(nowMs);
    this.#warn(nowMs);
    this.#askAtMs = this.#credited ? nowMs : this.#nextAsk(nowMs);
    this.touch(nowMs);
  }

  /** Books an answer, also after the end. */
  applied(outcome: CommitOutcome, sentAtMs: number): void {
    const { lease } = this;
    const before = lease.billedMsat;
    lease.apply(outcome, sentAtMs);
    if (this.quantity instanceof Seconds) this.quantity.log?.forget(lease.toldUnits);
    const billedMsat = msat(lease.billedMsat - before);
    if (billedMsat > 0) this.#port.billed(this, billedMsat);
  }

  /** The lease ended in the store, which took `billedMsat` of `spentMsat`; nothing of either when it had expired before. */
  released(spentMsat: Msat, billedMsat: Msat): void {
    this.lease.released(spentMsat, billedMsat);
    if (billedMsat > 0) this.#port.billed(this, billedMsat);
  }

  #landed(): void {
    this.#inFlight = false;
    this.#asked = false;
    this.#landing.over();
  }

  #tryResume(nowMs: number): void {
    const { state, lease, settings } = this;
    if (state.kind !== 'holding') return;
    const needUnits = this.#needUnits(nowMs);
    if (lease.coveredUnits >= needUnits) {
      this.heldMs += nowMs - state.sinceMs;
      this.state = { kind: 'running' };
      if (this.#active > 0) this.quantity.start(nowMs);
      // Told while everything still waits, so that the word has its place before what goes on.
      if (state.for === 'credit') this.#tell({ kind: 'resumed', balanceMsat: lease.balanceMsat });
      for (const member of this.members) member.resume();
      return;
    }
    const shortMsat = lease.shortOf(needUnits);
    if (state.for === 'credit' || shortMsat <= lease.balanceMsat) return;
    this.state = { ...state, for: 'credit', untilMs: nowMs + settings.holdMs };
    this.#port.held(this);
    const neededMsat = lease.shortOf(this.#needUnits(nowMs));
    this.#tell({ kind: 'exhausted', holdMs: settings.holdMs, balanceMsat: lease.balanceMsat, neededMsat });
  }

  #tell(notice: MeterNotice): void {
    for (const member of this.members) member.notice(notice);
  }

  #warn(nowMs: number): void {
    const { lease, quantity, state } = this;
    const remainingMs = state.kind === 'running' ? lastsMs(lease, quantity, nowMs) : undefined;
    if (remainingMs === undefined || !this.#lowWater.crossed(remainingMs)) return;
    this.#tell({ kind: 'low', remainingMs, balanceMsat: lease.balanceMsat });
  }

  #nextAsk(nowMs: number): number {
    const { lease, quantity, settings, state } = this;
    return nextStepAt(
      {
        lease,
        quantity,
        settings,
        isIdle: state.kind === 'opening' || (quantity instanceof Seconds && this.#active === 0),
        holding: state.kind === 'holding' ? { needUnits: this.#needUnits(nowMs) } : undefined,
        knowsNews: state.kind === 'holding' && (state.asks === 0 || this.#guessed),
      },
      nowMs,
    );
  }

  #reschedule(nowMs: number): void {
    const { state } = this;
    let dueMs = this.lease.expiresAtMs;
    if (!this.#asked) {
      dueMs = Math.min(dueMs, this.#askAtMs);
      if (state.kind === 'holding') dueMs = Math.min(dueMs, state.untilMs);
    }
    if (state.kind === 'running') {
      dueMs = Math.min(dueMs, this.quantity.usedUpAtMs(nowMs, this.lease.coveredUnits));
    }
    this.#port.schedule(this, dueMs);
  }

  /** The account was credited: a held tab asks at once. */
  credited(nowMs: number): void {
    if (this.state.kind === 'ended') return;
    this.#credited = true;
    if (this.state.kind !== 'holding' || this.#failures > 0) return;
    this.#askAtMs = nowMs;
    this.touch(nowMs);
  }

  /** A member's connection is over. With the last one, so is the tab. */
  leave(member: Member, how: MeterEnd, nowMs: number): void {
    this.members.delete(member);
    keepPlaces(this.places, this.members.size - 1, nowMs);
    if (this.members.size > 0 || this.state.kind === 'ended') return;
    const { units, payFrom } = how;
    if (units !== undefined && !(this.quantity instanceof Seconds)) this.quantity.correct(units);
    this.end(undefined, nowMs);
    // It may be more than is set aside: the settling asks for the rest.
    if (units !== undefined && payFrom === 'balance') this.finalUnits = units;
    if (how.waive === true && this.settings.sharedAs === undefined) this.finalUnits = 0;
  }

  /** What was billed since the last call: the part of the connection that asks. Their sum is what the tab was billed. */
  takeBilled(nowMs: number): Msat {
    const { lease } = this;
    const billedMsat = lease.billedMsat + lease.owed(this.deliveredUnits(nowMs));
    const takenMsat = msat(Math.max(0, billedMsat - this.#takenMsat));
    this.#takenMsat += takenMsat;
    return takenMsat;
  }

  /** Ends it. @param cutBy - undefined when the stream ended by itself */
  end(cutBy: CutReason | undefined, nowMs: number): void {
    const { state, quantity, lease } = this;
    if (state.kind === 'ended') return;
    if (state.kind === 'holding') this.heldMs += nowMs - state.sinceMs;
    quantity.stop(nowMs, lease.coveredUnits);
    this.finalUnits = quantity.final(nowMs, lease.coveredUnits);
    this.state = { kind: 'ended', cutBy };
    this.onEnd?.(cutBy);
    this.#landing.over();
    this.#port.ended(this);
    if (cutBy !== undefined) for (const member of this.members) member.cut(cutBy);
  }
}
