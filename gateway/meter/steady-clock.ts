/**
 * A clock that only ever goes forward, in whole milliseconds from 0, over a monotonic one. A step back counts as nothing: the clock goes
 * on from there, so that an hour back is not an hour for nothing. A step longer than `maxStepMs` counts as `maxStepMs`: it is read at
 * every tick, so a longer one means that the process stood still (and delivered nothing) or that the clock jumped; neither may be
 * billed, end a hold, or count as time that the store was away.
 * @param missed - told of what a longer step had beyond that, ms, before the clock is read on: it is so much further behind others
 */
export function steadyClock(
  nowMs: () => number,
  maxStepMs: number,
  missed: (missedMs: number) => void = () => {},
): () => number {
  let before = Math.floor(nowMs());
  let steadyMs = 0;
  return () => {
    const now = Math.floor(nowMs());
    const stepMs = now - before;
    before = now;
    if (stepMs > 0) steadyMs += Math.min(stepMs, maxStepMs);
    if (stepMs > maxStepMs) missed(stepMs - maxStepMs);
    return steadyMs;
  };
}
