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

/** A place among the streams that the account may have: a lease of nothing that the store counts as any other. */
export interface Place {
  /** Told at the end; with a reason when the place ended by itself. */
  onEnd: ((cutBy: CutReason | undefined) => void) | undefined;
  end(cutBy: CutReason | undefined, nowMs: number): void;
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
  /**
   * What of the account's time is paid for together, here and at other gateways. Present when connections share it; then what one of them did
   * can't be told from what another did.
   */
  readonly sharedAs?: string;
  readonly sliceMs: number;
  /** The next slice is asked for when this much is left of the present one. */
  readonly leadMs: number;
  readonly tickMs: number;
  /** A held stream asks again this often, in case that nobody told us of the credit. */
  readonly retryMs: number;
  readonly holdMs: number;
  readonly warnMs: number;
}

/**
 * Where a charge stands.
 *
 *     opening ──► running ◄──► holding ──► ended
 *
 * `opening`: a slice is set aside, nothing was delivered. `holding`: what was set aside is used up, nothing passes and no
 * time is counted; first for the store's `answer` (the next slice was asked for, and nobody is told), then, when the answer
 * is that there is no money, for `credit`.
 */
export type TabState =
  | { readonly kind: 'opening' }
  | { readonly kind: 'running' }
  | {
      readonly kind: 'holding';
      readonly sinceMs: number;
      readonly for: 'answer' | 'credit';
      /** The hold ends, if no credit came; ms. */
      readonly untilMs: number;
      /** Steps that were prepared since the hold began. */
      readonly asks: number;
      /** The hold is over, and the store is asked for the last time: credit may have come without a word. */
      readonly last: boolean;
    }
  | { readonly kind: 'ended'; readonly cutBy: CutReason | undefined };
