import type { Lease } from './lease.ts';
import type { Counter, Seconds } from './quantity.ts';
import { unitsFor } from './rate.ts';

/** How long the credit lasts at the present pace, ms; `undefined` while nothing is used up. */
export function lastsMs(lease: Lease, quantity: Seconds | Counter, nowMs: number): number | undefined {
  const pace = quantity.pace();
  if (pace === 0) return undefined;
  const paidMsat = lease.committedMsat + lease.reservedMsat + lease.balanceMsat;
  const paidUnits = unitsFor(lease.rate, Math.min(paidMsat, Number.MAX_SAFE_INTEGER));
  const leftUnits = paidUnits - quantity.counted(nowMs, lease.coveredUnits);
  return Math.max(0, Math.floor(leftUnits / pace));
}

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
