import { compileModelRates, type ModelRates } from '../gateway/meter/usage/model-rates.ts';
import type { RateCard } from '../gateway/meter/usage/rates.ts';
import {
  PRESET_NAMES,
  type ReportPlace,
  USAGE_DEFAULTS,
  type UsageTerms,
} from '../gateway/meter/usage/usage-terms.ts';
import type { MeteredPrice, Price } from '../gateway/pricing/price.ts';
import type { Finding } from './problem.ts';
import type { RatesFile, UsageFile } from './schema-metering.ts';

/** How usage is learned, and what is wrong with how it was written. Paths begin at the service. */
export interface UsageRead {
  /** Undefined when there is none, or when something is wrong. */
  readonly terms: UsageTerms | undefined;
  readonly findings: readonly Finding[];
}

const PLACES = ['preset', 'header', 'trailer', 'json', 'sse'] as const;
const PRESET_KEYS = [
  'bound',
  'boundField',
  'models',
  'otherModels',
  'inputBytesPerUnit',
  'referenceUnits',
  'maxRequest',
] as const;

/** Reads `usage` of a service whose price counts reported units. */
export function readUsage(usage: UsageFile | undefined, price: MeteredPrice): UsageRead {
  // On another price it is refused as a whole.
  if (usage === undefined || price.unit !== 'unit') return { terms: undefined, findings: [] };
  const given = PLACES.filter((place) => usage[place] !== undefined);
  if (given.length !== 1) {
    const list = PLACES.map((place) => `\`${place}\``).join(', ');
    const problem =
      given.length === 0 ? 'says not where the report is' : `names ${given.length} places for one report`;
    return wrong([{ path: ['usage'], problem, remedy: `keep exactly one of ${list}` }]);
  }
  return usage.preset === undefined ? readReport(usage, price) : readPreset(usage, usage.preset, price);
}

function wrong(findings: readonly Finding[]): UsageRead {
  return { terms: undefined, findings };
}

function readReport(usage: UsageFile, { unitName }: MeteredPrice): UsageRead {
  const findings: Finding[] = PRESET_KEYS.filter((key) => usage[key] !== undefined).map((key) => ({
    path: ['usage', key],
    at: 'key',
    problem: 'works with a `preset` only: without one the gateway does not read requests',
    remedy: `remove it, or name a preset: ${PRESET_NAMES.map((name) => `\`${name}\``).join(', ')}`,
  }));
  const place = placeOf(usage);
  const { estimate } = usage;
  if (estimate === undefined) {
    findings.push({
      path: ['usage'],
      problem: 'has no `estimate`',
      remedy: `add \`estimate: 1000\`: the ${unitName} that are set aside for a request, and billed when it has no report`,
    });
  }
  if (estimate === undefined || place === undefined) return wrong(findings);
  const capUnits = usage.cap ?? Math.min(estimate * USAGE_DEFAULTS.capTimesEstimate, MAX_CAP);
  findings.push(...capFindings(estimate, capUnits));
  return { terms: { kind: 'report', unitName, place, estimateUnits: estimate, capUnits }, findings };
}

/** Reports over this are no count of anything that is sold. */
const MAX_CAP = 1_000_000_000_000;

function placeOf({ header, trailer, json, sse }: UsageFile): ReportPlace | undefined {
  if (header !== undefined) return { kind: 'header', name: header };
  if (trailer !== undefined) return { kind: 'trailer', name: trailer };
  if (json !== undefined) return { kind: 'json', path: json };
  return sse === undefined ? undefined : { kind: 'sse', path: sse };
}

function capFindings(estimate: number, cap: number): readonly Finding[] {
  if (cap >= estimate) return [];
  return [
    {
      path: ['usage', 'cap'],
      problem: `is less than the estimate of ${estimate}, so an estimate would cost more than any report`,
      remedy: 'raise it, or lower `estimate`',
    },
  ];
}

