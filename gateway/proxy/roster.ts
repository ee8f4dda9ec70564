/** An entry of a roster that is in none. */
export const NO_PLACE = -1;

/** What can stand in one {@link Roster}. `place` belongs to the roster; it begins as {@link NO_PLACE}. */
export interface Placed {
  place: number;
}

/**
 * What is under way, where each request comes and goes. A Set would do the same, but when V8 makes a new table for one, the old table
 * stays linked to it with all that was in it. Once such a table is old enough to be spared by the quick collections, so is everything
 * behind it: half of all that requests had allocated was copied, kept, and collected late, which took a fifth of the CPU of a request.
 */
export class Roster<T extends Placed> {
  readonly #entries: T[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** Enters it, unless it is in already. */
  add(entry: T): void {
    if (entry.place === NO_PLACE) entry.place = this.#entries.push(entry) - 1;
  }

  /** @returns false when it was not in */
  delete(entry: T): boolean {
    const { place } = entry;
    if (place === NO_PLACE) return false;
    entry.place = NO_PLACE;
    const last = this.#entries.pop();
    if (last === undefined || last === entry) return true;
    this.#entries[place] = last;
    last.place = place;
    return true;
  }

  /** Calls with each that is in now and has not left before its turn. */
  each(call: (entry: T) => void): void {
    for (const entry of [...this.#entries]) if (entry.place !== NO_PLACE) call(entry);
  }
}
