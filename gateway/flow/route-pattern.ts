import type { ServiceConfig } from '../../config/config.ts';
import { canonicalPath } from '../proxy/target.ts';

/** One part of a pattern between two slashes. Literals are in the canonical form of request paths. */
export type PatternSegment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'parameter' }
  | { readonly kind: 'rest' };

/** A path pattern, read: `/users/:id` has two segments, `/` none, `/pack/*` ends in `rest`. */
export type RoutePattern = readonly PatternSegment[];

/** A service with its pattern read. */
export interface Route {
  readonly service: ServiceConfig;
  readonly pattern: RoutePattern;
}

const MAX_PATTERN = 1_000;
const MAX_SEGMENTS = 50;

/**
 * Reads a path pattern: literal segments, `:name` for exactly one segment, and a final `*` for anything below (and for the path
 * itself: `/pack/*` covers `/pack` too, or that one spelling would fall to a free catch-all).
 * @throws RangeError with what to write instead. The message does not repeat the pattern.
 */
export function parseRoutePattern(path: string): RoutePattern {
  if (!path.startsWith('/'))
    throw new RangeError('a path begins with `/`, for example `/quote` or `/pack/*`');
  if (path.length > MAX_PATTERN) throw new RangeError(`a path has at most ${MAX_PATTERN} characters`);
  if (/[?#]/.test(path))
    throw new RangeError('a path has no query and no fragment; leave out `?` and `#` and what follows');
  const bare = path.length > 1 && path.endsWith('/') ? path.slice(1, -1) : path.slice(1);
  if (bare === '') return [];
  const parts = bare.split('/');
  if (parts.length > MAX_SEGMENTS) throw new RangeError(`a path has at most ${MAX_SEGMENTS} segments`);
  return parts.map((part, index) => readSegment(part, index === parts.length - 1));
}

function readSegment(part: string, isLast: boolean): PatternSegment {
  if (part === '*') {
    if (isLast) return { kind: 'rest' };
    throw new RangeError(
      '`*` stands for all the rest, so only at the end; one segment in the middle is `:name`',
    );
  }
  if (part.startsWith(':')) {
    if (/^:[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(part)) return { kind: 'parameter' };
    throw new RangeError(
      'a parameter is a whole segment: `:` and a name of letters, digits and `_`, such as `/users/:id`',
    );
  }
  if (part.includes('*'))
    throw new RangeError('`*` is a segment of its own, at the end: `/files/*`, not `/files*`');
  // As literals they would match nothing that a client asks, and leave `/users/7` to a free catch-all.
  if (/[{}<>[\]]/.test(part))
    throw new RangeError(
      'a parameter is written `:name` here, as in `/users/:id`; brackets that are meant are written percent-encoded (`%7B`)',
    );
  return { kind: 'literal', text: literalText(part) };
}

function literalText(part: string): string {
  let text: string;
  try {
    text = canonicalPath(`/${[...part].map(escapeWide).join('')}`).slice(1);
  } catch (error) {
    throw new RangeError(error instanceof Error ? error.message : 'the path is not a path', { cause: error });
  }
  if (text !== '' && !text.includes('/')) return text;
  throw new RangeError(
    'empty segments, `.` and `..` are resolved before matching, so a path with them never matches: leave them out',
  );
}

/** Requests carry UTF-8 bytes percent-encoded, people write letters. */
function escapeWide(character: string): string {
  return character.charCodeAt(0) < 0x80 ? character : encodeURIComponent(character.toWellFormed());
}

/** Equal for patterns that match the same paths: names of parameters, a final slash and ways to escape don't count. */
export function patternShape(pattern: RoutePattern): string {
  return `/${pattern.map((part) => (part.kind === 'literal' ? part.text : part.kind === 'rest' ? '*' : ':')).join('/')}`;
}

/** A concrete path that a pattern matches. */
export function samplePath(pattern: RoutePattern): string {
  return `/${pattern.map((part) => (part.kind === 'literal' ? part.text : 'x')).join('/')}`;
}

/** Whether a canonical path is covered: the slow twin of the radix tree, for explanations. */
export function patternMatches(pattern: RoutePattern, path: string): boolean {
  const parts = path === '/' ? [] : path.replace(/^\/|\/$/g, '').split('/');
  for (const [index, segment] of pattern.entries()) {
    if (segment.kind === 'rest') return true;
    const part = parts[index];
    if (part === undefined || (segment.kind === 'literal' && segment.text !== part)) return false;
  }
  return parts.length === pattern.length;
}

const RANK = { literal: 3, parameter: 2, end: 1, rest: 0 } as const;

/**
 * Above 0 when `a` is more specific than `b`, for two patterns that match one path: at the first segment where they differ, a literal
 * comes before a parameter and a parameter before `*`; a path that ends comes before one that goes on with `*`.
 */
export function compareSpecificity(a: RoutePattern, b: RoutePattern): number {
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const difference = RANK[a[index]?.kind ?? 'end'] - RANK[b[index]?.kind ?? 'end'];
    if (difference !== 0) return difference;
  }
  return 0;
}

/** `a.b.c` can be sold as `a.b.c`, `*.b.c`, `*.c`, or without a host. */
export function hostNames(host: string): readonly string[] {
  const names = host === '' || host.startsWith('*') ? [] : [host];
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1))
    names.push(`*${host.slice(dot)}`);
  names.push('');
  return names;
}
