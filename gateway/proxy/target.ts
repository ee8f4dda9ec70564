import { GatewayError } from '../errors.ts';

/**
 * What a request asks for, in one canonical form. The same path is matched, priced and forwarded, so that no spelling of a
 * paid path can be matched as a free one (docs/decisions/0010-canonical-path.md).
 */
export interface Target {
  /** Begins with `/`: no dot segments, no `//`, no encoded unreserved characters, hex in upper case. `*` for OPTIONS *. */
  readonly path: string;
  /** Empty, or `?` and the query exactly as it came (bytes over 0x7f percent-encoded). */
  readonly query: string;
  /** Lower case, without port and without a final dot; IPv6 in brackets; empty when the request names none. */
  readonly host: string;
  /** Lower case, with the port as it was written; empty when the request names none. */
  readonly authority: string;
  readonly form: 'origin' | 'absolute' | 'asterisk';
}

interface Authority {
  readonly host: string;
  readonly authority: string;
}

const NO_AUTHORITY: Authority = { host: '', authority: '' };

/** Nothing to do: no `%`, no `//`, no segment that begins with a dot. Linear: every alternative begins with its own `/`. */
const CLEAN_PATH = /^(?:\/|(?:\/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)+\/?)$/;
const CLEAN_QUERY = /^[\x21\x22\x24-\x7e]*$/;
const AUTHORITY = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,255})(?::([0-9]{0,5}))?$/;
const ABSOLUTE = /^https?:\/\/([^/?]*)(.*)$/i;
/** `..;x` is `..` to servers that cut path parameters (Tomcat, Jetty), but an ordinary name to everybody else. */
const DOTS_WITH_PARAMETER = /^\.{1,2}(?:;|%3B)/;

/**
 * The canonical form of a request's target.
 * @param url - the request target as it stood in the request line
 * @param hostHeader - the Host header; an absolute-form target overrides it (RFC 9112, 3.2.2)
 * @throws GatewayError `bad-target`
 */
export function canonicalTarget(method: string, url: string, hostHeader: string | undefined): Target {
  if (url.charCodeAt(0) === 0x2f) return originTarget(url, hostAuthority(hostHeader), 'origin');
  if (url === '*') {
    if (method !== 'OPTIONS') throw badTarget('The target * is for OPTIONS only.');
    return { path: '*', query: '', ...hostAuthority(hostHeader), form: 'asterisk' };
  }
  const absolute = ABSOLUTE.exec(url);
  if (absolute === null) throw badTarget('The request target must be a path or an http(s) URL.');
  const authority = parseAuthority(absolute[1] ?? '');
  if (authority.host === '') throw badTarget('The URL in the request line names no host.');
  const rest = absolute[2] ?? '';
  // RFC 9112, 3.2.4: OPTIONS with an empty path in absolute form means the whole server.
  if (rest === '' && method === 'OPTIONS') return { path: '*', query: '', ...authority, form: 'asterisk' };
  return originTarget(rest.startsWith('/') ? rest : `/${rest}`, authority, 'absolute');
}

function originTarget(url: string, authority: Authority, form: 'origin' | 'absolute'): Target {
  const mark = url.indexOf('?');
  const rawPath = mark === -1 ? url : url.slice(0, mark);
  const rawQuery = mark === -1 ? '' : url.slice(mark);
  return {
    path: canonicalPath(rawPath),
    // A lone `?` means the same as none, but a router or an upstream may tell them apart: one spelling.
    query: rawQuery === '' || rawQuery === '?' ? '' : canonicalQuery(rawQuery),
    host: authority.host,
    authority: authority.authority,
    form,
  };
}

/**
 * The canonical form of a path: idempotent, and never above the root.
 * @param path - begins with `/`, has no query
 * @throws GatewayError `bad-target`
 */
export function canonicalPath(path: string): string {
  return CLEAN_PATH.test(path) ? path : resolveSegments(normaliseEscapes(path));
}

/** Collapses `//` and resolves dot segments (RFC 3986, 5.2.4); a `..` at the root stays there. */
function resolveSegments(path: string): string {
  const kept: string[] = [];
  let directory = false;
  for (const segment of path.split('/')) {
    directory = segment === '' || segment === '.' || segment === '..';
    if (segment === '..') kept.pop();
    else if (!directory) {
      if (DOTS_WITH_PARAMETER.test(segment))
        throw badTarget('A path segment may not be dots with a parameter (..;).');
      kept.push(segment);
    }
  }
  const joined = `/${kept.join('/')}`;
  return directory && kept.length > 0 ? `${joined}/` : joined;
}

