import { availableParallelism } from 'node:os';
import path from 'node:path';
import type { Config, Listener, NodeConfig, ServiceConfig } from './config.ts';
import { readMetering } from './metering.ts';
import { resolveStore } from './resolve-store.ts';
import type { ConfigFile } from './schema.ts';
import type { ServiceFile } from './schema-service.ts';

/** Where the simulated network listens when nobody chose. */
export const DEFAULT_SIMNET_PORT = 8404;

/**
 * The file as the program uses it: units in the names, paths absolute, deeply frozen. What is wrong across keys is found by check.ts.
 * @param baseDir - relative paths are under it
 */
export function resolveConfig(file: ConfigFile, baseDir: string): Config {
  const absolute = (name: string): string => path.resolve(baseDir, name);
  const dataDir = absolute(file.data);
  return deepFreeze<Config>({
    listen: file.listen.map(
      ({ address, tls }): Listener => ({
        ...address,
        ...(tls && { tls: { certFile: absolute(tls.cert), keyFile: absolute(tls.key) } }),
      }),
    ),
    admin: file.admin,
    dataDir,
    title: file.title,
    node: resolveNode(file.node, absolute),
    store: resolveStore(file.store, dataDir, absolute),
    workers: file.workers === 'auto' ? availableParallelism() : file.workers,
    masterKeys: file.masterKeys ?? [],
    trustedProxies: file.trustedProxies ?? [],
    ...(file.adminToken !== undefined && { adminToken: file.adminToken }),
    ...(file.identitySecret !== undefined && { identitySecret: file.identitySecret }),
    allowPlayMoney: file.allowPlayMoney,
    drainTimeoutMs: file.drainTimeout,
    log: file.log,
    limits: resolveLimits(file.limits),
    challenge: resolveChallenge(file.challenge, file.title),
    topUp: { minMsat: file.topUp.min, maxMsat: file.topUp.max, maxOpen: file.topUp.maxOpen },
    corsOrigins: file.cors,
    services: file.services.map((service) => resolveService(service, file.upstream)),
  });
}

function resolveNode(node: ConfigFile['node'], absolute: (name: string) => string): NodeConfig {
  if (node.type === 'simulated') {
    return {
      type: 'simulated',
      ...(node.url !== undefined && { url: node.url }),
      ...(node.macaroon !== undefined && { macaroon: node.macaroon }),
      port: node.port ?? DEFAULT_SIMNET_PORT,
      portChosen: node.port !== undefined,
      latencyMs: node.latency,
      failureRate: node.failureRate,
    };
  }
  return {
    type: 'lnd',
    url: node.url,
    ...('grpcUrl' in node && node.grpcUrl !== undefined && { grpcUrl: node.grpcUrl }),
    ...(node.tlsCertFile !== undefined && { tlsCertFile: absolute(node.tlsCertFile) }),
    ...('tlsCertPem' in node && node.tlsCertPem !== undefined && { tlsCertPem: node.tlsCertPem }),
    ...(node.macaroonFile !== undefined && { macaroonFile: absolute(node.macaroonFile) }),
    ...(node.macaroon !== undefined && { macaroon: node.macaroon }),
    ...(node.network !== undefined && { network: node.network }),
    ...(node.clientCertFile !== undefined && { clientCertFile: absolute(node.clientCertFile) }),
    ...(node.clientKeyFile !== undefined && { clientKeyFile: absolute(node.clientKeyFile) }),
    ...(node.socksProxy !== undefined && { socksProxy: node.socksProxy }),
    ...(node.privateHints && { privateHints: true }),
  };
}

function resolveLimits(limits: ConfigFile['limits']): Config['limits'] {
  return {
    maxHeaderBytes: limits.maxHeaderSize,
    maxHeaderCount: limits.maxHeaders,
    maxUrlBytes: limits.maxUrl,
    maxConnections: limits.maxConnections,
    headersTimeoutMs: limits.headersTimeout,
    keepAliveTimeoutMs: limits.keepAliveTimeout,
    clientIdleTimeoutMs: limits.idleTimeout,
    credentialCacheBytes: limits.credentialCache,
  };
}

function resolveChallenge(challenge: ConfigFile['challenge'], title: string): Config['challenge'] {
  const { invoicePool: pool } = challenge;
  return {
    invoiceExpirySec: challenge.invoiceExpiry,
    minInvoiceMsat: challenge.minInvoice,
    memo: challenge.memo ?? title,
    burst: challenge.burst,
    perMinute: challenge.perMinute,
    shared: challenge.shared,
    maxOutstanding: challenge.maxOutstanding,
    reservedShare: challenge.reserved,
    maxOutstandingPerClient: challenge.maxPerClient,
    nodeConcurrency: challenge.nodeConcurrency,
    nodeTimeoutMs: challenge.nodeTimeout,
    legacyLsat: challenge.legacyLsat,
    ...(pool !== undefined && {
      invoicePool: { size: pool.size, refillBelow: pool.refillBelow ?? Math.ceil(pool.size / 2) },
    }),
  };
}

function resolveService(service: ServiceFile, sharedUpstream: string | undefined): ServiceConfig {
  const { timeouts } = service;
  const { metering } = readMetering(service);
  return {
    name: service.name,
    ...(service.host !== undefined && { host: service.host }),
    path: service.path,
    ...(service.ignoreCase && { ignoreCase: true }),
    ...(service.methods !== undefined && { methods: [...new Set(service.methods)] }),
    price: service.price,
    ...(metering !== undefined && { metering }),
    upstream: service.upstream ?? sharedUpstream ?? '',
    ...(service.stripPrefix !== undefined && { stripPrefix: service.stripPrefix }),
    ...(service.addPrefix !== undefined && { addPrefix: service.addPrefix }),
    requestHeaders: service.requestHeaders,
    upstreamHost: service.upstreamHost,
    chargeOn: service.chargeOn,
    validForSec: service.validFor,
    capabilities: service.capabilities,
    ...(service.credentialHeader !== undefined && { credentialHeader: service.credentialHeader }),
    credentialInQuery: service.credentialInQuery,
    ...(service.session && { session: true }),
    cacheControl: service.cacheControl,
    connectTimeoutMs: timeouts.connect,
    headersTimeoutMs: timeouts.headers,
    idleTimeoutMs: timeouts.idle,
    maxBodyBytes: service.maxBody,
  };
}

/** Freezes a tree of plain data all the way down. */
function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) {
    if (typeof inner === 'object' && inner !== null && !Object.isFrozen(inner)) deepFreeze(inner);
  }
  return Object.freeze(value);
}
