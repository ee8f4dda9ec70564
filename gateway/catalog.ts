import type { Config } from '../config/config.ts';
import { compileRoutes, type Router } from './flow/match-service.ts';
import { type TrustedProxies, trustedProxies } from './proxy/client-address.ts';

/** A configuration and what is compiled from it: swapped as one on a reload. */
export interface Catalog {
  readonly config: Config;
  readonly router: Router;
  readonly trusted: TrustedProxies;
}

/** Compiles a configuration. @param onUndeclaredProxy - called once, with the peer whose X-Forwarded-For was ignored */
export function compileCatalog(config: Config, onUndeclaredProxy: (address: string) => void): Catalog {
  return {
    config,
    router: compileRoutes(config.services),
    trusted: trustedProxies(config.trustedProxies, onUndeclaredProxy),
  };
}
