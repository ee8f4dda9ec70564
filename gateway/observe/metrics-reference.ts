import { writeFileSync } from 'node:fs';
import { LATENCY_BUCKETS_SEC, METRICS, type MetricDefinition } from './metric-table.ts';

/** The text of docs/reference/metrics.md. */
export function renderMetricsReference(): string {
  const rows = Object.values<MetricDefinition>(METRICS).map(
    ({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ') || '–'} | ${help} |`,
  );
  return [
    '# Metrics',
    '',
    '<!-- Made by `node gateway/observe/metrics-reference.ts --write`; a test holds that it is current. -->',
    '',
    'The admin listener answers `GET /metrics` in the Prometheus text format. It is open to scrapers on the same machine',
    'and takes the admin token from anywhere else; see [the admin API](../admin.md).',
    '',
    'No metric is labelled by a token, an account, a client or a path. `service` is a configured name, or `_none` when',
    'no service matched. Amounts are in millisatoshi. Counters start at 0 with the process.',
    '',
    '| Name | Type | Labels | What |',
    '|---|---|---|---|',
    ...rows,
    '',
    `Latency buckets, seconds: ${LATENCY_BUCKETS_SEC.join(', ')}.`,
    '',
    "Beside them stand prom-client's default metrics of the process (`process_*`, `nodejs_*`): CPU, memory, event loop lag,",
    'garbage collection, open handles.',
    '',
  ].join('\n');
}

if (import.meta.main && process.argv[2] === '--write') {
  writeFileSync(new URL('../../docs/reference/metrics.md', import.meta.url), renderMetricsReference());
}
