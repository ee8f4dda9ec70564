import type { ServiceConfig } from '../../config/config.ts';
import { canonicalTarget, type Target } from '../proxy/target.ts';
import { upstreamOrigin, upstreamPath } from '../proxy/upstream-path.ts';
import {
  compareSpecificity,
  hostNames,
  patternMatches,
  type Route,
  type RoutePattern,
} from './route-pattern.ts';

/** A service whose path fits a request, and what became of it. */
export interface RouteCandidate {
  readonly service: ServiceConfig;
  readonly wins: boolean;
  /** For a person: `most specific path`, `does not take POST` … */
  readonly reason: string;
}

/** What `sluice routes METHOD URL` shows. */
export interface RouteExplanation {
  /** As it is priced: GET for HEAD. */
  readonly method: string;
  /** The canonical target: what is matched and forwarded. */
  readonly target: Target;
  /** `undefined`: the gateway answers 404. */
  readonly winner: ServiceConfig | undefined;
  /** Where the request would be forwarded to. */
  readonly upstreamUrl: string | undefined;
  /** The winner first, then the others in the order in which they would take its place. */
  readonly candidates: readonly RouteCandidate[];
}

type Match = (method: string, host: string, path: string) => ServiceConfig | undefined;

/** Explains one request. `match` decides; the reasons are found beside it. @throws GatewayError `bad-target` */
export function explainRoute(
  routes: readonly Route[],
  match: Match,
  method: string,
  url: string,
): RouteExplanation {
  const target = canonicalTarget(method, url, undefined);
  const priced = method === 'HEAD' ? 'GET' : method;
  const winner = match(method, target.host, target.path);
  const winning = routes.find(({ service }) => service === winner);
  const hosts = hostNames(target.host);
  const fitting = routes.filter((route) => fits(route, target.path));
  fitting.sort((a, b) => Number(b === winning) - Number(a === winning) || order(a, b, hosts));
  return {
    method: priced,
    target,
    winner,
    upstreamUrl: winner === undefined ? undefined : upstreamOrigin(winner) + upstreamPath(target, winner),
    candidates: fitting.map((route) => ({
      service: route.service,
      wins: route === winning,
      reason: reasonFor(route, winning, { method: priced, path: target.path, hosts }),
    })),
  };
}

/** The path fits, in any case of letters: a wrong case is worth an explanation. */
function fits(route: Route, path: string): boolean {
  return patternMatches(route.pattern, path) || patternMatches(folded(route.pattern), path.toLowerCase());
}

function folded(pattern: RoutePattern): RoutePattern {
  return pattern.map((part) => (part.kind === 'literal' ? { ...part, text: part.text.toLowerCase() } : part));
}

function order(a: Route, b: Route, hosts: readonly string[]): number {
  const hostRank = ({ service }: Route): number => {
    const rank = hosts.indexOf(service.host ?? '');
    return rank === -1 ? hosts.length : rank;
  };
  return hostRank(a) - hostRank(b) || compareSpecificity(b.pattern, a.pattern);
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly hosts: readonly string[];
}

function reasonFor(
  { service, pattern }: Route,
  winning: Route | undefined,
  { method, path, hosts }: Asked,
): string {
  if (!hosts.includes(service.host ?? '')) return `is for host ${service.host} only`;
  if (service.ignoreCase !== true && !patternMatches(pattern, path)) {
    return `is written in another case: ${service.path}`;
  }
  if (service.methods !== undefined && !service.methods.includes(method)) {
    return `does not take ${method}, only ${service.methods.join(', ')}`;
  }
  if (winning === undefined) return 'does not match';
  if (service === winning.service) return 'most specific host, then path, then method';
  if (service.host !== winning.service.host) {
    return `${winning.service.name} names the host more closely`;
  }
  if (compareSpecificity(winning.pattern, pattern) > 0)
    return `${winning.service.name} has the more specific path`;
  return `${winning.service.name} names the method`;
}