/** Decodes what needs no escape, escapes what needs one, writes hex in upper case, and refuses what two servers read in two ways. */
function normaliseEscapes(path: string): string {
  let out = '';
  let multibyte = false;
  for (let i = 0; i < path.length; i += 1) {
    const code = path.charCodeAt(i);
    if (code !== 0x25) {
      out += plainCharacter(code);
      multibyte ||= code >= 0x80;
      continue;
    }
    const byte = hexByte(path, i + 1);
    out += escapedByte(byte);
    multibyte ||= byte >= 0x80;
    i += 2;
  }
  if (multibyte) assertUtf8(out);
  return out;
}

function plainCharacter(code: number): string {
  if (code === 0x5c) throw badTarget('The path holds a backslash; write / or leave it out.');
  if (code === 0x23) throw badTarget('The request target holds a #; fragments are never sent.');
  if (code <= 0x20 || code === 0x7f) throw badTarget('The path holds a space or a control character.');
  // These are not allowed raw (RFC 3986, 3.3) yet clients send them: one spelling, the escaped one.
  return code >= 0x80 || '"<>^`{|}'.includes(String.fromCharCode(code))
    ? percentEncode(code)
    : String.fromCharCode(code);
}

function escapedByte(byte: number): string {
  if (byte === 0x2f || byte === 0x5c) {
    throw badTarget('The path holds an encoded slash or backslash, which servers read in different ways.');
  }
  if (byte < 0x20 || byte === 0x7f) throw badTarget('The path holds an encoded control character.');
  return isUnreserved(byte) ? String.fromCharCode(byte) : percentEncode(byte);
}

/** RFC 3986, 2.3. */
function isUnreserved(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x2d ||
    byte === 0x2e ||
    byte === 0x5f ||
    byte === 0x7e
  );
}

function percentEncode(byte: number): string {
  if (byte > 0xff) throw badTarget('The request target holds a character that is not a byte.');
  return `%${byte < 16 ? '0' : ''}${byte.toString(16).toUpperCase()}`;
}

function hexByte(text: string, at: number): number {
  const digits = text.slice(at, at + 2);
  if (!/^[0-9a-fA-F]{2}$/.test(digits))
    throw badTarget('The path holds a % that two hex digits do not follow.');
  return Number.parseInt(digits, 16);
}

/** Overlong forms (`%C0%AE` for a dot) are how an escape hides from one decoder and works in another. */
function assertUtf8(path: string): void {
  try {
    decodeURIComponent(path);
  } catch {
    throw badTarget('The path holds escapes that are not UTF-8.');
  }
}

/** The query is neither matched nor priced, so it stays as it came; only what could end the request line early is refused. */
function canonicalQuery(query: string): string {
  if (CLEAN_QUERY.test(query)) return query;
  let out = '';
  for (let i = 0; i < query.length; i += 1) {
    const code = query.charCodeAt(i);
    if (code === 0x23) throw badTarget('The request target holds a #; fragments are never sent.');
    if (code <= 0x20 || code === 0x7f) throw badTarget('The query holds a space or a control character.');
    out += code >= 0x80 ? percentEncode(code) : String.fromCharCode(code);
  }
  return out;
}

const seenHosts = new Map<string, Authority>();
const MAX_SEEN_HOSTS = 256;

/** Most requests name one of a few hosts; a client that invents names only empties this small map. */
function hostAuthority(header: string | undefined): Authority {
  if (header === undefined) return NO_AUTHORITY;
  const seen = seenHosts.get(header);
  if (seen !== undefined) return seen;
  const parsed = parseAuthority(header);
  if (seenHosts.size >= MAX_SEEN_HOSTS) seenHosts.clear();
  seenHosts.set(header, parsed);
  return parsed;
}

function parseAuthority(text: string): Authority {
  if (text === '') return NO_AUTHORITY;
  const match = AUTHORITY.exec(text.toLowerCase());
  const name = match?.[1];
  const port = match?.[2] ?? '';
  if (name === undefined || Number(port) > 65_535)
    throw badTarget('The host is not a host name with an optional port.');
  // `example.com.` is the same host as `example.com`: matched as one, or its price could be walked around.
  const host = name.endsWith('.') ? name.slice(0, -1) : name;
  if (host === '' || host.endsWith('.'))
    throw badTarget('The host is not a host name with an optional port.');
  return { host, authority: port === '' ? host : `${host}:${port}` };
}

function badTarget(message: string): GatewayError {
  return new GatewayError('bad-target', message);
}
