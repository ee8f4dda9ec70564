import type { JsonPath } from './json-path.ts';
import type { ModelRates } from './model-rates.ts';

/*
 * How a service learns what a request used: the resolved configuration, every default filled in. Made once for each service by the
 * config loader, which has checked it; nothing here is read from a request.
 */

/** Wire forms that are known by name. */
export type PresetName = 'openai' | 'anthropic' | 'ollama';

/** Where an upstream that has no preset reports what it used. */
export type ReportPlace =
  /** A response header; lower case. */
  | { readonly kind: 'header'; readonly name: string }
  /** A trailer of a chunked response; lower case. */
  | { readonly kind: 'trailer'; readonly name: string }
  /** A number in the JSON body. */
  | { readonly kind: 'json'; readonly path: JsonPath }
  /** A number in the data of an SSE event; the last one counts, and each is the total so far. */
  | { readonly kind: 'sse'; readonly path: JsonPath };

/** What the gateway does with the bound that a request sets on its own output (`max_tokens`). */
export type BoundRule =
  /** It limits what is reserved; the request goes on as it came. */
  | 'reserve'
  /** It is also lowered to what the balance buys, or set when the client left it out. */
  | 'rewrite';

/** What every form of report has in common. */
interface CommonTerms {
  /** The word for one unit, for people: `tokens`. */
  readonly unitName: string;
  /** A counter over this many units is billed as this many, and reported as capped. */
  readonly capUnits: number;
  /**
   * Units. Without a preset: what is reserved, and what is billed when the report is missing. With one: the output that is assumed of
   * a request without a bound of its own.
   */
  readonly estimateUnits: number;
}

/** One number at one place, priced by the service's metered price. */
export interface ReportTerms extends CommonTerms {
  readonly kind: 'report';
  readonly place: ReportPlace;
}

/** A wire form that is known by name, with input and output counted apart. */
export interface PresetTerms extends CommonTerms {
  readonly kind: 'preset';
  readonly preset: PresetName;
  /** Rates by model. Absent: the service's metered price holds for every model, for input and output alike. */
  readonly models?: ModelRates;
  readonly bound: BoundRule;
  /** The name under which a bound is set when the request has none. Absent: the preset's own. */
  readonly boundField?: string;
  /** Bytes of a request that make one unit of input at the least, for what is reserved. 1 is the true bound of text. */
  readonly inputBytesPerUnit: number;
  /** Units reserved for each thing that a request refers to and does not hold: an image's URL, a file, an earlier response. */
  readonly referenceUnits: number;
  /** Larger requests are refused: they are read whole before they are paid for, bytes. */
  readonly maxRequestBytes: number;
}

/** How a service learns what a request used. */
export type UsageTerms = ReportTerms | PresetTerms;

/** Defaults of {@link PresetTerms} and {@link ReportTerms}, for the config schema. */
export const USAGE_DEFAULTS = {
  /** `estimateUnits` of a preset: output of a request without a bound. */
  presetEstimateUnits: 4_096,
  /** `capUnits` of a preset, for each of the counters: twice the longest context on sale. */
  presetCapUnits: 2_000_000,
  /** `capUnits` without a preset is this many times the estimate. */
  capTimesEstimate: 100,
  inputBytesPerUnit: 1,
  referenceUnits: 4_000,
  maxRequestBytes: 4_000_000,
} as const;

/** A word of the wire for each preset, so that all of them are named in one place. */
export const PRESET_NAMES: readonly PresetName[] = ['openai', 'anthropic', 'ollama'];

/** True when the request's whole body must be read before {@link planRequest}: presets price by what it says. */
export function needsRequestBody(terms: UsageTerms): terms is PresetTerms {
  return terms.kind === 'preset';
}
