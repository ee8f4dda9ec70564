/*
 * Prices by what the upstream reports it used. A pure library: it reads requests and answers, and moves no money.
 *
 *   planRequest (before payment)  ->  UsageReader (as the answer passes)  ->  UsageBill
 */
export { type JsonPath, parseJsonPath } from './json-path.ts';
export { compileModelRates, type ModelRates } from './model-rates.ts';
export { planRequest } from './plan-request.ts';
export type { ExpectedUsage, MeteredRequest, RequestPlan } from './plan-types.ts';
export { type MeteredPrice, type Rate, type RateCard, type Rates, ratesOfPrice, usageMsat } from './rates.ts';
export type { RequestRefusal } from './read-request.ts';
export { NO_USAGE, totalUnits, type Usage } from './usage.ts';
export type { UsageBill, UsageSource } from './usage-bill.ts';
export { type RunningUsage, UsageReader } from './usage-reader.ts';
export {
  type BoundRule,
  needsRequestBody,
  PRESET_NAMES,
  type PresetName,
  type PresetTerms,
  type ReportPlace,
  type ReportTerms,
  USAGE_DEFAULTS,
  type UsageTerms,
} from './usage-terms.ts';
