import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterMetrics } from '../../gateway/cluster/worker-counts.ts';
import { readScrape } from '../../gateway/observe/merge-scrapes.ts';
import { createMetrics } from '../../gateway/observe/metrics.ts';

const SUM = 'sluice_store_request_duration_seconds_sum';

test('a sum of fractions stands still when a worker ends, though another order of adding gives a smaller one', async () => {
  const { counts, metrics } = clusterMetrics(createMetrics({ version: 'test' }), async () => {});
  const shown = async (): Promise<number | undefined> =>
    readScrape((await metrics.scrape()).body)
      .get('sluice_store_request_duration_seconds')
      ?.series.get(`${SUM}{verb="spend"}`);
  const workers = [];
  for (const tookMs of [100, 200, 300]) {
    const own = createMetrics({ version: 'test' });
    own.storeRequest('spend', tookMs);
    const worker = {};
    counts.take(worker, (await own.scrape()).body);
    workers.push(worker);
  }
  assert.equal(await shown(), 0.1 + 0.2 + 0.3);
  assert.ok(0.2 + 0.3 + 0.1 < 0.1 + 0.2 + 0.3);
  for (const worker of workers) {
    counts.ended(worker);
    assert.equal(await shown(), 0.1 + 0.2 + 0.3);
  }
});
