import type { Target } from './schedule.ts';

/** A time during which a process did not answer, ms of the run; `untilMs` is when it was seen to answer again. */
export interface Outage {
  readonly target: Target;
  /** `failed-over`: another Redis has taken its place, which may not have had the last weak writes. */
  readonly kind: 'killed' | 'restarted' | 'frozen' | 'failed-over';
  readonly fromMs: number;
  untilMs: number;
}

/** Remembers when what was away. */
export interface Timeline {
  readonly outages: readonly Outage[];
  nowMs(): number;
  /** From now until the returned function is called. */
  begin(target: Target, kind: Outage['kind']): () => void;
  /** All the time so far: it is not known when. */
  sometime(target: Target, kind: Outage['kind']): void;
  /** What was away at any moment from `fromMs` to `untilMs`. */
  during(target: Target, fromMs: number, untilMs: number): readonly Outage[];
  /** The next moment after `fromMs` at which the process ended; `undefined`: it lived on. */
  endAfter(target: Target, fromMs: number): number | undefined;
  /** The longest time in one piece from `fromMs` to `untilMs` in which none of the targets was away, ms. */
  calmMs(targets: readonly Target[], fromMs: number, untilMs: number): number;
}

/** @param nowMs - ms since the run began, monotonic */
export function createTimeline(nowMs: () => number): Timeline {
  const outages: Outage[] = [];
  const during = (target: Target, fromMs: number, untilMs: number): Outage[] =>
    outages.filter(
      (outage) => outage.target === target && outage.fromMs <= untilMs && outage.untilMs >= fromMs,
    );
  return {
    outages,
    nowMs,
    begin(target, kind) {
      const outage: Outage = { target, kind, fromMs: nowMs(), untilMs: Number.POSITIVE_INFINITY };
      outages.push(outage);
      return () => {
        outage.untilMs = nowMs();
      };
    },
    sometime: (target, kind) => void outages.push({ target, kind, fromMs: 0, untilMs: nowMs() }),
    during,
    endAfter(target, fromMs) {
      const ends = outages.filter(
        (outage) => outage.target === target && outage.kind !== 'frozen' && outage.untilMs >= fromMs,
      );
      return ends.length === 0 ? undefined : Math.max(fromMs, Math.min(...ends.map((end) => end.fromMs)));
    },
    calmMs(targets, fromMs, untilMs) {
      const away = targets
        .flatMap((target) => during(target, fromMs, untilMs))
        .sort((a, b) => a.fromMs - b.fromMs);
      let [calmMs, sinceMs] = [0, fromMs];
      for (const outage of away) {
        calmMs = Math.max(calmMs, outage.fromMs - sinceMs);
        sinceMs = Math.max(sinceMs, outage.untilMs);
      }
      return Math.max(calmMs, untilMs - sinceMs);
    },
  };
}
