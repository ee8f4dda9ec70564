import type { Lease } from './lease.ts';
import { type Counter, Seconds } from './quantity.ts';
import { unitsFor } from './rate.ts';
import type { TabSettings } from './tab-types.ts';

/** A tab after an answer of the store. */
export interface Standing {
  readonly lease: Lease;
  readonly quantity: Seconds | Counter;
  readonly settings: TabSettings;
  /** Nothing is being delivered: the lease is only kept alive. */
  readonly isIdle: boolean;
  /** Present while it is held: what must be covered for it to go on. */
  readonly holding: { readonly needUnits: number } | undefined;
  /** The answer told a balance that the last step did not know of. */
  readonly knowsNews: boolean;
}

/** When a lease is renewed at the latest: twice more before it expires, should answers be lost. */
export function keepAliveAt(lease: Lease): number {
  return lease.renewedAtMs + (lease.ttlSec * 1000) / 3;
}

/** When the next step of a tab is due, ms: before what is set aside is used up, and not more often than it has to be. */
export function nextStepAt(standing: Standing, nowMs: number): number {
  const { lease, quantity, settings, holding } = standing;
  const keepAliveMs = keepAliveAt(lease);
  // Nothing to be had at the moment.
  const probeMs = Math.min(keepAliveMs, nowMs + settings.retryMs);
  if (holding !== undefined) {
    if (lease.shortOf(holding.needUnits) > lease.balanceMsat) return probeMs;
    return standing.knowsNews ? nowMs : nowMs + settings.tickMs;
  }
  if (standing.isIdle) return keepAliveMs;
  const isTime = quantity instanceof Seconds;
  const leftUnits = lease.coveredUnits - quantity.counted(nowMs, lease.coveredUnits);
  const lowUnits = isTime ? settings.leadMs : quantity.aheadUnits / 2;
  if (leftUnits <= lowUnits) return lease.balanceMsat > 0 ? nowMs + settings.tickMs : probeMs;
  if (isTime) return Math.min(keepAliveMs, nowMs + leftUnits - settings.leadMs);
  const owes = quantity.delivered(nowMs, lease.coveredUnits) > unitsFor(lease.rate, lease.committedMsat);
  return owes ? Math.min(keepAliveMs, nowMs + settings.sliceMs) : keepAliveMs;
}
