import type { ServiceConfig } from '../config/config.ts';

/**
 * How long what was sold lives, seconds from the end of its invoice. Of a service that is not configured any more nothing is
 * known: then the shortest of all counts, so that nobody is accused of what the ledger has only forgotten.
 */
export function soldForSec(services: readonly ServiceConfig[], name: string | undefined): number {
  const service = services.find((one) => one.name === name);
  if (service !== undefined) return lifeSec(service);
  return services.length === 0 ? 0 : Math.min(...services.map(lifeSec));
}

/** The longest that anything on sale lives, seconds. */
export function longestSoldSec(services: readonly ServiceConfig[]): number {
  return Math.max(0, ...services.map(lifeSec));
}

function lifeSec({ price, validForSec }: ServiceConfig): number {
  return price.kind === 'pass' ? price.durationSec : validForSec;
}
