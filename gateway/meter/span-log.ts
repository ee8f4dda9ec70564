import { MAX_SPANS, type Span } from '../ledger/store.ts';
import type { Share } from './lease.ts';

interface Stretch {
  /** Units counted before it. */
  readonly fromUnits: number;
  readonly fromMs: number;
  readonly lengthMs: number;
}

/** When each unit of time was delivered, by the store's clock: which stretches of a count belong to which moments. */
export class SpanLog {
  #stretches: Stretch[] = [];
  /** What the meter's clock lacks to the store's, ms. */
  #aheadMs: number;

  constructor(aheadMs: number) {
    this.#aheadMs = aheadMs;
  }

  /** The meter's clock stood still for so long, ms, and the store's did not: what comes is so much later. */
  missed(missedMs: number): void {
    this.#aheadMs += missedMs;
  }

  /** Time was counted: `lengthMs` units after `fromUnits`, from `sinceMs` on by the meter's clock. */
  add(fromUnits: number, sinceMs: number, lengthMs: number): void {
    const fromMs = sinceMs + this.#aheadMs;
    const last = this.#stretches.at(-1);
    if (last !== undefined && last.fromMs + last.lengthMs === fromMs) {
      this.#stretches[this.#stretches.length - 1] = { ...last, lengthMs: last.lengthMs + lengthMs };
    } else {
      this.#stretches.push({ fromUnits, fromMs, lengthMs });
    }
    if (this.#stretches.length > MAX_SPANS) this.#foldNearest();
  }

  /** Too many pieces to name: the two nearest become one, as long as both were, which ends when the second ended. */
  #foldNearest(): void {
    const stretches = this.#stretches;
    let nearest = 1;
    for (let at = 2; at < stretches.length; at += 1) {
      if (gapBefore(stretches, at) < gapBefore(stretches, nearest)) nearest = at;
    }
    const [first, second] = stretches.slice(nearest - 1, nearest + 1);
    if (first === undefined || second === undefined) return;
    const fromMs = second.fromMs - first.lengthMs;
    const lengthMs = first.lengthMs + second.lengthMs;
    stretches.splice(nearest - 1, 2, { fromUnits: first.fromUnits, fromMs, lengthMs });
  }

  /** Those moments, by the store's clock. Units beyond what was counted follow on the last one: the least time of a connection. */
  between(fromUnits: number, toUnits: number): readonly Span[] {
    const spans: Span[] = [];
    this.#stretches.forEach(({ fromUnits: first, fromMs, lengthMs }, at) => {
      const isLast = at === this.#stretches.length - 1;
      const from = Math.max(first, fromUnits);
      const to = isLast ? toUnits : Math.min(first + lengthMs, toUnits);
      if (to > from) spans.push([fromMs + from - first, fromMs + to - first]);
    });
    return spans;
  }

  /** Those units are paid for. The last stretch stays, as what may follow on it. */
  forget(beforeUnits: number): void {
    const last = this.#stretches.length - 1;
    this.#stretches = this.#stretches.filter(
      ({ fromUnits, lengthMs }, at) => at === last || fromUnits + lengthMs > beforeUnits,
    );
  }
}

function gapBefore(stretches: readonly Stretch[], at: number): number {
  const before = stretches[at - 1];
  return (stretches[at]?.fromMs ?? 0) - (before === undefined ? 0 : before.fromMs + before.lengthMs);
}

/** Names the time of a part of the count as the store knows it; undefined for time that is not paid for together. */
export function shareOf(log: SpanLog | undefined, key: string | undefined): Share | undefined {
  if (log === undefined || key === undefined) return undefined;
  return (fromUnits, toUnits) => ({ key, spans: log.between(fromUnits, toUnits) });
}
