import type { SpanLog } from './span-log.ts';

/**
 * What a stream delivers, as cumulative whole units. `counted`: what left or is about to leave, which must be covered.
 * `delivered`: what is paid for. For time both are the same.
 */
export interface Quantity {
  /** Delivery began or went on. */
  start(nowMs: number): void;
  /** Delivery stopped; what passes until `start` is not counted. */
  stop(nowMs: number, coveredUnits: number): void;
  counted(nowMs: number, coveredUnits: number): number;
  delivered(nowMs: number, coveredUnits: number): number;
  /** What is to be paid for in all, now that it is over. */
  final(nowMs: number, coveredUnits: number): number;
  /** When what is covered will be used up, ms; `Infinity` when that is not a matter of time. */
  usedUpAtMs(nowMs: number, coveredUnits: number): number;
  /** Whether what is covered is used up: nothing more may pass. */
  usedUp(nowMs: number, coveredUnits: number): boolean;
  /** Units per ms, lately; 0 when nothing is delivered. */
  pace(): number;
}

/** Milliseconds during which at least one connection was open and not held. Never more than is covered. */
export class Seconds implements Quantity {
  #doneMs = 0;
  #sinceMs: number | undefined;
  #began = false;
  readonly #leastMs: number;
  /** Kept when others may pay for the same time. */
  readonly log: SpanLog | undefined;

  /**
   * @param leastMs - paid for once delivery began, however short it was. Without it, a client that connects, takes the first chunk and
   * leaves, again and again, has the stream for next to nothing.
   * @param log - told when each part of it was
   */
  constructor(leastMs = 0, log?: SpanLog) {
    this.#leastMs = leastMs;
    this.log = log;
  }

  start(nowMs: number): void {
    this.#began = true;
    this.#sinceMs ??= nowMs;
  }

  stop(nowMs: number, coveredMs: number): void {
    this.#settle(nowMs, coveredMs);
    this.#sinceMs = undefined;
  }

  #settle(nowMs: number, coveredMs: number): void {
    const countedMs = this.counted(nowMs, coveredMs);
    if (this.#sinceMs !== undefined) this.log?.add(this.#doneMs, this.#sinceMs, countedMs - this.#doneMs);
    this.#doneMs = countedMs;
  }

  counted(nowMs: number, coveredMs: number): number {
    const runningMs = this.#sinceMs === undefined ? 0 : nowMs - this.#sinceMs;
    return Math.max(this.#doneMs, Math.min(this.#doneMs + runningMs, coveredMs));
  }

  delivered(nowMs: number, coveredMs: number): number {
    return this.counted(nowMs, coveredMs);
  }

  final(nowMs: number, coveredMs: number): number {
    const leastMs = this.#began ? Math.min(this.#leastMs, coveredMs) : 0;
    return Math.max(this.delivered(nowMs, coveredMs), leastMs);
  }

  /** Time that ran past what was covered was not paid ahead, and is lost; call it before more is covered. */
  clamp(nowMs: number, coveredMs: number): void {
    if (this.#sinceMs === undefined) return;
    this.#settle(nowMs, coveredMs);
    this.#sinceMs = nowMs;
  }

  /** The clock stood still, and others' did not: what was counted so far was before that. */
  missed(missedMs: number, nowMs: number, coveredMs: number): void {
    if (this.log === undefined) return;
    this.clamp(nowMs, coveredMs);
    this.log.missed(missedMs);
  }

  usedUpAtMs(nowMs: number, coveredMs: number): number {
    return this.#sinceMs === undefined
      ? Number.POSITIVE_INFINITY
      : nowMs + coveredMs - this.counted(nowMs, coveredMs);
  }

  usedUp(nowMs: number, coveredMs: number): boolean {
    return this.#sinceMs !== undefined && this.counted(nowMs, coveredMs) >= coveredMs;
  }

  pace(): number {
    return this.#sinceMs === undefined ? 0 : 1;
  }
}

/** Bytes, events or reported units. */
export class Counter implements Quantity {
  #counted = 0;
  /** Units in chunks that wait for money. */
  #waiting = 0;
  #settled = 0;
  #atSettle: { readonly counted: number; readonly nowMs: number };
  #perMs = 0;
  #aheadUnits: number;
  readonly #leastAhead: number;
  readonly #sliceMs: number;
  /** Units that were counted and have not left the process, or not whole: they are not delivered yet. */
  unsent: () => number = () => 0;

  constructor(options: { readonly leastAhead: number; readonly sliceMs: number; readonly nowMs: number }) {
    this.#leastAhead = options.leastAhead;
    this.#aheadUnits = options.leastAhead;
    this.#sliceMs = options.sliceMs;
    this.#atSettle = { counted: 0, nowMs: options.nowMs };
  }

  start(): void {}

  stop(): void {}

  /** How far ahead to reserve: about what one slice of time takes at the present pace. */
  get aheadUnits(): number {
    return this.#aheadUnits;
  }

  add(units: number): void {
    this.#counted += units;
  }

  wait(units: number): void {
    this.#waiting += units;
  }

  passed(units: number): void {
    this.#waiting = Math.max(0, this.#waiting - units);
  }

  /** A running total reported from outside; it never shrinks. What was foreseen of it is delivered now. */
  raise(total: number): void {
    this.#counted = Math.max(this.#counted, total);
    this.#waiting = Math.min(this.#waiting, this.#counted - total);
  }

  /** What the total will come to, as it looks: it must be covered, and is not delivered before it is raised or corrected. */
  foresee(total: number): void {
    if (total <= this.#counted) return;
    this.#waiting += total - this.#counted;
    this.#counted = total;
  }

  /** The truth at the end, which may be less than was counted. */
  correct(total: number): void {
    this.#counted = total;
    this.#waiting = 0;
    this.#settled = 0;
    this.unsent = () => 0;
  }

  counted(): number {
    return this.#counted;
  }

  delivered(_nowMs: number, coveredUnits: number): number {
    const left = Math.min(this.#counted - this.#waiting - this.unsent(), coveredUnits);
    this.#settled = Math.max(this.#settled, left, 0);
    return this.#settled;
  }

  final(nowMs: number, coveredUnits: number): number {
    return this.delivered(nowMs, coveredUnits);
  }

  usedUpAtMs(): number {
    return Number.POSITIVE_INFINITY;
  }

  usedUp(_nowMs: number, coveredUnits: number): boolean {
    return this.#counted > coveredUnits;
  }

  pace(): number {
    return this.#perMs;
  }

  /** Before each step: learns the pace, and grows the step when the last one did not reach. */
  learn(nowMs: number, coveredUnits: number): void {
    const passedMs = Math.max(1, nowMs - this.#atSettle.nowMs);
    const units = this.#counted - this.#atSettle.counted;
    this.#perMs = units / passedMs;
    // One chunk that came a moment after the last step says nothing about a slice of time.
    const aSlice = Math.ceil((units / Math.max(passedMs, this.#sliceMs / 4)) * this.#sliceMs * 1.25);
    const starved = this.#counted > coveredUnits;
    const ahead = Math.max(
      this.#leastAhead,
      aSlice,
      Math.floor(starved ? this.#aheadUnits * 2 : this.#aheadUnits / 2),
    );
    this.#aheadUnits = Math.min(ahead, Number.MAX_SAFE_INTEGER / 4);
    this.#atSettle = { counted: this.#counted, nowMs };
  }
}
