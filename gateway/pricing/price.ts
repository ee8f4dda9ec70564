import type { Msat } from '../../node/msat.ts';

/** What a metered price counts. `unit` is whatever the upstream reports (tokens, images …). */
export type MeteredUnit = 'second' | 'byte' | 'event' | 'unit';

/**
 * A price as the operator wrote it, parsed. Amounts in msat. One grammar (`parsePrice` in parse-price.ts), one canonical
 * text (`formatPrice`), which is what the `_price` caveat holds.
 */
export type Price =
  | { readonly kind: 'free' }
  /** `10 sat`: each call. */
  | { readonly kind: 'call'; readonly amountMsat: Msat }
  /** `500 sat for 100 calls`: credit of the total, spent in equal calls. `perCallMsat × calls = totalMsat`, exactly. */
  | { readonly kind: 'bundle'; readonly totalMsat: Msat; readonly calls: number; readonly perCallMsat: Msat }
  /** `1000 sat for 24h`: any number of calls until the time is over. */
  | { readonly kind: 'pass'; readonly amountMsat: Msat; readonly durationSec: number }
  /** `360 sat/hour`, `1 sat/KB`, `3 sat/1k tokens`: `amountMsat` for every `per` units; the charge is the ceiling of the total. */
  | {
      readonly kind: 'metered';
      readonly amountMsat: Msat;
      readonly per: number;
      readonly unit: MeteredUnit;
      /** The word that the operator wrote for a reported unit (`tokens`). */
      readonly unitName: string;
    }
  /** `0.2 usd`: needs a rate source. `microUnits` is the amount in millionths of the currency. */
  | { readonly kind: 'fiat'; readonly microUnits: number; readonly currency: string };

/** A price that is counted as it is delivered. */
export type MeteredPrice = Extract<Price, { readonly kind: 'metered' }>;
