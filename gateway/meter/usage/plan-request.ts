import { planPreset } from './plan-preset.ts';
import type { MeteredRequest, RequestPlan } from './plan-types.ts';
import { ratesOfPrice, usageMsat } from './rates.ts';
import { NO_USAGE } from './usage.ts';
import type { ReportTerms, UsageTerms } from './usage-terms.ts';

/**
 * Decides what a request reserves and how it goes to the upstream, before anything is paid for. Pure: the caller reads the body and the
 * balance, and does what the plan says.
 */
export function planRequest(terms: UsageTerms, request: MeteredRequest): RequestPlan {
  return terms.kind === 'preset' ? planPreset(terms, request) : planReport(terms, request);
}

function planReport(terms: ReportTerms, request: MeteredRequest): RequestPlan {
  const rates = ratesOfPrice(request.price);
  const reserveMsat = usageMsat(rates, { ...NO_USAGE, output: terms.estimateUnits });
  if (request.balanceMsat !== undefined && request.balanceMsat < reserveMsat) {
    return { kind: 'insufficient', neededMsat: reserveMsat };
  }
  const inBody = terms.place.kind === 'json' || terms.place.kind === 'sse';
  return {
    kind: 'planned',
    reserveMsat,
    neededMsat: reserveMsat,
    body: request.body,
    headersToSet: inBody ? PLAIN_ANSWER : {},
    expected: {
      terms,
      rates,
      form: terms.place.kind === 'sse' ? 'sse' : 'json',
      removesUsageChunk: false,
      estimatedInput: 0,
      reservedOutput: terms.estimateUnits,
    },
  };
}

/**
 * A report in the body is asked for uncompressed: it can be read as it comes, and events can be taken out and put in. An upstream that
 * compresses all the same is read on a decoded copy.
 */
const PLAIN_ANSWER = { 'accept-encoding': 'identity' };
