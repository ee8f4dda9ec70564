import { addMsat, type Msat, ZERO_MSAT } from '../../node/msat.ts';
import { unitsFor } from './rate.ts';
import { responseTap } from './response-tap.ts';
import type { Tab } from './tab.ts';
import type { Member } from './tab-types.ts';
import type {
  Carrier,
  CutReason,
  Meter,
  MeterEnd,
  MeterNotice,
  MeterReport,
  MeterTap,
  MeterTerms,
  Passing,
  UploadControls,
  UploadTap,
} from './terms.ts';

/** What a stream asks of the wheel. */
export interface StreamPort {
  now(): number;
  /** Calls back at the first tick after so many ms. */
  after(delayMs: number, act: () => void): void;
  failed(error: unknown): void;
  /** The stream's charge is settled, or is in the hands of what settles it. */
  reported(stream: Stream, report: MeterReport): void;
}

/** One direction of a stream. */
interface Side {
  readonly isCounted: boolean;
  /** Units in the chunk that waits. */
  waitingUnits: number;
  /** Events that have begun and are not complete: as of what has passed, before the last chunk, and with the chunk that waits. */
  unfinished: number;
  unfinishedBefore: number;
  unfinishedNext: number;
}

/** One connection that is being charged, over the tab that pays for it. */
export class Stream implements Meter, Member {
  readonly accountId: string;
  readonly terms: MeterTerms;
  readonly tap: MeterTap;
  readonly upload: UploadTap;
  readonly #tab: Tab;
  readonly #port: StreamPort;
  readonly #sides: { readonly request: Side; readonly response: Side };
  #carrier: Carrier | undefined;
  #uploadControls: UploadControls | undefined;
  #state: 'waiting' | 'active' | 'stopped' = 'waiting';
  /** A status that is not charged for: whatever passes is free. */
  #free = false;
  #held = false;
  #cutBy: CutReason | undefined;
  /** What the tab had delivered when this stream joined its delivery. */
  #joinedAtUnits = 0;
  #deliveredUnits = 0;
  #report: Promise<MeterReport> | undefined;

