import { costOf, rateOf } from '../gateway/meter/rate.ts';
import type { UsageTerms } from '../gateway/meter/usage/usage-terms.ts';
import { describePrice, describeSeconds } from '../gateway/pricing/describe-price.ts';
import type { Deposit } from '../gateway/pricing/parse-deposit.ts';
import type { MeteredPrice, MeteredUnit } from '../gateway/pricing/price.ts';
import { formatMsat, type Msat, maxMsat, sats } from '../node/msat.ts';
import type { MeteringConfig } from './config.ts';
import type { Finding } from './problem.ts';
import { meteringKeys } from './schema-metering.ts';
import type { ServiceFile } from './schema-service.ts';
import { readUsage } from './usage.ts';

/** What a deposit is worth at least when nobody chose one. */
const USUAL_DEPOSIT_MSAT = sats(100);
const USUAL_DEPOSIT_SEC = 60;
/** A meter asks the upstream for nothing with less than this many bytes paid for. */
const LEAST_BYTES = 1_024;
const USUAL_SLICE_MS = 1_000;
const USUAL_MAX_STREAMS = 3;

/** How a metered service is charged, and what is wrong with how it was written. Paths begin at the service. */
export interface Metering {
  /** Undefined when the price is not metered. Complete also when something is wrong. */
  readonly metering: MeteringConfig | undefined;
  readonly findings: readonly Finding[];
}

/** What is wrong with the metering of services. */
export function checkMetering(services: readonly ServiceFile[]): readonly Finding[] {
  return services.flatMap((service, index) =>
    readMetering(service).findings.map((finding) => ({
      ...finding,
      path: ['services', index, ...finding.path],
    })),
  );
}

/** Fills in the keys of a metered service and checks them against its price. */
export function readMetering(service: ServiceFile): Metering {
  const { price } = service;
  if (price.kind !== 'metered') return { metering: undefined, findings: unmeteredFindings(service) };
  const usage = readUsage(service.usage, price);
  const sliceMs = service.slice ?? USUAL_SLICE_MS;
  const least = leastDeposit(price, sliceMs, usage.terms);
  const deposit = readDeposit(service.deposit, price, least);
  const { max = USUAL_MAX_STREAMS, charge = 'each' } = service.streams ?? {};
  return {
    metering: {
      depositMsat: deposit.msat,
      sliceMs,
      holdMs: service.hold ?? 45_000,
      warnMs: service.warn ?? 10_000,
      chargeFrom: service.chargeFrom ?? 'response',
      maxStreams: max === 'unlimited' ? undefined : max,
      charge,
      count: service.count ?? 'response',
      ...(service.pace !== undefined && { paceBytesPerSec: service.pace }),
      allowBurst: service.allowBurst ?? false,
      ...(usage.terms !== undefined && { usage: usage.terms }),
    },
    findings: [...deposit.findings, ...keyFindings(service, price), ...usage.findings],
  };
}

/** What is sold when nobody chose a deposit, msat: 100 sat, but a minute of time and enough for one request. */
export function usualDepositMsat(price: MeteredPrice, leastMsat: Msat = leastDeposit(price).msat): Msat {
  const minuteMsat = price.unit === 'second' ? costOf(rateOf(price), USUAL_DEPOSIT_SEC * 1_000) : leastMsat;
  return maxMsat(maxMsat(USUAL_DEPOSIT_MSAT, minuteMsat), leastMsat);
}

/** The least that a request must find on its account, or it would be asked to pay again and again. */
interface Least {
  readonly msat: Msat;
  /** What it pays for: `one slice of 1 second`. */
  readonly buys: string;
}

function leastDeposit(price: MeteredPrice, sliceMs = USUAL_SLICE_MS, usage?: UsageTerms): Least {
  const rate = rateOf(price);
  switch (price.unit) {
    case 'second':
      return {
        msat: costOf(rate, sliceMs),
        buys: `one slice of ${sliceMs % 1_000 === 0 ? describeSeconds(sliceMs / 1_000) : `${sliceMs} ms`}`,
      };
    case 'byte':
      return { msat: costOf(rate, LEAST_BYTES), buys: `${LEAST_BYTES} bytes` };
    case 'event':
      return { msat: costOf(rate, 1), buys: 'one event' };
    case 'unit': {
      // A preset sets aside what each request says; a bound of its own may be as small as one unit.
      const units = usage?.kind === 'report' ? usage.estimateUnits : 1;
      const buys =
        units === 1 ? `one of the ${price.unitName}` : `the estimate of ${units} ${price.unitName}`;
      return { msat: costOf(rate, units), buys };
    }
  }
}

