import { compileRoutes, type Router } from '../gateway/flow/match-service.ts';
import { parseRoutePattern, type RoutePattern, samplePath } from '../gateway/flow/route-pattern.ts';
import { canonicalTarget } from '../gateway/proxy/target.ts';
import { upstreamOrigin, upstreamPath } from '../gateway/proxy/upstream-path.ts';
import type { ServiceConfig } from './config.ts';

/** A host that no service names. */
const OTHER_HOST = 'other.invalid';
const COMMON_METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

interface Priced {
  readonly service: ServiceConfig;
  readonly pattern: RoutePattern;
  readonly host: string;
  readonly method: string;
  readonly path: string;
}

/**
 * Warnings about requests that may reach what a paid service sells through a free one with the same upstream: another spelling that
 * an upstream may take for the same path, another method, another host, or another path that is forwarded to the same place.
 */
export function findWaysRound(services: readonly ServiceConfig[]): readonly string[] {
  const free = services.filter(({ price }) => price.kind === 'free');
  if (free.length === 0 || free.length === services.length) return [];
  const router = compileRoutes(services);
  return services.flatMap((service) => {
    if (service.price.kind === 'free') return [];
    const pattern = parseRoutePattern(service.path);
    const priced: Priced = {
      service,
      pattern,
      host: sampleHost(service),
      method: service.methods?.[0] ?? 'GET',
      path: samplePath(pattern),
    };
    return [
      ...bySpelling(router, priced),
      ...byMethod(router, priced),
      ...byHost(router, priced),
      ...byFreeHost(router, priced, free),
      ...byPrefix(router, priced, free),
    ];
  });
}

function sampleHost({ host }: ServiceConfig): string {
  return host === undefined ? OTHER_HOST : host.replace(/^\*\./, 'x.');
}

/** The free service with the same upstream that takes a request; `undefined` when there is none. */
function freeRival(
  router: Router,
  { service }: Priced,
  method: string,
  host: string,
  path: string,
): ServiceConfig | undefined {
  const found = router.match(method, host, path);
  if (found === undefined || found.price.kind !== 'free') return undefined;
  return upstreamOrigin(found) === upstreamOrigin(service) ? found : undefined;
}

function bySpelling(router: Router, priced: Priced): readonly string[] {
  const { service, method, host, path, pattern } = priced;
  const warnings: string[] = [];
  const loud = samplePath(
    pattern.map((part) => (part.kind === 'literal' ? { ...part, text: swapCase(part.text) } : part)),
  );
  const rival = loud === path ? undefined : freeRival(router, priced, method, host, loud);
  if (rival !== undefined) {
    warnings.push(
      `${service.name}: ${method} ${loud} is free (${rival.name}). An upstream that ignores case answers it as ${path}: set \`ignoreCase: true\` on ${service.name}, or narrow the path of ${rival.name}`,
    );
  }
  const last = pattern.at(-1);
  const suffixed = `${path};x`;
  const cut = last?.kind === 'literal' ? freeRival(router, priced, method, host, suffixed) : undefined;
  if (cut !== undefined) {
    warnings.push(
      `${service.name}: ${method} ${suffixed} is free (${cut.name}), like every path that begins in the same way. An upstream that cuts off parameters or suffixes answers it as ${path}: give ${cut.name} a narrower path`,
    );
  }
  return warnings;
}

function swapCase(text: string): string {
  return text.replaceAll(/%[0-9A-F]{2}|[a-z]+|[A-Z]+/g, (run) => {
    if (run.startsWith('%')) return run;
    return run === run.toLowerCase() ? run.toUpperCase() : run.toLowerCase();
  });
}

function byMethod(router: Router, priced: Priced): readonly string[] {
  const { service, host, path } = priced;
  const escaping = COMMON_METHODS.filter(
    (method) =>
      !service.methods?.includes(method) && freeRival(router, priced, method, host, path) !== undefined,
  );
  const [first] = escaping;
  const rival = first === undefined ? undefined : freeRival(router, priced, first, host, path);
  if (rival === undefined || service.methods === undefined) return [];
  return [
    `${service.name}: ${escaping.join(', ')} ${path} is free (${rival.name}), because ${service.name} takes ${service.methods.join(', ')} only: leave \`methods\` out when the upstream answers all of them alike`,
  ];
}

function byHost(router: Router, priced: Priced): readonly string[] {
  const { service, method, path } = priced;
  const rival = service.host === undefined ? undefined : freeRival(router, priced, method, OTHER_HOST, path);
  if (rival === undefined) return [];
  return [
    `${service.name}: ${method} ${path} is free (${rival.name}) for a client that sends another Host than ${service.host}: give ${rival.name} a host too`,
  ];
}

/** The host is matched before the path, and any client may name it: a free service with a host of its own takes this path there. */
function byFreeHost(router: Router, priced: Priced, free: readonly ServiceConfig[]): readonly string[] {
  const { service, method, host, path } = priced;
  for (const each of free) {
    const asked = sampleHost(each);
    if (each.host === undefined || asked === host) continue;
    const rival = freeRival(router, priced, method, asked, path);
    if (rival === undefined) continue;
    return [
      `${service.name}: ${method} ${path} is free (${rival.name}) for a client that sends Host: ${asked}: give ${rival.name} a narrower path or an upstream of its own, or sell the path there too`,
    ];
  }
  return [];
}

/** A free service may forward another path to the very place that the paid one forwards to. */
function byPrefix(router: Router, priced: Priced, free: readonly ServiceConfig[]): readonly string[] {
  const { service, method, host, path } = priced;
  const sold = upstreamPath(canonicalTarget(method, path, undefined), service);
  const warnings: string[] = [];
  for (const rival of free) {
    if (upstreamOrigin(rival) !== upstreamOrigin(service)) continue;
    const rivalHost = rival.host === undefined ? host : sampleHost(rival);
    for (const asked of waysTo(sold, rival)) {
      if (asked === path || router.match(method, rivalHost, asked) !== rival) continue;
      if (upstreamPath(canonicalTarget(method, asked, undefined), rival) !== sold) continue;
      warnings.push(
        `${service.name}: ${method} ${asked} is free (${rival.name}) and goes to the same place as ${path}: give ${rival.name} a narrower path, or ${service.name} an upstream of its own`,
      );
      break;
    }
  }
  return warnings;
}

/** Paths that a service may forward to a path of its upstream. */
function waysTo(sold: string, { upstream, addPrefix, stripPrefix }: ServiceConfig): readonly string[] {
  const base = new URL(upstream).pathname.replace(/\/$/, '') + (addPrefix ?? '').replace(/\/$/, '');
  if (!sold.startsWith(base)) return [];
  const rest = sold.slice(base.length);
  const asked = rest.startsWith('/') ? rest : `/${rest}`;
  return stripPrefix === undefined ? [asked] : [stripPrefix.replace(/\/$/, '') + asked, asked];
}
