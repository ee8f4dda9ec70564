import { type Msat, ZERO_MSAT } from '../../../node/msat.ts';
import { type Findings, unitsOfBytes } from './dialect.ts';
import type { ExpectedUsage } from './plan-types.ts';
import { usageMsat } from './rates.ts';
import { capUsage, NO_USAGE, totalUnits, type Usage } from './usage.ts';

/** Where a bill's numbers come from. */
export type UsageSource =
  /** The upstream said so. */
  | 'reported'
  /** It said nothing, or not all: estimated from what was asked and what came. */
  | 'estimated'
  /** It said more than the service takes for possible: billed at the bound. */
  | 'capped'
  /** The upstream answered with an error: nothing is billed. */
  | 'free';

/** What a request is billed. */
export interface UsageBill {
  readonly source: UsageSource;
  readonly usage: Usage;
  /** All counters together. */
  readonly units: number;
  readonly costMsat: Msat;
  /** The upstream put something in a counter's place that is no count: for a metric. */
  readonly malformed: boolean;
}

/** What is known of an answer beside the findings. */
export interface AnswerFacts {
  /** A status that is an error. */
  readonly refused: boolean;
  readonly form: ExpectedUsage['form'] | 'head';
  readonly bodyBytes: number;
  /** The body was encoded in a way that could not be read. */
  readonly unreadable: boolean;
}

/** The bill, were the answer over now. */
export function billOf(expected: ExpectedUsage, findings: Findings, facts: AnswerFacts): UsageBill {
  const { malformed } = findings;
  if (facts.refused || findings.failed) {
    return { source: 'free', usage: NO_USAGE, units: 0, costMsat: ZERO_MSAT, malformed };
  }
  const reported = isReported(expected, findings);
  const whole = reported ? firmUsage(findings) : estimatedUsage(expected, findings, facts);
  const usage = capUsage(whole, expected.terms.capUnits);
  const source = usage !== whole ? 'capped' : reported ? 'reported' : 'estimated';
  return { source, usage, units: totalUnits(usage), costMsat: usageMsat(expected.rates, usage), malformed };
}

/** What the upstream itself has said so far. */
export function firmUsage({ input = 0, cachedInput = 0, cacheWrite = 0, output = 0 }: Findings): Usage {
  return { input, cachedInput, cacheWrite, output };
}

function isReported({ terms }: ExpectedUsage, findings: Findings): boolean {
  const { input, output, produced, malformed } = findings;
  if (terms.kind === 'report') return output !== undefined;
  return input !== undefined && output !== undefined && produced === 0 && !malformed;
}

function estimatedUsage(expected: ExpectedUsage, findings: Findings, facts: AnswerFacts): Usage {
  const said = firmUsage(findings);
  const output = Math.min(said.output + estimatedOutput(expected, findings, facts), expected.reservedOutput);
  return { ...said, input: findings.input ?? expected.estimatedInput, output: Math.max(said.output, output) };
}

/** Output that came since the last report of it, or that is assumed to have come. */
function estimatedOutput({ terms }: ExpectedUsage, findings: Findings, facts: AnswerFacts): number {
  if (terms.kind === 'report') return terms.estimateUnits;
  if (findings.produced > 0 || findings.output !== undefined) return findings.produced;
  if (facts.unreadable) return terms.estimateUnits;
  return facts.form === 'json' ? unitsOfBytes(facts.bodyBytes) : 0;
}
