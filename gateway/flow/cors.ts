import type { IncomingMessage } from 'node:http';
import { EXPOSED_HEADERS } from '../cors-headers.ts';

/** Request headers that a page's script may send to any service; `Authorization` by name, as `*` does not cover it (Fetch, CORS protocol). */
const ALLOWED = ['Authorization', 'Content-Type', 'Idempotency-Key', 'Accept', 'L402-Macaroon'];
const PREFLIGHT_SEC = 600;

/**
 * The CORS headers of an answer of ours, flat name, value pairs; empty when the origin is not configured. Credentials mode
 * is never allowed: what pays is the Authorization header, not a cookie that a foreign page could ride on.
 */
export function corsHeaders(req: IncomingMessage, origins: readonly string[]): string[] {
  const { origin } = req.headers;
  if (origins.includes('*'))
    return ['Access-Control-Allow-Origin', '*', 'Access-Control-Expose-Headers', EXPOSED_HEADERS];
  if (origin === undefined) return origins.length === 0 ? [] : ['Vary', 'Origin'];
  if (!origins.includes(origin)) return ['Vary', 'Origin'];
  return [
    'Access-Control-Allow-Origin',
    origin,
    'Vary',
    'Origin',
    'Access-Control-Expose-Headers',
    EXPOSED_HEADERS,
  ];
}

/**
 * The value of `Access-Control-Expose-Headers` for an answer whose upstream speaks CORS itself: what it exposes, and ours.
 * @param theirs - what the upstream's own header says; undefined when it has none
 */
export function exposedBeside(theirs: string | undefined): string {
  return theirs === undefined || theirs.trim() === '' ? EXPOSED_HEADERS : `${theirs}, ${EXPOSED_HEADERS}`;
}

/** The headers of a preflight's answer (204), or undefined when the request is no preflight. */
export function preflightHeaders(req: IncomingMessage, origins: readonly string[]): string[] | undefined {
  const wanted = req.headers['access-control-request-method'];
  if (req.method !== 'OPTIONS' || wanted === undefined || req.headers.origin === undefined) return undefined;
  const asked = (req.headers['access-control-request-headers'] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/.test(name))
    .slice(0, 32);
  const known = new Set(ALLOWED.map((name) => name.toLowerCase()));
  const allowed = [...ALLOWED, ...asked.filter((name) => !known.has(name.toLowerCase()))];
  return [
    ...corsHeaders(req, origins),
    'Access-Control-Allow-Methods',
    'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
    'Access-Control-Allow-Headers',
    allowed.join(', '),
    'Access-Control-Max-Age',
    String(PREFLIGHT_SEC),
  ];
}
