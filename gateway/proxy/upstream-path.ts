import { canonicalPath, type Target } from './target.ts';

/** Where a service's requests go: the part of a service that decides origin and path. */
export interface UpstreamRoute {
  /** Origin and optional base path. */
  readonly upstream: string;
  readonly stripPrefix?: string;
  readonly addPrefix?: string;
}

interface CompiledRoute {
  readonly origin: string;
  /** Without a final slash; empty when nothing is removed. */
  readonly strip: string;
  /** Base path and addPrefix, without a final slash; empty when nothing is put in front. */
  readonly prefix: string;
}

const compiled = new WeakMap<UpstreamRoute, CompiledRoute>();

/** Services are frozen objects that live as long as their configuration: each is taken apart once. */
function compile(route: UpstreamRoute): CompiledRoute {
  const known = compiled.get(route);
  if (known !== undefined) return known;
  const url = new URL(route.upstream);
  const made: CompiledRoute = {
    origin: url.origin,
    strip: trimmed(route.stripPrefix),
    prefix: trimmed(url.pathname) + trimmed(route.addPrefix),
  };
  compiled.set(route, made);
  return made;
}

/** In the canonical form of request paths, so that a prefix written another way still meets them. */
function trimmed(prefix: string | undefined): string {
  if (prefix === undefined || prefix === '') return '';
  // A configuration holds characters, a request line bytes.
  const bytes = Buffer.from(prefix.startsWith('/') ? prefix : `/${prefix}`, 'utf8').toString('latin1');
  const path = canonicalPath(bytes);
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

/** `scheme://host:port` of a service's upstream. */
export function upstreamOrigin(route: UpstreamRoute): string {
  return compile(route).origin;
}

/** `host:port` as the upstream knows itself, for the Host header. */
export function upstreamAuthority(route: UpstreamRoute): string {
  const { origin } = compile(route);
  return origin.slice(origin.indexOf('//') + 2);
}

/**
 * The path and query to ask the upstream for: `stripPrefix` removed (at a segment's end only: `/api` is no prefix of
 * `/apis`), then the upstream's base path and `addPrefix` put in front. The target is canonical, so what comes out can't
 * leave the prefix.
 */
export function upstreamPath(target: Target, route: UpstreamRoute): string {
  if (target.form === 'asterisk') return '*';
  const { strip, prefix } = compile(route);
  let path = target.path;
  if (strip !== '' && path.startsWith(strip)) {
    const next = path.charCodeAt(strip.length);
    if (path.length === strip.length) path = '/';
    else if (next === 0x2f) path = path.slice(strip.length);
  }
  // A bare base path keeps its form: `/base`, not `/base/`, for a target that was the stripped prefix itself.
  const joined = prefix === '' ? path : path === '/' && target.path !== '/' ? prefix : prefix + path;
  return target.query === '' ? joined : joined + target.query;
}
