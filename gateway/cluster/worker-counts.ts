import { addCounts, mergeScrapes, readScrape, type Scrape, writeScrape } from '../observe/merge-scrapes.ts';
import { METRICS } from '../observe/metric-table.ts';
import type { Metrics, ServiceCounters } from '../observe/metrics.ts';

/** What all workers have counted, the ones that ended too. */
export interface WorkerCounts {
  /** Takes a worker's counts, in place of what it said before. */
  take(worker: object, scrapeText: string): void;
  /** The worker is gone: what it said last stays counted. */
  ended(worker: object): void;
}

/** The metrics of the whole gateway. */
export interface ClusterMetrics {
  readonly counts: WorkerCounts;
  /** The primary's own, whose answers to a scraper and to the dashboard are those of all processes. */
  readonly metrics: Metrics;
}

/**
 * Adds the workers' metrics to the primary's. A worker that is killed takes to its grave what it counted since it last said so, and
 * nothing else: a counter stands still then, and never falls.
 * @param askAll - has every worker say its counts; resolves when they did, or did not in time
 */
export function clusterMetrics(own: Metrics, askAll: () => Promise<void>): ClusterMetrics {
  const living = new Map<object, Scrape>();
  let past: Scrape = new Map();
  const all = (primary: Scrape): Scrape => mergeScrapes(primary, [...living.values()], past);
  return {
    counts: {
      take: (worker, scrapeText) => void living.set(worker, readScrape(scrapeText)),
      ended(worker) {
        const last = living.get(worker);
        if (last === undefined) return;
        living.delete(worker);
        past = addCounts(past, last);
      },
    },
    metrics: {
      ...own,
      // As of what the workers said last: a second or two ago.
      service: (service) => addServices(own.service(service), all(new Map())),
      scrape: async () => {
        await askAll();
        const { contentType, body } = await own.scrape();
        return { contentType, body: writeScrape(all(readScrape(body))) };
      },
    },
  };
}

function addServices(own: ServiceCounters, workers: Scrape): ServiceCounters {
  const { service } = own;
  // Names of services need no escape in a label.
  const of = ({ name }: { readonly name: string }): number =>
    workers.get(name)?.series.get(`${name}{service="${service}"}`) ?? 0;
  const requests: Record<string, number> = { ...own.requests };
  const begins = `${METRICS.requests.name}{service="${service}",outcome="`;
  for (const [key, value] of workers.get(METRICS.requests.name)?.series ?? []) {
    if (!key.startsWith(begins)) continue;
    const outcome = key.slice(begins.length, -2);
    requests[outcome] = (requests[outcome] ?? 0) + value;
  }
  return {
    service,
    requests,
    challenges: own.challenges + of(METRICS.challenges),
    redemptions: own.redemptions + of(METRICS.redemptions),
    earnedMsat: own.earnedMsat + of(METRICS.earned),
    spentMsat: own.spentMsat + of(METRICS.spent),
    refundedMsat: own.refundedMsat + of(METRICS.refunded),
  };
}
