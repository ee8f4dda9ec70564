/** A stretch of time, ms of the run. */
export type Stretch = readonly [fromMs: number, toMs: number];

/** What is known of one stream among those that pay for their time together. */
export interface SharedStream {
  /** When it may have been delivered. */
  readonly may: readonly Stretch[];
  /** When something came all the while. */
  readonly surely: readonly Stretch[];
  /** So much of it may not be billed, ms: what a gateway's end loses. */
  readonly lostMs: number;
}

/**
 * What a gateway may be wrong by about the store's clock, ms: half of the time that the quickest of four answers takes, on a machine that
 * does much else.
 */
const CLOCK_OFF_MS = 400;

/** For how long an account can have had streams that are charged once, ms: at the least and at the most. */
export function timeTogether(streams: readonly SharedStream[]): {
  readonly leastMs: number;
  readonly mostMs: number;
} {
  const most = lengthOf(union(streams.flatMap(({ may }) => may)));
  return { leastMs: leastOf(streams), mostMs: most + streams.length * CLOCK_OFF_MS };
}

/**
 * The time in which at least one of them surely ran, each less what it may have lost. One that adds less than that to the others is
 * left out: what it loses is then time that it does not count for.
 */
function leastOf(streams: readonly SharedStream[]): number {
  const longestFirst = streams.toSorted((a, b) => lengthOf(b.surely) - lengthOf(a.surely));
  let counted: readonly Stretch[] = [];
  let leastMs = 0;
  for (const { surely, lostMs } of longestFirst) {
    const joined = union([...counted, ...surely]);
    const addedMs = lengthOf(joined) - lengthOf(counted) - lostMs - CLOCK_OFF_MS;
    if (addedMs <= 0) continue;
    leastMs += addedMs;
    counted = joined;
  }
  return leastMs;
}

/** All of that time, in order, each stretch apart from the next. */
export function union(stretches: readonly Stretch[]): readonly Stretch[] {
  const joined: Stretch[] = [];
  for (const [fromMs, toMs] of stretches.toSorted(([a], [b]) => a - b)) {
    const last = joined.at(-1);
    if (last === undefined || fromMs > last[1]) joined.push([fromMs, toMs]);
    else joined[joined.length - 1] = [last[0], Math.max(last[1], toMs)];
  }
  return joined;
}

/** What is left of a stretch without the holes, which are in order and apart. */
export function without([fromMs, toMs]: Stretch, holes: readonly Stretch[]): readonly Stretch[] {
  const left: Stretch[] = [];
  let sinceMs = fromMs;
  for (const [holeFromMs, holeToMs] of holes) {
    if (holeToMs <= holeFromMs) continue;
    if (holeFromMs > sinceMs) left.push([sinceMs, Math.min(holeFromMs, toMs)]);
    sinceMs = Math.max(sinceMs, holeToMs);
  }
  if (sinceMs < toMs) left.push([sinceMs, toMs]);
  return left.filter(([from, to]) => to > from);
}

/** How long they are together; they are apart from each other. */
export function lengthOf(stretches: readonly Stretch[]): number {
  return stretches.reduce((sum, [fromMs, toMs]) => sum + toMs - fromMs, 0);
}
