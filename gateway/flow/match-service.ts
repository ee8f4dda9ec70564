import findMyWay from 'find-my-way';
import type { ServiceConfig } from '../../config/config.ts';
import { explainRoute, type RouteExplanation } from './explain-route.ts';
import {
  compareSpecificity,
  hostNames,
  parseRoutePattern,
  patternShape,
  type Route,
  type RoutePattern,
} from './route-pattern.ts';

/** Finds the service for a request. Host first, then the most specific path, then the method. */
export interface Router {
  /**
   * The service that answers and prices a request; `undefined` when there is none. HEAD is priced as GET.
   * @param host - canonical: lower case, without port
   * @param path - canonical and without query; it is compared byte for byte and never decoded again
   */
  match(method: string, host: string, path: string): ServiceConfig | undefined;
  /**
   * Every service that could answer, which one does, and why, for `sluice routes`.
   * @param url - a path, or an http(s) URL
   * @throws GatewayError `bad-target` when the gateway would refuse the URL.
   */
  explain(method: string, url: string): RouteExplanation;
}

type RadixTree = ReturnType<typeof findMyWay<findMyWay.HTTPVersion.V1>>;

/** Routes for one host and method. */
interface Tree {
  readonly radix: RadixTree;
  /** For the path `/`, which the radix tree would let an empty `:name` take. */
  readonly root: Route | undefined;
}

/** The routes of one host: a tree for each method that some service names, and one for all other methods. */
interface HostRoutes {
  readonly byMethod: ReadonlyMap<string, Tree>;
  readonly otherMethods: Tree;
}

/** The routes of one host as written, and those of services with `ignoreCase` once more with case folded. */
interface HostTable {
  readonly exact: HostRoutes;
  readonly folded: HostRoutes | undefined;
}

/**
 * Builds the router of a configuration.
 * @throws RangeError when a path is no pattern or two services have equal routes; the config check says so first.
 */
export function compileRoutes(services: readonly ServiceConfig[]): Router {
  const routes = services.map((service): Route => ({ service, pattern: parseRoutePattern(service.path) }));
  const tablesOf = compileHosts(routes);
  const match = (method: string, host: string, path: string): ServiceConfig | undefined => {
    const priced = method === 'HEAD' ? 'GET' : method;
    const key = treeKey(path);
    if (key === undefined) return undefined;
    for (const table of tablesOf(host)) {
      const route = findInTable(table, priced, key);
      if (route !== undefined) return route.service;
    }
    return undefined;
  };
  return { match, explain: (method, url) => explainRoute(routes, match, method, url) };
}

/**
 * The path as the tree is asked for it. find-my-way decodes escapes and cuts at `?` and `#`: the `%` is escaped once more, so that its
 * decoding gives back the very path that is priced and forwarded, and what should have been refused before matches nothing.
 */
function treeKey(path: string): string | undefined {
  if (path.charCodeAt(0) !== 0x2f || path.includes('?') || path.includes('#')) return undefined;
  return path.includes('%') ? path.replaceAll('%', '%25') : path;
}

function findInTable(table: HostTable, method: string, key: string): Route | undefined {
  const exact = findInTree(table.exact, method, key);
  if (table.folded === undefined) return exact;
  const folded = findInTree(table.folded, method, key);
  if (folded === undefined || exact === undefined) return exact ?? folded;
  return compareSpecificity(folded.pattern, exact.pattern) > 0 ? folded : exact;
}

function findInTree(routes: HostRoutes, method: string, key: string): Route | undefined {
  const tree = routes.byMethod.get(method) ?? routes.otherMethods;
  if (key === '/') return tree.root;
  const found = tree.radix.find('GET', key);
  return found === null ? undefined : found.store;
}

/** The tables to ask for a host, in order: its own, those of `*.` names from the longest on, the one of services without a host. */
function compileHosts(routes: readonly Route[]): (host: string) => readonly HostTable[] {
  const byHost = Map.groupBy(routes, ({ service }) => service.host ?? '');
  const tables = new Map([...byHost].map(([host, own]) => [host, compileTable(own)]));
  const chainOf = (host: string): readonly HostTable[] =>
    hostNames(host).flatMap((name) => tables.get(name) ?? []);
  const hosts = [...byHost.keys()];
  const chains = new Map(hosts.map((host) => [host, chainOf(host)]));
  const hasWildcards = hosts.some((host) => host.startsWith('*.'));
  const fallback = chainOf('');
  return (host) => chains.get(host) ?? (hasWildcards ? chainOf(host) : fallback);
}

function compileTable(routes: readonly Route[]): HostTable {
  const folding = routes.filter(({ service }) => service.ignoreCase === true);
  return {
    exact: compileMethods(routes, 'exact'),
    folded: folding.length === 0 ? undefined : compileMethods(folding, 'folded'),
  };
}

function compileMethods(routes: readonly Route[], letters: 'exact' | 'folded'): HostRoutes {
  const named = new Set(routes.flatMap(({ service }) => service.methods ?? []));
  const anyMethod = routes.filter(({ service }) => service.methods === undefined);
  const byMethod = new Map(
    [...named].map((method) => {
      const naming = routes.filter(({ service }) => service.methods?.includes(method));
      return [method, compileTree(naming, anyMethod, letters)];
    }),
  );
  return { byMethod, otherMethods: compileTree([], anyMethod, letters) };
}

/** One radix tree. A route that names the method comes before an equal one for any method. */
function compileTree(
  naming: readonly Route[],
  anyMethod: readonly Route[],
  letters: 'exact' | 'folded',
): Tree {
  const byShape = new Map<string, Route>();
  const shapeOf = (pattern: RoutePattern): string =>
    letters === 'folded' ? patternShape(pattern).toLowerCase() : patternShape(pattern);
  const addAll = (routes: readonly Route[]): void => {
    const added = new Map<string, Route>();
    for (const route of routes) {
      const shape = shapeOf(route.pattern);
      const equal = added.get(shape);
      if (equal !== undefined) {
        throw new RangeError(`services ${equal.service.name} and ${route.service.name} have the same route`);
      }
      added.set(shape, route);
      if (!byShape.has(shape)) byShape.set(shape, route);
    }
  };
  addAll(naming);
  addAll(anyMethod);
  return growTree(byShape, letters);
}

function growTree(byShape: ReadonlyMap<string, Route>, letters: 'exact' | 'folded'): Tree {
  const radix: RadixTree = findMyWay({
    caseSensitive: letters === 'exact',
    ignoreTrailingSlash: true,
    // The listener bounds the length of a target; a smaller bound here would let long parameters fall to a catch-all.
    maxParamLength: Number.MAX_SAFE_INTEGER,
    querystringParser: () => ({}),
  });
  const unused = (): void => {};
  for (const route of byShape.values()) radix.on('GET', treePattern(route.pattern), unused, route);
  for (const [shape, route] of byShape) {
    // `/pack/*` covers `/pack` too, unless that path has a service of its own.
    const parent = shape.endsWith('/*') ? shape.slice(0, -2) : '';
    if (parent === '' || byShape.has(parent)) continue;
    radix.on('GET', treePattern(route.pattern.slice(0, -1)), unused, route);
  }
  return { radix, root: byShape.get('/') ?? byShape.get('/*') };
}

/** A pattern in find-my-way's words: a literal `:` is doubled, parameters get names that tell them apart. */
function treePattern(pattern: RoutePattern): string {
  return `/${pattern
    .map((part, index) => {
      if (part.kind === 'literal') return part.text.replaceAll(':', '::');
      return part.kind === 'rest' ? '*' : `:p${index}`;
    })
    .join('/')}`;
}
