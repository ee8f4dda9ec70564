/** Something that the wheel wakes. `slot` belongs to the wheel. */
export interface Timed {
  slot: number;
  /** Its time has come; it schedules itself again when it wants more. */
  touch(nowMs: number): void;
}

/** An entry that has not been scheduled. */
export const NO_SLOT = -1;

/**
 * One timer for ten thousand streams: entries lie in buckets by the tick at which they are due, so that a tick touches those
 * that are due and no other. An entry is scheduled once at a time; scheduling it again moves it.
 */
export class Wheel {
  readonly #tickMs: number;
  readonly #buckets = new Map<number, Set<Timed>>();
  /** The last tick that was handed out. */
  #at: number;
  #size = 0;

  constructor(tickMs: number, nowMs: number) {
    this.#tickMs = tickMs;
    this.#at = Math.floor(nowMs / tickMs);
  }

  get size(): number {
    return this.#size;
  }

  /** Wakes the entry at the first tick at or after `dueMs`, never at the present one; `Infinity` takes it out. */
  schedule(entry: Timed, dueMs: number): void {
    const slot = Math.max(Math.ceil(dueMs / this.#tickMs), this.#at + 1);
    if (entry.slot === slot) return;
    this.remove(entry);
    if (!Number.isSafeInteger(slot)) return;
    let bucket = this.#buckets.get(slot);
    if (bucket === undefined) {
      bucket = new Set();
      this.#buckets.set(slot, bucket);
    }
    bucket.add(entry);
    entry.slot = slot;
    this.#size += 1;
  }

  remove(entry: Timed): void {
    const bucket = this.#buckets.get(entry.slot);
    if (bucket?.delete(entry) === true) {
      this.#size -= 1;
      if (bucket.size === 0) this.#buckets.delete(entry.slot);
    }
    entry.slot = NO_SLOT;
  }

  /** Takes out what is due by now. */
  due(nowMs: number): Timed[] {
    const target = Math.floor(nowMs / this.#tickMs);
    const found: Timed[] = [];
    // After a long pause there may be more ticks to go through than buckets.
    if (target - this.#at > this.#buckets.size) {
      const slots = [...this.#buckets.keys()].filter((slot) => slot <= target).sort((a, b) => a - b);
      for (const slot of slots) this.#take(slot, found);
    } else {
      for (let slot = this.#at + 1; slot <= target; slot += 1) this.#take(slot, found);
    }
    this.#at = Math.max(this.#at, target);
    return found;
  }

  #take(slot: number, into: Timed[]): void {
    const bucket = this.#buckets.get(slot);
    if (bucket === undefined) return;
    this.#buckets.delete(slot);
    this.#size -= bucket.size;
    for (const entry of bucket) {
      entry.slot = NO_SLOT;
      into.push(entry);
    }
  }
}
