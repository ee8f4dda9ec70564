import type { Msat } from '../../node/msat.ts';
import type { MeteredUnit } from '../pricing/price.ts';
import type { CutReason, MeterNotice } from './terms.ts';

/** One connection of a tab. */
export interface Member {
  hold(): void;
  resume(): void;
  notice(notice: MeterNotice): void;
  cut(by: CutReason): void;
}

/** What a tab asks of the wheel that drives it. */
export interface TabPort<Tab> {
  schedule(tab: Tab, dueMs: number): void;
  /** The tab wants a step; it is in the next store call. */
  collect(tab: Tab): void;
  billed(tab: Tab, amountMsat: Msat): void;
  held(tab: Tab): void;
  /** Nothing is delivered any more: settle it. */
  ended(tab: Tab): void;
}

/** How a tab is driven; all ms. */
export interface TabSettings {
  readonly service: string;
  readonly unit: MeteredUnit;
  /** Several connections may share it; then what one of them did can't be told from what another did. */
  readonly shared: boolean;
  readonly sliceMs: number;
  /** The next slice is asked for when this much is left of the present one. */
  readonly leadMs: number;
  readonly tickMs: number;
  /** A held stream asks again this often, in case that nobody told us of the credit. */
  readonly retryMs: number;
  readonly holdMs: number;
  readonly warnMs: number;
}
