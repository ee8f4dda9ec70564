import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Liquidity, NodeErrorCode } from '../../node/node.ts';
import { createCellCounter, createCellHistogram, createPulledGauge } from './cells.ts';
import { LATENCY_BUCKETS_SEC, METRICS } from './metric-table.ts';
import { createNodeGauges } from './node-gauges.ts';

/** How a request on a public listener ended. */
export type RequestOutcome =
  /** Paid for and answered by the upstream. */
  | 'served'
  /** Answered by the upstream on a free route. */
  | 'free'
  /** 402 with a fresh challenge. */
  | 'challenged'
  /** 429. */
  | 'throttled'
  /** Our own 4xx: no service, bad target, over a limit. */
  | 'refused'
  /** The upstream refused, timed out or broke off. */
  | 'upstream_error'
  /** The client left before it had everything. */
  | 'client_gone'
  /** 503: node or store down, draining, busy. */
  | 'unavailable'
  /** A helper endpoint, a preflight: answered by the gateway itself. */
  | 'local'
  /** A bug of ours. */
  | 'internal';

/** Why an invoice could not be had: an error of the node, or a bound of ours. */
export type InvoiceFailure =
  | NodeErrorCode
  | 'throttled'
  | 'outstanding'
  | 'no-inbound'
  | 'clock-ahead'
  | 'store-mismatch';

/** How a worker process ended. */
export type WorkerExit =
  /** Because it was told to. */
  | 'drained'
  /** By itself. */
  | 'died'
  /** Killed: it showed no sign of life. */
  | 'hung';

/** What became of a settlement that the node reported. */
export type SettlementOutcome =
  | 'credited'
  | 'repeated'
  | 'no-offer'
  | 'underpaid'
  | 'too-late'
  | 'failed'
  | 'excess';

/** Values read when somebody scrapes. */
export interface GaugeSources {
  readonly outstandingInvoices?: () => number;
  readonly pooledInvoices?: () => number;
  /** undefined: the node can't tell, or has not told lately. */
  readonly liquidity?: () => Liquidity | undefined;
  /** The node is left alone because it does not answer. */
  readonly nodeCircuitOpen?: () => boolean;
  /** Services whose price is more than can be received. */
  readonly unsellable?: () => number;
  readonly connections?: () => number;
  /** Worker processes that serve. */
  readonly workers?: () => number;
  readonly tunnels?: () => number;
  /** Live metered streams, by service. */
  readonly streams?: () => Iterable<readonly [service: string, streams: number]>;
  readonly credentialCache?: () => { readonly entries: number; readonly bytes: number };
  readonly settlementFeed?: () => {
    readonly connected: boolean;
    readonly lagMs: number;
    readonly openOffers: number;
  };
  /** The store is another one than the gateway began with. */
  readonly storeMismatch?: () => boolean;
  /** A peer that is no trusted proxy sent X-Forwarded-For. */
  readonly undeclaredProxy?: () => boolean;
  readonly busUp?: () => boolean;
  /** The last reconciliation with the node; `ranAtSec` 0: none yet. */
  readonly reconciliation?: () => {
    readonly missingMsat: number;
    readonly unclaimedMsat: number;
    readonly ranAtSec: number;
  };
}

/** What one service did since this process started. Amounts msat. */
export interface ServiceCounters {
  readonly service: string;
  readonly requests: Readonly<Record<string, number>>;
  readonly challenges: number;
  readonly redemptions: number;
  readonly earnedMsat: number;
  readonly spentMsat: number;
  readonly refundedMsat: number;
}

/** The label of a request that no service matched; a service can't have that name. */
export const NO_SERVICE = '_none';

