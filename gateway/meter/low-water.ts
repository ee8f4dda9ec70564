/** Warns once each time that what is left falls below a mark. */
export class LowWater {
  readonly #markMs: number;
  /** What lifts it this much above the mark arms it again: a slice given back is no new credit. */
  readonly #marginMs: number;
  #warned = false;

  /** @param markMs - 0: never warns */
  constructor(markMs: number, marginMs: number) {
    this.#markMs = markMs;
    this.#marginMs = marginMs;
  }

  /** @returns true when this is the moment to warn */
  crossed(remainingMs: number): boolean {
    if (remainingMs > this.#markMs + this.#marginMs) this.#warned = false;
    if (this.#warned || this.#markMs === 0 || remainingMs > this.#markMs) return false;
    this.#warned = true;
    return true;
  }
}