function readDeposit(
  deposit: Deposit | undefined,
  price: MeteredPrice,
  least: Least,
): { readonly msat: Msat; readonly findings: readonly Finding[] } {
  const usualMsat = usualDepositMsat(price, least.msat);
  if (deposit === undefined) return { msat: usualMsat, findings: [] };
  if (deposit.kind === 'quantity' && !countsSame(deposit, price)) {
    const counted = price.unit === 'unit' ? price.unitName : `${price.unit}s`;
    return {
      msat: usualMsat,
      findings: [
        {
          path: ['deposit'],
          problem: `is not in ${counted}, which the price counts`,
          remedy: `write for example \`${exampleQuantity(price)}\`, or an amount: \`${formatMsat(usualMsat)}\``,
        },
      ],
    };
  }
  const scale = price.unit === 'second' ? 1_000 : 1;
  const depositMsat =
    deposit.kind === 'amount' ? deposit.amountMsat : costOf(rateOf(price), deposit.count * scale);
  if (depositMsat >= least.msat) return { msat: depositMsat, findings: [] };
  return {
    msat: depositMsat,
    findings: [
      {
        path: ['deposit'],
        problem: `is less than ${least.buys}, so who paid it would be asked to pay again`,
        remedy: `sell at least \`${formatMsat(least.msat)}\``,
      },
    ],
  };
}

function countsSame(deposit: Deposit & { readonly kind: 'quantity' }, price: MeteredPrice): boolean {
  return deposit.unit === price.unit && (price.unit !== 'unit' || deposit.unitName === price.unitName);
}

function exampleQuantity({ unit, unitName }: MeteredPrice): string {
  return { second: '60s', byte: '10MB', event: '100 events', unit: `1000 ${unitName}` }[unit];
}

function unmeteredFindings(service: ServiceFile): readonly Finding[] {
  const keys = Object.keys(meteringKeys).filter((key) => Reflect.get(service, key) !== undefined);
  return keys.map((key) => ({
    path: [key],
    at: 'key',
    problem: `is for metered prices, and ${service.name} costs ${describePrice(service.price)}`,
    remedy: `remove it, or meter: \`price: ${key === 'usage' ? '3 sat/1k tokens' : '100 msat/second'}\``,
  }));
}

/** What each key is about, by unit; a key that does nothing must not look as if it did. */
const MEANT_FOR: readonly (readonly [key: keyof ServiceFile, units: readonly MeteredUnit[], what: string])[] =
  [
    ['slice', ['second'], 'prices for time'],
    ['chargeFrom', ['second'], 'prices for time'],
    ['allowBurst', ['second'], 'prices for time'],
    ['pace', ['second', 'byte'], 'prices for time and bytes'],
    ['count', ['byte', 'event'], 'prices for bytes and events'],
    ['usage', ['unit'], 'prices for units that the upstream reports'],
  ];

function keyFindings(service: ServiceFile, price: MeteredPrice): readonly Finding[] {
  const findings: Finding[] = [];
  for (const [key, units, what] of MEANT_FOR) {
    if (service[key] === undefined || units.includes(price.unit)) continue;
    findings.push({
      path: [key],
      at: 'key',
      problem: `is for ${what}, and ${service.name} costs ${describePrice(price)}`,
      remedy: 'remove it',
    });
  }
  if (service.streams?.charge === 'once' && price.unit !== 'second') {
    findings.push({
      path: ['streams', 'charge'],
      problem: 'joins streams that are charged for time, and these are not',
      remedy: 'write `each`, or leave it out',
    });
  }
  if (price.unit === 'unit' && service.usage === undefined) {
    findings.push({
      path: ['price'],
      problem: `counts ${price.unitName}, and nothing says where the upstream reports them`,
      remedy: `add \`usage: { ${price.unitName === 'tokens' ? 'preset: openai' : `header: x-${price.unitName}-used, estimate: 10`} }\` to the service in a file (docs/usage.md)`,
    });
  }
  return findings;
}