/** Everything the gateway counts. `service` is a configured name; nothing here takes a token, an account or a path. */
export interface Metrics {
  request(service: string | undefined, outcome: RequestOutcome): void;
  challenge(service: string): void;
  invoiceCreated(service: string): void;
  invoiceFailed(reason: InvoiceFailure): void;
  poolDraw(result: 'hit' | 'miss'): void;
  poolDropped(reason: string, invoices: number): void;
  redemption(service: string): void;
  settlement(outcome: SettlementOutcome): void;
  /** Money received, msat. */
  earned(service: string, amountMsat: number): void;
  /** Credit used, msat. */
  spent(service: string, amountMsat: number): void;
  /** Credit given back after an upstream failure, msat. */
  refunded(service: string, amountMsat: number): void;
  /** A refund or a void that could not be made in the store. */
  chargeGivenUp(): void;
  upstreamHead(service: string, ms: number): void;
  nodeRequest(verb: string, ms: number): void;
  nodeError(verb: string, code: string): void;
  storeRequest(verb: string, ms: number): void;
  storeError(verb: string, code: string): void;
  /** A metered stream was let through. */
  streamOpened(service: string): void;
  /** A metered stream took credit, msat: counts as spent too. */
  streamed(service: string, amountMsat: number): void;
  /** A metered stream ended. `units` in the price's own: seconds, bytes, events, or what the upstream reports. */
  streamEnded(service: string, unit: string, units: number): void;
  streamHeld(service: string): void;
  streamCut(service: string, reason: string): void;
  usageReport(service: string, source: string): void;
  credentialCache(result: 'hit' | 'miss'): void;
  /** A message between gateways. */
  busMessage(result: 'sent' | 'lost' | 'heard' | 'ignored' | 'missed'): void;
  configReload(result: 'ok' | 'failed'): void;
  workerExit(how: WorkerExit): void;
  ready(part: string, up: boolean): void;
  /** Says where the gauges read; later sources replace earlier ones of the same name. */
  readFrom(sources: GaugeSources): void;
  /** Counts of one service, for the dashboard. */
  service(service: string): ServiceCounters;
  /** Prometheus text format 0.0.4. */
  scrape(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** Makes the metrics of one gateway, in a registry of their own. */
export function createMetrics(options: { readonly version: string }): Metrics {
  const registry = new Registry();
  // 20 ms: two wake-ups fewer in a quiet process than prom-client's default of 10, and still finer than any stall that matters.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 20 });
  const counters = createCounters(registry);
  const nodeLatency = createCellHistogram(METRICS.nodeLatency, LATENCY_BUCKETS_SEC, registry);
  const storeLatency = createCellHistogram(METRICS.storeLatency, LATENCY_BUCKETS_SEC, registry);
  const upstreamLatency = createCellHistogram(METRICS.upstreamLatency, LATENCY_BUCKETS_SEC, registry);
  const { setReady, readFrom } = createGauges(registry, options.version);

  return {
    request: (service = NO_SERVICE, outcome) => counters.requests.add(1, service, outcome),
    challenge: (service) => counters.challenges.add(1, service),
    invoiceCreated: (service) => counters.invoicesCreated.add(1, service),
    invoiceFailed: (reason) => counters.invoicesFailed.add(1, reason),
    poolDraw: (result) => counters.poolDraws.add(1, result),
    poolDropped: (reason, invoices) => counters.poolDropped.add(invoices, reason),
    redemption: (service) => counters.redemptions.add(1, service),
    settlement: (outcome) => counters.settlements.add(1, outcome),
    earned: (service, amountMsat) => counters.earned.add(amountMsat, service),
    spent: (service, amountMsat) => counters.spent.add(amountMsat, service),
    refunded: (service, amountMsat) => {
      counters.refunds.add(1, service);
      counters.refunded.add(amountMsat, service);
    },
    chargeGivenUp: () => counters.chargesGivenUp.add(1),
    upstreamHead: (service, ms) => upstreamLatency.observe(service, ms / 1000),
    nodeRequest: (verb, ms) => nodeLatency.observe(verb, ms / 1000),
    nodeError: (verb, code) => counters.nodeErrors.add(1, verb, code),
    storeRequest: (verb, ms) => storeLatency.observe(verb, ms / 1000),
    storeError: (verb, code) => counters.storeErrors.add(1, verb, code),
    streamOpened: (service) => counters.streamsOpened.add(1, service),
    streamed: (service, amountMsat) => {
      counters.streamedMsat.add(amountMsat, service);
      counters.spent.add(amountMsat, service);
    },
    streamEnded: (service, unit, units) => counters.streamedUnits.add(units, service, unit),
    streamHeld: (service) => counters.streamHolds.add(1, service),
    streamCut: (service, reason) => counters.streamCuts.add(1, service, reason),
    usageReport: (service, source) => counters.usageReports.add(1, service, source),
    credentialCache: (result) => counters.cacheLookups.add(1, result),
    busMessage: (result) => counters.busMessages.add(1, result),
    configReload: (result) => counters.configReloads.add(1, result),
    workerExit: (how) => counters.workerExits.add(1, how),
    ready: setReady,
    readFrom,
    service: (service) => serviceCounters(counters, service),
    scrape: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}

type Counters = ReturnType<typeof createCounters>;

function createCounters(registry: Registry) {
  return {
    requests: createCellCounter(METRICS.requests, registry),
    challenges: createCellCounter(METRICS.challenges, registry),
    invoicesCreated: createCellCounter(METRICS.invoicesCreated, registry),
    invoicesFailed: createCellCounter(METRICS.invoicesFailed, registry),
    poolDraws: createCellCounter(METRICS.poolDraws, registry),
    poolDropped: createCellCounter(METRICS.poolDropped, registry),
    redemptions: createCellCounter(METRICS.redemptions, registry),
    settlements: createCellCounter(METRICS.settlements, registry),
    earned: createCellCounter(METRICS.earned, registry),
    spent: createCellCounter(METRICS.spent, registry),
    refunds: createCellCounter(METRICS.refunds, registry),
    refunded: createCellCounter(METRICS.refunded, registry),
    chargesGivenUp: createCellCounter(METRICS.chargesGivenUp, registry),
    nodeErrors: createCellCounter(METRICS.nodeErrors, registry),
    storeErrors: createCellCounter(METRICS.storeErrors, registry),
    streamsOpened: createCellCounter(METRICS.streamsOpened, registry),
    streamedUnits: createCellCounter(METRICS.streamedUnits, registry),
    streamedMsat: createCellCounter(METRICS.streamedMsat, registry),
    streamHolds: createCellCounter(METRICS.streamHolds, registry),
    streamCuts: createCellCounter(METRICS.streamCuts, registry),
    usageReports: createCellCounter(METRICS.usageReports, registry),
    cacheLookups: createCellCounter(METRICS.cacheLookups, registry),
    busMessages: createCellCounter(METRICS.busMessages, registry),
    configReloads: createCellCounter(METRICS.configReloads, registry),
    workerExits: createCellCounter(METRICS.workerExits, registry),
  };
}

function createGauges(registry: Registry, version: string) {
  const sources: { -readonly [Name in keyof GaugeSources]: GaugeSources[Name] } = {};
  createPulledGauge(METRICS.outstandingInvoices, registry, () => sources.outstandingInvoices?.() ?? 0);
  createPulledGauge(METRICS.pooledInvoices, registry, () => sources.pooledInvoices?.() ?? 0);
  createPulledGauge(METRICS.nodeCircuitOpen, registry, () => (sources.nodeCircuitOpen?.() ? 1 : 0));
  createNodeGauges(registry, () => sources.liquidity?.());
  createPulledGauge(METRICS.unsellable, registry, () => sources.unsellable?.() ?? 0);
  createPulledGauge(METRICS.connections, registry, () => sources.connections?.() ?? 0);
  createPulledGauge(METRICS.workers, registry, () => sources.workers?.() ?? 0);
  createPulledGauge(METRICS.tunnels, registry, () => sources.tunnels?.() ?? 0);
  createPulledGauge(METRICS.cacheEntries, registry, () => sources.credentialCache?.().entries ?? 0);
  createPulledGauge(METRICS.cacheBytes, registry, () => sources.credentialCache?.().bytes ?? 0);
  createPulledGauge(METRICS.settlementFeed, registry, () => (sources.settlementFeed?.().connected ? 1 : 0));
  createPulledGauge(METRICS.settlementLag, registry, () => (sources.settlementFeed?.().lagMs ?? 0) / 1000);
  createPulledGauge(METRICS.openOffers, registry, () => sources.settlementFeed?.().openOffers ?? 0);
  createPulledGauge(METRICS.storeMismatch, registry, () => (sources.storeMismatch?.() ? 1 : 0));
  createPulledGauge(METRICS.undeclaredProxy, registry, () => (sources.undeclaredProxy?.() ? 1 : 0));
  createPulledGauge(METRICS.busUp, registry, () => (sources.busUp?.() ? 1 : 0));
  createPulledGauge(METRICS.reconciledAt, registry, () => sources.reconciliation?.().ranAtSec ?? 0);
  const difference: Gauge = new Gauge({
    name: METRICS.reconcileDifference.name,
    help: METRICS.reconcileDifference.help,
    labelNames: [...METRICS.reconcileDifference.labels],
    registers: [registry],
    collect() {
      const seen = sources.reconciliation?.();
      difference.set({ kind: 'missing' }, seen?.missingMsat ?? 0);
      difference.set({ kind: 'unclaimed' }, seen?.unclaimedMsat ?? 0);
    },
  });
  const streams: Gauge = new Gauge({
    name: METRICS.streamsLive.name,
    help: METRICS.streamsLive.help,
    labelNames: [...METRICS.streamsLive.labels],
    registers: [registry],
    collect() {
      streams.reset();
      for (const [service, live] of sources.streams?.() ?? []) streams.set({ service }, live);
    },
  });
  const ready = new Gauge({
    name: METRICS.ready.name,
    help: METRICS.ready.help,
    labelNames: [...METRICS.ready.labels],
    registers: [registry],
  });
  new Gauge({
    name: METRICS.buildInfo.name,
    help: METRICS.buildInfo.help,
    labelNames: [...METRICS.buildInfo.labels],
    registers: [registry],
  }).set({ version, node: process.versions.node }, 1);
  return {
    setReady: (part: string, up: boolean) => ready.set({ part }, up ? 1 : 0),
    readFrom: (added: GaugeSources) => {
      Object.assign(sources, added);
    },
  };
}

function serviceCounters(counters: Counters, service: string): ServiceCounters {
  const requests: Record<string, number> = {};
  for (const [name, outcome, value] of counters.requests.entries()) {
    if (name === service) requests[outcome] = value;
  }
  return {
    service,
    requests,
    challenges: counters.challenges.value(service),
    redemptions: counters.redemptions.value(service),
    earnedMsat: counters.earned.value(service),
    spentMsat: counters.spent.value(service),
    refundedMsat: counters.refunded.value(service),
  };
}
