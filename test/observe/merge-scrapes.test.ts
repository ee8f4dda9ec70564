import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addCounts, mergeScrapes, readScrape, writeScrape } from '../../gateway/observe/merge-scrapes.ts';
import { createMetrics } from '../../gateway/observe/metrics.ts';

/** The scrape of a process that did something. */
async function scrapeOf(
  work: (metrics: ReturnType<typeof createMetrics>) => void = () => {},
): Promise<string> {
  const metrics = createMetrics({ version: 'test' });
  work(metrics);
  return (await metrics.scrape()).body;
}

function valuesOf(text: string): ReadonlyMap<string, number> {
  return new Map([...readScrape(text).values()].flatMap(({ series }) => [...series]));
}

test('a scrape that is read and written again says the same', async () => {
  const text = await scrapeOf((metrics) => {
    metrics.request('api', 'served');
    metrics.storeRequest('spend', 1.5);
    metrics.readFrom({ outstandingInvoices: () => Number.POSITIVE_INFINITY });
  });
  const again = writeScrape(readScrape(text));
  assert.deepEqual(valuesOf(again), valuesOf(text));
  assert.match(again, /^# TYPE sluice_requests_total counter$/m);
  assert.match(again, /^sluice_node_inbound_msat Nan$/m);
  assert.match(again, /^sluice_invoices_outstanding \+Inf$/m);
});

test('counters, histograms and amounts are added up; what the primary watches is its own', async () => {
  const primary = readScrape(
    await scrapeOf((metrics) => {
      metrics.ready('store', true);
      metrics.readFrom({ workers: () => 2 });
      metrics.settlement('credited');
    }),
  );
  const worker = async (streams: number) =>
    readScrape(
      await scrapeOf((metrics) => {
        for (let n = 0; n < 3; n += 1) metrics.request('api', 'served');
        metrics.storeRequest('spend', 2);
        metrics.ready('store', false);
        metrics.readFrom({
          streams: () => new Map([['live', streams]]),
          undeclaredProxy: () => streams > 1,
          settlementFeed: () => ({ connected: false, lagMs: 9_000, openOffers: 9 }),
        });
      }),
    );
  const merged = valuesOf(writeScrape(mergeScrapes(primary, [await worker(1), await worker(4)], new Map())));
  assert.equal(merged.get('sluice_requests_total{service="api",outcome="served"}'), 6);
  assert.equal(merged.get('sluice_store_request_duration_seconds_count{verb="spend"}'), 2);
  assert.equal(merged.get('sluice_store_request_duration_seconds_bucket{verb="spend",le="0.0025"}'), 2);
  assert.equal(merged.get('sluice_settlements_total{outcome="credited"}'), 1);
  assert.equal(merged.get('sluice_streams{service="live"}'), 5);
  assert.equal(merged.get('sluice_undeclared_proxy'), 1);
  assert.equal(merged.get('sluice_ready{part="store"}'), 1);
  assert.equal(merged.get('sluice_top_ups_open'), 0);
  assert.equal(merged.get('sluice_workers'), 2);
  const build = [...merged].find(([key]) => key.startsWith('sluice_build_info'));
  assert.equal(build?.[1], 1);
});

test('a process that ended stays counted, and its gauges go with it', async () => {
  const ended = async (requests: number) =>
    readScrape(
      await scrapeOf((metrics) => {
        for (let n = 0; n < requests; n += 1) metrics.request('api', 'served');
        metrics.readFrom({ outstandingInvoices: () => 7 });
      }),
    );
  const past = addCounts(addCounts(new Map(), await ended(2)), await ended(3));
  const merged = valuesOf(writeScrape(mergeScrapes(readScrape(await scrapeOf()), [await ended(1)], past)));
  assert.equal(merged.get('sluice_requests_total{service="api",outcome="served"}'), 6);
  assert.equal(merged.get('sluice_invoices_outstanding'), 7);
});

test('no sum falls when processes end, in whatever order', () => {
  const scrape = (value: number) =>
    readScrape(`# TYPE a histogram\na_sum ${value}\n# TYPE b counter\nb ${value}\n`);
  const text = (living: readonly number[], past: ReturnType<typeof readScrape>) =>
    writeScrape(mergeScrapes(scrape(0.1), living.map(scrape), past));
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 8 }),
      fc.infiniteStream(fc.nat()),
      (values, picks) => {
        const living = [...values];
        const before = text(living, new Map());
        let past: ReturnType<typeof readScrape> = new Map();
        for (const pick of picks) {
          const [ended] = living.splice(pick % living.length, 1);
          past = addCounts(past, scrape(ended ?? 0));
          assert.equal(text(living, past), before);
          if (living.length === 0) return;
        }
      },
    ),
  );
  const sum = valuesOf(text([0.25, 1e-9, 2], new Map())).get('a_sum') ?? 0;
  assert.ok(Math.abs(sum - 2.35) < 4e-6);
});

test('text that is no scrape is read without harm', () => {
  assert.equal(readScrape('no metrics here\n# TYPE\nx 1\n').size, 0);
  // A sample that stands under another metric is none of it.
  assert.deepEqual([...(readScrape('# TYPE a counter\nb 1\na 2').get('a')?.series ?? [])], [['a', 2]]);
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      writeScrape(readScrape(text));
      writeScrape(readScrape(`# HELP a b\n# TYPE a counter\na{b="${text}"} 1\n`));
    }),
  );
});
