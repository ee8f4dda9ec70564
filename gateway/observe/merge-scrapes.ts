import { METRICS, type MetricDefinition } from './metric-table.ts';

/*
 * One answer to a scraper from several processes. Each renders its own registry; here the texts are read, added up and written
 * again. What a process counted stays counted when it is gone, so that no counter ever falls.
 */

/** One metric as one or several processes have it. */
interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  /** By name and labels, as they stand in the text. */
  readonly series: Map<string, number>;
}

/** A scrape that was read. */
export type Scrape = ReadonlyMap<string, Family>;

/** How a metric of several processes becomes one: `primary` is what the primary alone knows. */
type Rule = 'sum' | 'max' | 'min' | 'primary';

/** Lines that are read of one scrape; a registry has some thousand. */
const MAX_LINES = 200_000;
const COMMENT = /^# (HELP|TYPE) ([A-Za-z_:][\w:]*) (.*)$/;
const SAMPLE = /^([A-Za-z_:][\w:]*(?:\{.*\})?) (\S+)$/;

/** Reads the Prometheus text format 0.0.4 as prom-client writes it; other lines are left out. */
export function readScrape(text: string): Scrape {
  const families = new Map<string, Family>();
  let help = '';
  let current: Family | undefined;
  for (const line of text.split('\n', MAX_LINES)) {
    const comment = COMMENT.exec(line);
    if (comment !== null) {
      const [, what, name = '', rest = ''] = comment;
      if (what === 'HELP') help = rest;
      else {
        current = { name, help, type: rest, series: new Map() };
        families.set(name, current);
      }
      continue;
    }
    const [, key = '', value = ''] = SAMPLE.exec(line) ?? [];
    if (current === undefined || !key.startsWith(current.name)) continue;
    current.series.set(key, isCount(current) ? onGrid(toNumber(value)) : toNumber(value));
  }
  return families;
}

/** What is left of a process that ended: its counters and histograms. */
export function countsOf(scrape: Scrape): Scrape {
  return new Map([...scrape].filter(([, family]) => isCount(family)));
}

function isCount({ type }: Family): boolean {
  return type === 'counter' || type === 'histogram';
}

/** Adds the counts of a process that ended to those that ended before it. */
export function addCounts(past: Scrape, ended: Scrape): Scrape {
  return merge([past, countsOf(ended)], () => 'sum');
}

/** Puts the primary's own scrape, those of its workers, and the counts of workers that ended into one. */
export function mergeScrapes(primary: Scrape, workers: readonly Scrape[], past: Scrape): Scrape {
  return merge([primary, ...workers, past], ({ name, type }) => (type === 'gauge' ? ruleOf(name) : 'sum'));
}

/** The text of a scrape. */
export function writeScrape(scrape: Scrape): string {
  const lines: string[] = [];
  for (const { name, help, type, series } of scrape.values()) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const [key, value] of series) lines.push(`${key} ${toText(value)}`);
    lines.push('');
  }
  return `${lines.join('\n')}\n`;
}

/** Of the first scrape alone, where the rule is `primary`. */
function merge(scrapes: readonly Scrape[], rule: (family: Family) => Rule): Scrape {
  const merged = new Map<string, Family>();
  for (const [at, scrape] of scrapes.entries()) {
    for (const [name, family] of scrape) {
      const how = rule(family);
      if (how === 'primary' && at > 0) continue;
      const into = merged.get(name) ?? { ...family, series: new Map<string, number>() };
      merged.set(name, into);
      for (const [key, value] of family.series) {
        const known = into.series.get(key);
        into.series.set(key, known === undefined ? value : combine(how, known, value));
      }
    }
  }
  return merged;
}

function combine(rule: Rule, a: number, b: number): number {
  if (rule === 'sum') return a + b;
  return rule === 'min' ? Math.min(a, b) : Math.max(a, b);
}

const OWN: ReadonlyMap<string, MetricDefinition> = new Map(
  Object.values<MetricDefinition>(METRICS).map((definition) => [definition.name, definition]),
);
/** prom-client's gauges of the process that are no amounts. */
const OF_THE_PRIMARY = new Set(['process_start_time_seconds', 'process_max_fds', 'nodejs_version_info']);

function ruleOf(name: string): Rule {
  const own = OWN.get(name);
  if (own !== undefined) return own.workers ?? 'sum';
  if (OF_THE_PRIMARY.has(name)) return 'primary';
  if (name === 'nodejs_eventloop_lag_min_seconds') return 'min';
  // The slowest event loop is the one to know.
  return name.startsWith('nodejs_eventloop_lag') ? 'max' : 'sum';
}

/** Steps of what is counted in parts of a unit, for one unit: a microsecond, where it is seconds. */
const STEPS = 2 ** 20;

/**
 * Rounded down to a multiple of a power of two, of which sums are exact up to 2^33, in whatever order they are added. Otherwise the
 * last bit of a sum falls when a process ends and is added at another place; and of a counter that falls, however little, Prometheus
 * takes that it began anew, and counts all of it a second time.
 */
function onGrid(value: number): number {
  return Number.isInteger(value) ? value : Math.floor(value * STEPS) / STEPS;
}

function toNumber(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  return text === '-Inf' ? Number.NEGATIVE_INFINITY : Number(text === 'Nan' ? 'NaN' : text);
}

function toText(value: number): string {
  if (Number.isNaN(value)) return 'Nan';
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
}
