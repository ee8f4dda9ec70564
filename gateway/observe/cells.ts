import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { MetricDefinition } from './metric-table.ts';

/*
 * prom-client looks a child up by building and hashing a label string, at every increment. The counters here are plain
 * numbers behind two map look-ups; prom-client sees them when somebody scrapes.
 */

/** Children one metric may have: above it, new label values are counted together, so that memory stays bounded. */
const MAX_CHILDREN = 4096;
const OVERFLOW = '_other';

/** A counter with up to two labels. */
export interface CellCounter {
  add(amount: number, first?: string, second?: string): void;
  value(first?: string, second?: string): number;
  /** Every child: its label values and its count. */
  entries(): IterableIterator<readonly [first: string, second: string, value: number]>;
}

/** Makes a counter in a registry. */
export function createCellCounter(definition: MetricDefinition, registry: Registry): CellCounter {
  const cells = new Map<string, Map<string, { value: number }>>();
  let children = 0;

  function cellOf(first: string, second: string): { value: number } {
    const known = cells.get(first)?.get(second);
    if (known !== undefined) return known;
    if (children >= MAX_CHILDREN && first !== OVERFLOW) return cellOf(OVERFLOW, OVERFLOW);
    const row = cells.get(first) ?? new Map<string, { value: number }>();
    cells.set(first, row);
    const cell = { value: 0 };
    row.set(second, cell);
    children += 1;
    return cell;
  }

  function* entries(): IterableIterator<readonly [string, string, number]> {
    for (const [first, row] of cells) {
      for (const [second, cell] of row) yield [first, second, cell.value];
    }
  }

  const counter: Counter = new Counter({
    name: definition.name,
    help: definition.help,
    labelNames: [...definition.labels],
    registers: [registry],
    collect() {
      counter.reset();
      for (const [first, second, value] of entries()) {
        counter.inc(labelsOf(definition.labels, [first, second]), value);
      }
    },
  });
  return {
    add: (amount, first = '', second = '') => {
      cellOf(first, second).value += amount;
    },
    value: (first = '', second = '') => cells.get(first)?.get(second)?.value ?? 0,
    entries,
  };
}

/** A latency histogram with one label. */
export interface CellHistogram {
  observe(label: string, seconds: number): void;
}

interface HistogramCell {
  readonly counts: Float64Array;
  sum: number;
  count: number;
}

/** Makes a histogram in a registry. `bucketsSec` ascend. */
export function createCellHistogram(
  definition: MetricDefinition,
  bucketsSec: readonly number[],
  registry: Registry,
): CellHistogram {
  const cells = new Map<string, HistogramCell>();
  new ScrapedHistogram(definition, bucketsSec, registry, cells);

  function cellOf(label: string): HistogramCell {
    const known = cells.get(label);
    if (known !== undefined) return known;
    if (cells.size >= MAX_CHILDREN && label !== OVERFLOW) return cellOf(OVERFLOW);
    const cell = { counts: new Float64Array(bucketsSec.length), sum: 0, count: 0 };
    cells.set(label, cell);
    return cell;
  }

  return {
    observe: (label, seconds) => {
      // A clock that was set back must not put a negative or NaN sum into a series that only grows.
      if (!(seconds >= 0)) return;
      const cell = cellOf(label);
      cell.sum += seconds;
      cell.count += 1;
      for (let index = 0; index < bucketsSec.length; index += 1) {
        if (seconds <= (bucketsSec[index] ?? Number.POSITIVE_INFINITY)) {
          cell.counts[index] = (cell.counts[index] ?? 0) + 1;
          return;
        }
      }
    },
  };
}

interface HistogramValue {
  readonly metricName: string;
  readonly labels: Record<string, string | number>;
  readonly value: number;
}

/** prom-client's histogram, whose values come from the cells. The registry asks `getForPromString`, and so does `get`. */
class ScrapedHistogram extends Histogram {
  readonly #definition: MetricDefinition;
  readonly #bucketsSec: readonly number[];
  readonly #cells: ReadonlyMap<string, HistogramCell>;

  constructor(
    definition: MetricDefinition,
    bucketsSec: readonly number[],
    registry: Registry,
    cells: ReadonlyMap<string, HistogramCell>,
  ) {
    super({
      name: definition.name,
      help: definition.help,
      labelNames: [...definition.labels],
      buckets: [...bucketsSec],
      registers: [registry],
    });
    this.#definition = definition;
    this.#bucketsSec = bucketsSec;
    this.#cells = cells;
  }

  async getForPromString(): Promise<object> {
    const { name, help, labels } = this.#definition;
    const values: HistogramValue[] = [];
    for (const [label, cell] of this.#cells) {
      const own = labelsOf(labels, [label]);
      let cumulative = 0;
      for (const [index, bound] of this.#bucketsSec.entries()) {
        cumulative += cell.counts[index] ?? 0;
        values.push({ metricName: `${name}_bucket`, labels: { ...own, le: bound }, value: cumulative });
      }
      values.push({ metricName: `${name}_bucket`, labels: { ...own, le: '+Inf' }, value: cell.count });
      values.push({ metricName: `${name}_sum`, labels: own, value: cell.sum });
      values.push({ metricName: `${name}_count`, labels: own, value: cell.count });
    }
    return { name, help, type: 'histogram', values, aggregator: 'sum' };
  }
}

/** Makes a gauge without labels that asks for its value when it is scraped. */
export function createPulledGauge(
  definition: MetricDefinition,
  registry: Registry,
  read: () => number,
): void {
  const gauge: Gauge = new Gauge({
    name: definition.name,
    help: definition.help,
    registers: [registry],
    collect() {
      gauge.set(read());
    },
  });
}

function labelsOf(names: readonly string[], values: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [index, name] of names.entries()) labels[name] = values[index] ?? '';
  return labels;
}
