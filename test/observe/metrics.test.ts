import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { observeNode } from '../../gateway/observe/instrument.ts';
import { METRICS } from '../../gateway/observe/metric-table.ts';
import { createMetrics, type Metrics } from '../../gateway/observe/metrics.ts';
import { renderMetricsReference } from '../../gateway/observe/metrics-reference.ts';
import type { LightningNode } from '../../node/node.ts';
import { NodeError } from '../../node/node.ts';

async function lines(metrics: Metrics): Promise<string[]> {
  return (await metrics.scrape()).body.split('\n');
}

test('requests are counted by service and outcome', async () => {
  const metrics = createMetrics({ version: '1.2.3' });
  metrics.request('quote', 'served');
  metrics.request('quote', 'served');
  metrics.request('quote', 'challenged');
  metrics.request(undefined, 'refused');
  const found = await lines(metrics);
  assert.ok(found.includes('sluice_requests_total{service="quote",outcome="served"} 2'));
  assert.ok(found.includes('sluice_requests_total{service="quote",outcome="challenged"} 1'));
  assert.ok(found.includes('sluice_requests_total{service="_none",outcome="refused"} 1'));
  assert.ok(found.some((line) => line.startsWith('sluice_build_info{version="1.2.3",node="')));
});

test('two scrapes in a row give the same counts', async () => {
  const metrics = createMetrics({ version: '1' });
  metrics.earned('quote', 10_000);
  const pick = (all: string[]) => all.filter((line) => line.startsWith('sluice_earned_msat_total'));
  assert.deepEqual(pick(await lines(metrics)), ['sluice_earned_msat_total{service="quote"} 10000']);
  assert.deepEqual(pick(await lines(metrics)), ['sluice_earned_msat_total{service="quote"} 10000']);
});

test('latency buckets are cumulative, in seconds, and end with +Inf, sum and count', async () => {
  const metrics = createMetrics({ version: '1' });
  metrics.upstreamHead('quote', 3);
  metrics.upstreamHead('quote', 40);
  metrics.upstreamHead('quote', 90_000);
  metrics.upstreamHead('quote', Number.NaN);
  metrics.upstreamHead('quote', -1);
  const name = METRICS.upstreamLatency.name;
  const found = await lines(metrics);
  assert.ok(found.includes(`${name}_bucket{service="quote",le="0.0025"} 0`));
  assert.ok(found.includes(`${name}_bucket{service="quote",le="0.005"} 1`));
  assert.ok(found.includes(`${name}_bucket{service="quote",le="0.05"} 2`));
  assert.ok(found.includes(`${name}_bucket{service="quote",le="30"} 2`));
  assert.ok(found.includes(`${name}_bucket{service="quote",le="+Inf"} 3`));
  assert.ok(found.includes(`${name}_sum{service="quote"} 90.043`));
  assert.ok(found.includes(`${name}_count{service="quote"} 3`));
});

test('gauges read their source when they are scraped', async () => {
  const metrics = createMetrics({ version: '1' });
  let connections = 3;
  metrics.readFrom({ connections: () => connections, outstandingInvoices: () => 7 });
  metrics.readFrom({ credentialCache: () => ({ entries: 2, bytes: 512 }) });
  assert.ok((await lines(metrics)).includes('sluice_connections 3'));
  connections = 4;
  const found = await lines(metrics);
  assert.ok(found.includes('sluice_connections 4'));
  assert.ok(found.includes('sluice_invoices_outstanding 7'));
  assert.ok(found.includes('sluice_credential_cache_bytes 512'));
});

test('label values are bounded however many appear', async () => {
  const metrics = createMetrics({ version: '1' });
  for (let index = 0; index < 6000; index += 1) metrics.challenge(`service-${index}`);
  const children = (await lines(metrics)).filter((line) => line.startsWith('sluice_challenges_total{'));
  assert.equal(children.length, 4097);
  assert.ok(children.includes('sluice_challenges_total{service="_other"} 1904'));
});

test('what one service did can be read without a scrape', () => {
  const metrics = createMetrics({ version: '1' });
  metrics.request('quote', 'served');
  metrics.challenge('quote');
  metrics.redemption('quote');
  metrics.earned('quote', 10_000);
  metrics.spent('quote', 10_000);
  metrics.refunded('quote', 4_000);
  metrics.earned('other', 1);
  assert.deepEqual(metrics.service('quote'), {
    service: 'quote',
    requests: { served: 1 },
    challenges: 1,
    redemptions: 1,
    earnedMsat: 10_000,
    spentMsat: 10_000,
    refundedMsat: 4_000,
  });
});

test('an observed node is timed by verb, and its errors are counted by code', async () => {
  class Node {
    readonly #height = 5;
    async info() {
      return { alias: 'a', publicKey: 'b', network: 'regtest', synced: true, blockHeight: this.#height };
    }
    async lookupInvoice(): Promise<undefined> {
      throw new NodeError('timeout', 'too late');
    }
  }
  const metrics = createMetrics({ version: '1' });
  const node = observeNode(new Node() as Partial<LightningNode> as LightningNode, metrics);
  assert.equal((await node.info()).blockHeight, 5);
  await assert.rejects(node.lookupInvoice('00'), NodeError);
  const found = await lines(metrics);
  assert.ok(found.includes('sluice_node_request_duration_seconds_count{verb="info"} 1'));
  assert.ok(found.includes('sluice_node_request_duration_seconds_count{verb="lookupInvoice"} 1'));
  assert.ok(found.includes('sluice_node_errors_total{verb="lookupInvoice",code="timeout"} 1'));
});

test('every metric is exposed under its name and type, and carries its unit', async () => {
  const metrics = createMetrics({ version: '1' });
  const found = await lines(metrics);
  for (const { name, type } of Object.values(METRICS)) {
    assert.ok(found.includes(`# TYPE ${name} ${type}`), name);
    assert.match(name, /^sluice_[a-z0-9_]+$/);
    if (type === 'counter') assert.match(name, /_total$/);
    if (type === 'histogram') assert.match(name, /_seconds$/);
  }
  const own = found.filter((line) => line.startsWith('# TYPE sluice_'));
  assert.equal(own.length, Object.keys(METRICS).length);
});

test('the reference page documents every metric as it is', () => {
  const page = readFileSync(new URL('../../docs/reference/metrics.md', import.meta.url), 'utf8');
  assert.equal(page, renderMetricsReference(), 'run: node gateway/observe/metrics-reference.ts --write');
});
