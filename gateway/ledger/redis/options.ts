import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { ClusterOptions, RedisOptions } from 'ioredis';
import type { RedisStoreConfig, RedisTlsConfig } from '../../../config/config.ts';
import { SwitchingConnector } from './sentinel-connector.ts';

/** Bounds of the pauses between tries to connect, ms. */
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;
/** A peer that vanished without a word is noticed by it, ms. */
const KEEP_ALIVE_MS = 10_000;
/** How often a Cluster is asked who serves what, ms; `MOVED` tells of most changes before. */
const SLOTS_EVERY_MS = 5_000;
/** A connection that is to be closed and does not close is cut after this, ms. */
const DISCONNECT_MS = 500;

/** Pauses that double up to a bound, with jitter, so that many gateways do not come back at once; for ever. */
export function pauseMs(tries: number, random: () => number): number {
  const span = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(tries - 1, 16), MAX_PAUSE_MS);
  return Math.round(span * (0.5 + random() / 2));
}

/**
 * Options of one connection. With ioredis's own, a command waits for ever for a Redis that is away, and one whose answer was lost is
 * sent a second time by itself.
 */
export function redisOptions(config: RedisStoreConfig, random: () => number): RedisOptions {
  const { reach, connectTimeoutMs, commandTimeoutMs } = config;
  const tls = config.tls && tlsOptions(config.tls);
  return {
    ...shared(config, tls),
    lazyConnect: true,
    enableOfflineQueue: false,
    db: config.database,
    retryStrategy: (tries) => pauseMs(tries, random),
    ...(reach.kind === 'single' && reach.server),
    ...(reach.kind === 'sentinel' && {
      sentinels: [...reach.sentinels],
      name: reach.master,
      ...(reach.sentinelUsername !== undefined && { sentinelUsername: reach.sentinelUsername }),
      ...(reach.sentinelPassword !== undefined && { sentinelPassword: reach.sentinelPassword }),
      sentinelCommandTimeout: commandTimeoutMs,
      sentinelRetryStrategy: (tries: number) => pauseMs(tries, random),
      sentinelReconnectStrategy: (tries: number) => pauseMs(tries + 4, random),
      Connector: SwitchingConnector,
      connectTimeout: connectTimeoutMs,
      ...(tls !== undefined && { enableTLSForSentinelMode: true, sentinelTLS: tls }),
    }),
  };
}

/** Options of a Cluster; see {@link redisOptions}. */
export function clusterOptions(
  config: RedisStoreConfig,
  random: () => number,
): ClusterOptions & { redisOptions: RedisOptions & { replyMapping: 'legacy' } } {
  const tls = config.tls && tlsOptions(config.tls);
  return {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: (tries) => pauseMs(tries, random),
    // A node that is away is tried again by the next command for it, or left when its slots moved.
    clusterNodeRetryStrategy: null,
    // 0: a command that may have been carried out is never sent again behind the caller's back.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    retryDelayOnTryAgain: 50,
    slotsRefreshTimeout: config.connectTimeoutMs,
    slotsRefreshInterval: SLOTS_EVERY_MS,
    scaleReads: 'master',
    // Resolved for each connection: the certificate is for the name, and an address may change.
    dnsLookup: (host, callback) => callback(null, host),
    redisOptions: { ...shared(config, tls), replyMapping: 'legacy' },
  };
}

function shared(config: RedisStoreConfig, tls: ConnectionOptions | undefined): RedisOptions {
  const { commandTimeoutMs, connectTimeoutMs, username, password } = config;
  return {
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    // An answer that is so late that its command was given up: the connection is not to be trusted with the next.
    socketTimeout: commandTimeoutMs,
    // 0: what was under way when the connection broke fails at once, and its outcome is resolved by its key.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    maxLoadingRetryTime: MAX_PAUSE_MS,
    keepAlive: KEEP_ALIVE_MS,
    // A master that became a replica while we were connected: the next connection finds the new one.
    reconnectOnError: (error) => /^(READONLY|MASTERDOWN)/.test(error.message),
    connectionName: 'sluice',
    ...{ disconnectTimeout: DISCONNECT_MS },
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls !== undefined && { tls }),
  };
}

/** @throws Error when a file can't be read */
function tlsOptions({ caFile, certFile, keyFile, servername }: RedisTlsConfig): ConnectionOptions {
  return {
    ...(caFile !== undefined && { ca: readFileSync(caFile) }),
    ...(certFile !== undefined && { cert: readFileSync(certFile) }),
    ...(keyFile !== undefined && { key: readFileSync(keyFile) }),
    ...(servername !== undefined && { servername }),
  };
}
