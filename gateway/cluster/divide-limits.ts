import type { Config } from '../../config/config.ts';

/**
 * A worker's part of what is configured for the whole gateway: so many workers together allow what one process would. Bounds that
 * workers keep together stay whole: the throttle of challenges, and with `challenge.shared` what is counted in Redis.
 */
export function divideLimits(config: Config): Config {
  const { workers, limits, challenge } = config;
  const part = (whole: number): number => Math.max(1, Math.ceil(whole / workers));
  const { invoicePool: pool } = challenge;
  return {
    ...config,
    limits: {
      ...limits,
      maxConnections: part(limits.maxConnections),
      credentialCacheBytes: part(limits.credentialCacheBytes),
    },
    challenge: {
      ...challenge,
      maxOutstanding: part(challenge.maxOutstanding),
      maxOutstandingPerClient: challenge.shared
        ? challenge.maxOutstandingPerClient
        : part(challenge.maxOutstandingPerClient),
      nodeConcurrency: part(challenge.nodeConcurrency),
      ...(pool === undefined
        ? {}
        : { invoicePool: { size: part(pool.size), refillBelow: part(pool.refillBelow) } }),
    },
  };
}