  constructor(tab: Tab, terms: MeterTerms, port: StreamPort) {
    this.accountId = terms.accountId;
    this.terms = terms;
    this.#tab = tab;
    this.#port = port;
    const { count = 'response' } = terms;
    this.#sides = { request: newSide(count !== 'response'), response: newSide(count !== 'request') };
    this.tap = responseTap(this, port);
    this.upload = {
      open: (controls) => {
        this.#uploadControls = controls;
        if (this.#held) controls.pause();
      },
      chunk: (bytes) => {
        if (!this.pass('request', { bytes: bytes.length, events: 0, unfinished: 0 }))
          this.#uploadControls?.pause();
      },
    };
  }

  get balanceMsat(): Msat {
    return this.#tab.lease.balanceMsat;
  }

  get refundableMsat(): Msat {
    if (this.#tab.settings.sharedAs !== undefined) return ZERO_MSAT;
    const { reservedMsat, billedMsat } = this.#tab.lease;
    return addMsat(reservedMsat, billedMsat);
  }

  get cutBy(): CutReason | undefined {
    return this.#cutBy;
  }

  affords(units: number): boolean {
    const { rate, committedMsat, reservedMsat, balanceMsat } = this.#tab.lease;
    return units <= unitsFor(rate, committedMsat + reservedMsat + balanceMsat);
  }

  report(totalUnits: number): boolean {
    if (this.#free) return true;
    return this.#cutBy === undefined && this.#tab.raise(totalUnits, this.#port.now());
  }

  foresee(totalUnits: number): boolean {
    if (this.#free) return true;
    return this.#cutBy === undefined && this.#tab.foresee(totalUnits, this.#port.now());
  }

  attach(carrier: Carrier): void {
    this.#carrier = carrier;
    if (this.#cutBy !== undefined) carrier.end(this.#cutBy);
    else if (this.#held) carrier.pause();
  }

  begin(): void {
    if (this.#state !== 'waiting' || this.#free || this.#cutBy !== undefined) return;
    this.#state = 'active';
    const now = this.#port.now();
    this.#joinedAtUnits = this.#tab.deliveredUnits(now);
    this.#tab.activate(now);
  }

  /** The response is of a kind that is not charged for. */
  exempt(): void {
    this.#free = true;
    this.stop();
    if (!this.#held) return;
    this.#held = false;
    this.#carrier?.resume();
    this.#uploadControls?.resume();
  }

  pass(from: 'request' | 'response', passing: Passing): boolean {
    if (this.#free) return true;
    if (this.#cutBy !== undefined) return false;
    const side = this.#sides[from];
    const units = this.#unitsOf(side, passing);
    side.unfinishedNext = passing.unfinished;
    if (this.#tab.admit(units, this.#port.now())) {
      side.unfinishedBefore = side.unfinished;
      side.unfinished = passing.unfinished;
      return true;
    }
    side.waitingUnits += units;
    return false;
  }

  #unitsOf(side: Side, passing: Passing): number {
    if (!side.isCounted) return 0;
    const { unit } = this.terms.price;
    if (unit === 'byte') return passing.bytes;
    return unit === 'event' ? passing.events : 0;
  }

  withhold(from: 'request' | 'response', passing: Passing): void {
    if (this.#free) return;
    const side = this.#sides[from];
    const units = this.#unitsOf(side, passing);
    side.unfinished = side.unfinishedBefore;
    this.#tab.withhold(units);
    side.waitingUnits += units;
  }

  flowed(from: 'request' | 'response'): void {
    const side = this.#sides[from];
    this.#tab.flowed(side.waitingUnits);
    side.waitingUnits = 0;
    side.unfinished = side.unfinishedNext;
  }

  /** Units that were counted and have not been delivered whole. */
  unsentUnits(): number {
    const { request, response } = this.#sides;
    if (this.terms.price.unit === 'byte') {
      if (!response.isCounted) return 0;
      return this.#carrier?.unsentBytes?.() ?? this.terms.unsentBytes?.() ?? 0;
    }
    if (this.terms.price.unit !== 'event') return 0;
    return (request.isCounted ? request.unfinished : 0) + (response.isCounted ? response.unfinished : 0);
  }

  hold(): void {
    if (this.#free || this.#held) return;
    this.#held = true;
    this.#carrier?.pause();
    this.#uploadControls?.pause();
  }

  resume(): void {
    if (!this.#held) return;
    this.#held = false;
    if (this.#uploadControls !== undefined) {
      this.flowed('request');
      this.#uploadControls.resume();
    }
    this.#carrier?.resume();
  }

  notice(notice: MeterNotice): void {
    if (this.#free) return;
    this.#guard(() => this.terms.onNotice?.(notice));
    this.#guard(() => this.#carrier?.tell(notice));
  }

  /** The tab ended, or this stream alone must. */
  cut(by: CutReason): void {
    if (this.#cutBy !== undefined || this.#report !== undefined) return;
    this.#cutBy = by;
    this.stop();
    this.#guard(() => this.terms.onNotice?.({ kind: 'cut', cutBy: by }));
    this.#guard(() => this.#carrier?.end(by));
    void this.end();
  }

  /** The caller's code must not break off the tab's. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#port.failed(error);
    }
  }

  stop(): void {
    if (this.#state === 'active') {
      const now = this.#port.now();
      this.#tab.deactivate(now);
      this.#deliveredUnits += this.#tab.deliveredUnits(now) - this.#joinedAtUnits;
    }
    this.#state = 'stopped';
  }

  end(how: MeterEnd = {}): Promise<MeterReport> {
    this.#report ??= this.#finish(how);
    return this.#report;
  }

  async #finish(how: MeterEnd): Promise<MeterReport> {
    this.stop();
    const tab = this.#tab;
    const isTime = this.terms.price.unit === 'second';
    tab.leave(this, this.#free ? { waive: true } : how, this.#port.now());
    await tab.settled;
    const report: MeterReport = {
      billedMsat: tab.takeBilled(this.#port.now()),
      deliveredUnits: isTime ? this.#deliveredUnits / 1000 : tab.finalUnits,
      heldMs: tab.heldMs,
      cutBy: this.#cutBy,
    };
    this.#port.reported(this, report);
    return report;
  }
}

function newSide(isCounted: boolean): Side {
  return { isCounted, waitingUnits: 0, unfinished: 0, unfinishedBefore: 0, unfinishedNext: 0 };
}
