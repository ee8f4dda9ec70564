import type { IncomingHttpHeaders } from 'node:http';
import type { Msat } from '../../../node/msat.ts';
import type { MeteredPrice, Rates } from './rates.ts';
import type { RequestRefusal } from './read-request.ts';
import type { UsageTerms } from './usage-terms.ts';

/** A request that is to be metered by what its upstream reports. */
export interface MeteredRequest {
  readonly method: string;
  /** As the upstream will see it, without the query. */
  readonly path: string;
  /** As the client sent them. */
  readonly headers: IncomingHttpHeaders;
  /** Read whole when `needsRequestBody(terms)` says so. */
  readonly body: Buffer | undefined;
  /** What the account can spend; `undefined` when nobody has paid yet. */
  readonly balanceMsat: Msat | undefined;
  /** The price that holds for this account (the locked one, when it is lower). Unused when the terms have rates by model. */
  readonly price: MeteredPrice;
}

/** What the answer to a planned request is measured against. Passed on to the reader of the answer as it is. */
export interface ExpectedUsage {
  readonly terms: UsageTerms;
  readonly rates: Rates;
  /** How the answer comes when its content type does not say. */
  readonly form: 'json' | 'sse' | 'lines';
  /** The usage chunk was not asked for by the client: it is taken out of the stream again. */
  readonly removesUsageChunk: boolean;
  /** Billed as input when the upstream never says, units. */
  readonly estimatedInput: number;
  /** Output that was reserved, units: no estimate bills more. */
  readonly reservedOutput: number;
}

/** What to do with a request. */
export type RequestPlan =
  | {
      readonly kind: 'planned';
      /** To be set aside before the request goes on. With `bound: rewrite` it is never over the balance. */
      readonly reserveMsat: Msat;
      /** The least balance with which this request would be let through. */
      readonly neededMsat: Msat;
      /** To be sent; `undefined` when there was none, or it need not be read. */
      readonly body: Buffer | undefined;
      /** Lower case; they replace the client's. */
      readonly headersToSet: Readonly<Record<string, string>>;
      readonly expected: ExpectedUsage;
    }
  /** 402: the balance does not cover the request. */
  | { readonly kind: 'insufficient'; readonly neededMsat: Msat }
  /** Answered with an error, before anything was paid for. */
  | { readonly kind: 'refused'; readonly refusal: RequestRefusal };