function readPreset(
  usage: UsageFile,
  preset: NonNullable<UsageFile['preset']>,
  price: MeteredPrice,
): UsageRead {
  const { unitName } = price;
  const estimateUnits = usage.estimate ?? USAGE_DEFAULTS.presetEstimateUnits;
  const capUnits = usage.cap ?? Math.max(USAGE_DEFAULTS.presetCapUnits, estimateUnits);
  const { models, findings } = readModels(usage, unitName);
  const bound = usage.bound ?? 'reserve';
  const boundFindings: readonly Finding[] =
    usage.boundField === undefined || bound === 'rewrite'
      ? []
      : [
          {
            path: ['usage', 'boundField'],
            at: 'key',
            problem: 'names a bound that nothing sets',
            remedy: 'add `bound: rewrite`, or remove it',
          },
        ];
  return {
    terms: {
      kind: 'preset',
      preset,
      unitName,
      estimateUnits,
      capUnits,
      bound,
      ...(usage.boundField !== undefined && { boundField: usage.boundField }),
      ...(models !== undefined && { models }),
      inputBytesPerUnit: usage.inputBytesPerUnit ?? USAGE_DEFAULTS.inputBytesPerUnit,
      referenceUnits: usage.referenceUnits ?? USAGE_DEFAULTS.referenceUnits,
      maxRequestBytes: usage.maxRequest ?? USAGE_DEFAULTS.maxRequestBytes,
    },
    findings: [...findings, ...boundFindings, ...capFindings(estimateUnits, capUnits)],
  };
}

interface ModelsRead {
  readonly models: ModelRates | undefined;
  readonly findings: readonly Finding[];
}

function readModels({ models, otherModels }: UsageFile, unitName: string): ModelsRead {
  if (models === undefined) {
    if (otherModels === undefined) return { models: undefined, findings: [] };
    const problem = 'is for models that `models` does not name, and there is no `models`';
    const remedy = 'add `models`, or remove it: without both, `price` holds for every model';
    return {
      models: undefined,
      findings: [{ path: ['usage', 'otherModels'], at: 'key', problem, remedy }],
    };
  }
  const findings: Finding[] = [];
  const cards: (readonly [name: string, card: RateCard])[] = [];
  for (const [name, rates] of Object.entries(models)) {
    const card = readCard(rates, unitName, ['usage', 'models', name], findings);
    if (card !== undefined) cards.push([name, card]);
  }
  const others =
    otherModels === undefined
      ? undefined
      : readCard(otherModels, unitName, ['usage', 'otherModels'], findings);
  try {
    return { models: compileModelRates(Object.fromEntries(cards), others), findings };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    findings.push({
      path: ['usage', 'models'],
      problem: `can not be read: ${error.message}`,
      remedy: 'name each model once, in any case of letters, with a `*` at the end at most',
    });
    return { models: undefined, findings };
  }
}

const RATE_KEYS = ['input', 'output', 'cachedInput', 'cacheWrite'] as const;

function readCard(
  rates: RatesFile,
  unitName: string,
  path: Finding['path'],
  findings: Finding[],
): RateCard | undefined {
  const before = findings.length;
  for (const key of RATE_KEYS) {
    const price = rates[key];
    if (price === undefined || isRateFor(price, unitName)) continue;
    findings.push({
      path: [...path, key],
      problem: `is not a price for ${unitName}, which the service counts`,
      remedy: `write for example \`150 msat/1k ${unitName}\`${price.kind === 'free' ? '; a model can not be given away inside a service that is sold' : ''}`,
    });
  }
  if (findings.length > before) return undefined;
  const { input, output, cachedInput, cacheWrite } = rates;
  if (!isRateFor(input, unitName) || !isRateFor(output, unitName)) return undefined;
  return {
    input,
    output,
    ...(cachedInput !== undefined && isRateFor(cachedInput, unitName) && { cachedInput }),
    ...(cacheWrite !== undefined && isRateFor(cacheWrite, unitName) && { cacheWrite }),
  };
}

function isRateFor(price: Price, unitName: string): price is MeteredPrice {
  return price.kind === 'metered' && price.unit === 'unit' && price.unitName === unitName;
}
