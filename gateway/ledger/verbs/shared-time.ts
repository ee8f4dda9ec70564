import { type Msat, msat } from '../../../node/msat.ts';
import type { AccountRow, Books } from '../books.ts';
import { MAX_SPANS, SHARED_TTL_SEC, type SharedTime, type Span } from '../store.ts';

/**
 * What of `spendMsat` is billed: the part of it that belongs to time which nobody has paid for under this key. That time is paid for
 * from now on. shared-time.lua is the same for Redis.
 */
export function billShared(
  books: Books,
  row: AccountRow,
  { key, spans }: SharedTime,
  spendMsat: Msat,
  nowSec: number,
): Msat {
  const allMs = lengthOf(spans);
  if (allMs === 0) return spendMsat;
  const paid = books.paidTime(row.ref, key, nowSec);
  const joined = joinSpans(paid.spans, spans);
  const newMs = lengthOf(joined) - lengthOf(paid.spans);
  const { billedMsat, restMillionths } = partOf(spendMsat, newMs, allMs, paid.restMillionths);
  const kept = { spans: mergeNearest(joined), restMillionths };
  books.savePaidTime(row.ref, key, kept, nowSec + SHARED_TTL_SEC);
  return billedMsat;
}

/** So much of an amount as `newMs` are of `allMs`, with what was left of such parts before, in whole msat. Never more than the amount. */
function partOf(
  amountMsat: Msat,
  newMs: number,
  allMs: number,
  restMillionths: number,
): { readonly billedMsat: Msat; readonly restMillionths: number } {
  if (newMs >= allMs) return { billedMsat: amountMsat, restMillionths };
  // Doubles: exact but for amounts beyond 2^53 / newMs, which is a film for thousands of bitcoin.
  const part = (amountMsat * newMs) / allMs;
  const whole = Math.floor(part);
  const rest = restMillionths + Math.floor((part - whole) * 1_000_000);
  const isMore = rest >= 1_000_000 && whole < amountMsat;
  return isMore
    ? { billedMsat: msat(whole + 1), restMillionths: rest - 1_000_000 }
    : { billedMsat: msat(Math.min(whole, amountMsat)), restMillionths: Math.min(rest, 999_999) };
}

function lengthOf(spans: readonly Span[]): number {
  return spans.reduce((sum, [fromMs, toMs]) => sum + toMs - fromMs, 0);
}

/** All of that time, in order, each stretch apart from the next. */
function joinSpans(some: readonly Span[], others: readonly Span[]): readonly Span[] {
  const joined: Span[] = [];
  for (const [fromMs, toMs] of [...some, ...others].toSorted(([a], [b]) => a - b)) {
    const last = joined.at(-1);
    if (last === undefined || fromMs > last[1]) joined.push([fromMs, toMs]);
    else joined[joined.length - 1] = [last[0], Math.max(last[1], toMs)];
  }
  return joined;
}

/** Bounds what is remembered: the shortest gaps count as paid for. */
function mergeNearest(spans: readonly Span[]): readonly Span[] {
  const merged = [...spans];
  while (merged.length > MAX_SPANS) {
    let nearest = 1;
    for (let at = 2; at < merged.length; at += 1) {
      if (gapBefore(merged, at) < gapBefore(merged, nearest)) nearest = at;
    }
    const [before, after] = merged.slice(nearest - 1, nearest + 1);
    if (before === undefined || after === undefined) break;
    merged.splice(nearest - 1, 2, [before[0], after[1]]);
  }
  return merged;
}

function gapBefore(spans: readonly Span[], at: number): number {
  return (spans[at]?.[0] ?? 0) - (spans[at - 1]?.[1] ?? 0);
}
