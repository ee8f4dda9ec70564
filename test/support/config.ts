import type { Config, MeteringConfig, ServiceConfig } from '../../config/config.ts';
import { parsePrice } from '../../gateway/pricing/parse-price.ts';
import { msat } from '../../node/msat.ts';

/** A service for a test: a price as a person writes it, and what differs from the defaults. */
export type TestService = Partial<Omit<ServiceConfig, 'price' | 'metering'>> & {
  readonly price: string;
  /** What differs from {@link TEST_METERING}; for metered prices. */
  readonly metering?: Partial<MeteringConfig>;
  readonly path: string;
  readonly upstream: string;
};

/** How a metered service of a test is charged. */
export const TEST_METERING: MeteringConfig = {
  depositMsat: msat(100_000),
  sliceMs: 1_000,
  holdMs: 45_000,
  warnMs: 10_000,
  chargeFrom: 'response',
  maxStreams: 3,
  charge: 'each',
  count: 'response',
  allowBurst: false,
};

/** A service with every default. */
export function testService({ price: written, metering, ...service }: TestService): ServiceConfig {
  const price = parsePrice(written);
  return {
    name: 'test',
    price,
    ...(price.kind === 'metered' && { metering: { ...TEST_METERING, ...metering } }),
    requestHeaders: {},
    upstreamHost: 'upstream',
    chargeOn: [
      [200, 399],
      [400, 428],
      [430, 499],
    ],
    validForSec: 30 * 86_400,
    capabilities: 'all',
    credentialInQuery: false,
    cacheControl: 'private, no-store',
    connectTimeoutMs: 2_000,
    headersTimeoutMs: 10_000,
    idleTimeoutMs: 10_000,
    maxBodyBytes: 100_000_000,
    ...service,
  };
}

/** A configuration on free loopback ports, with the simulated node, for tests that start a gateway in their own process. */
export function testConfig(services: readonly ServiceConfig[], change: Partial<Config> = {}): Config {
  return {
    listen: [{ host: '127.0.0.1', port: 0 }],
    admin: { host: '127.0.0.1', port: 0 },
    dataDir: '/nonexistent',
    title: 'Test',
    node: { type: 'simulated', port: 0, portChosen: true, latencyMs: 0, failureRate: 0 },
    store: { type: 'memory' },
    workers: 1,
    masterKeys: [],
    trustedProxies: [],
    allowPlayMoney: false,
    drainTimeoutMs: 1_000,
    log: { level: 'silent', format: 'json' },
    limits: {
      maxHeaderBytes: 32_768,
      maxHeaderCount: 100,
      maxUrlBytes: 16_384,
      maxConnections: 1_000,
      headersTimeoutMs: 5_000,
      keepAliveTimeoutMs: 5_000,
      clientIdleTimeoutMs: 5_000,
      credentialCacheBytes: 1_000_000,
    },
    challenge: {
      invoiceExpirySec: 600,
      minInvoiceMsat: msat(1_000),
      memo: 'Test ',
      burst: 1_000,
      perMinute: 1_000,
      shared: false,
      maxOutstanding: 10_000,
      reservedShare: 0.2,
      maxOutstandingPerClient: 1_000,
      nodeConcurrency: 16,
      nodeTimeoutMs: 5_000,
      legacyLsat: false,
    },
    topUp: { minMsat: msat(1_000), maxMsat: msat(100_000_000), maxOpen: 3 },
    corsOrigins: ['*'],
    services,
    ...change,
  };
}
