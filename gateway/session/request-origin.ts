import type { IncomingHttpHeaders } from 'node:http';
import type { CookieScope } from './cookie.ts';

/** A request, as far as cookies care where it comes from. */
export interface CookieRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** Host and port that it was sent to, lower case. */
  readonly authority: string;
  /** The connection itself is TLS. */
  readonly encrypted: boolean;
  /** The peer is a declared proxy: what it says of the client's connection is believed. */
  readonly trustedPeer: boolean;
}

const FORWARDING = ['forwarded', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'via'];

/** Where a cookie that comes with, or is given to, this request would work. */
export function cookieScope(request: CookieRequest): CookieScope {
  if (request.encrypted) return 'https';
  if (request.trustedPeer && forwardedProto(request.headers) === 'https') return 'https';
  // Behind a proxy "localhost" is the proxy's name for us, not the browser's.
  const direct = FORWARDING.every((name) => request.headers[name] === undefined);
  return direct && isLocalName(request.authority) ? 'localhost' : 'nowhere';
}

/** What the client spoke to the first proxy. */
function forwardedProto(headers: IncomingHttpHeaders): string | undefined {
  const plain = headers['x-forwarded-proto'];
  if (plain !== undefined) return String(plain).split(',', 1)[0]?.trim().toLowerCase();
  const [first = ''] = (headers.forwarded ?? '').split(',', 1);
  return /(?:^|;)\s*proto="?([a-z]+)"?\s*(?:;|$)/i.exec(first)?.[1]?.toLowerCase();
}

function isLocalName(authority: string): boolean {
  const host = authority.replace(/:\d*$/, '');
  return (
    host === 'localhost' ||
    host.endsWith('.localhost') ||
    host === '[::1]' ||
    /^127(\.\d{1,3}){3}$/.test(host)
  );
}

/**
 * Whether a page of this very origin, or the person at the browser, caused the request (Fetch Metadata, 2.3). A browser
 * that does not say so is older than the header, or is no browser: then `Origin`, which it sends in the cases that matter, must be
 * ours or absent, and SameSite=Strict keeps other sites out.
 */
export function isOwnSite({ headers, authority }: CookieRequest): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin' || site === 'none';
  const { origin } = headers;
  if (origin === undefined) return true;
  const url = URL.parse(origin);
  return url !== null && url.host === withoutDefaultPort(authority, url.protocol);
}

function withoutDefaultPort(authority: string, protocol: string): string {
  return authority.replace(protocol === 'https:' ? /:443$/ : /:80$/, '');
}
