import { plainAddress } from './client-address.ts';
import { foldName, nameFacts } from './header-names.ts';

/*
 * Headers travel as flat lists (name, value, name, value), as Node reads them and undici and writeHead take them: names keep
 * their spelling, duplicates stay apart, and nothing is built that is thrown away.
 *
 * Via is not added, in either direction: it is asked for by RFC 9110 (7.6.3), but nginx upstreams stop compressing when they
 * see it, and nginx itself adds none. Date stays the upstream's; Node adds one where it is missing.
 */

/** True when this header of a request carries a payment credential, which the upstream must not see. The name is in lower case. */
export type IsCredential = (name: string, value: string) => boolean;

/** Who sent the request, as the connection says. */
export interface RequestPeer {
  /** `socket.remoteAddress` */
  readonly address: string;
  /** A declared proxy: what it says about its own client is kept. */
  readonly trusted: boolean;
  readonly proto: 'http' | 'https';
  /** `Target.authority` */
  readonly authority: string;
}

/** Headers set by configuration, ready to use. */
export interface HeadersToSet {
  readonly flat: readonly string[];
  /** Folded (`foldName`): a client's twin of one must not stand beside it. */
  readonly names: ReadonlySet<string>;
}

/** How to make the upstream's request headers. */
export interface RequestHeaderRules {
  readonly isCredential: IsCredential;
  /** A header of this request of which it is known: it is not asked again. */
  readonly credential?: { readonly name: string; readonly value: string } | undefined;
  /** What of a Cookie header is forwarded; `undefined`: nothing. Absent: all of it. */
  readonly keepCookie?: (value: string) => string | undefined;
  readonly peer: RequestPeer;
  /** The Host header that the upstream sees. */
  readonly host: string;
  /** Replaces what the client sent under the same names. */
  readonly set: HeadersToSet;
  /** Flat; added last (what the gateway says about the payment). */
  readonly add: readonly string[];
}

/** Compiles a service's `requestHeaders`, once a configuration. */
export function headersToSet(headers: Readonly<Record<string, string>>): HeadersToSet {
  const entries = Object.entries(headers);
  return { flat: entries.flat(), names: new Set(entries.map(([name]) => foldName(name))) };
}

/** What a client's headers said, gathered in one pass. */
interface Gathered {
  readonly flat: string[];
  forwardedFor: string;
  forwardedProto: string;
  forwardedHost: string;
  forwarded: string;
}

/**
 * The headers of the upstream's request. First falls what the client's Connection header names, then the hop-by-hop headers,
 * credentials and everything that only the gateway may say; ours come last, so that no Connection header can remove them.
 * @param rawHeaders - `req.rawHeaders`: also holds the duplicates that `req.headers` hides
 */
export function requestHeaders(rawHeaders: readonly string[], rules: RequestHeaderRules): string[] {
  const gathered: Gathered = {
    flat: ['Host', rules.host],
    forwardedFor: '',
    forwardedProto: '',
    forwardedHost: '',
    forwarded: '',
  };
  const named = connectionNames(rawHeaders);
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    gather(gathered, rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '', named, rules);
  }
  const { flat } = gathered;
  addForwarded(gathered, rules.peer, rules.set.names);
  for (const part of rules.set.flat) flat.push(part);
  for (const part of rules.add) flat.push(part);
  return flat;
}

function gather(
  into: Gathered,
  name: string,
  value: string,
  named: ReadonlySet<string> | undefined,
  rules: RequestHeaderRules,
): void {
  const { lower, folded, request: role } = nameFacts(name);
  switch (role) {
    case 'pass':
      if (named?.has(lower) || rules.set.names.has(folded)) return;
      if (value === rules.credential?.value && name === rules.credential.name) return;
      if (rules.isCredential(lower, value)) return;
      into.flat.push(name, value);
      return;
    case 'cookie':
      if (named?.has(lower) || rules.set.names.has(folded)) return;
      addCookie(into, name, value, rules);
      return;
    case 'content-length':
      // Framing is not the client's to remove by naming it in Connection.
      into.flat.push(name, value);
      return;
    case 'te':
      // Only `trailers` means anything beyond this hop (RFC 9110, 10.1.4).
      if (/(?:^|,)\s*trailers\s*(?:,|;|$)/i.test(value)) into.flat.push('TE', 'trailers');
      return;
    case 'client-claim':
      if (rules.peer.trusted && !named?.has(lower) && !rules.set.names.has(folded))
        into.flat.push(name, value);
      return;
    case 'forwarded-for':
      into.forwardedFor = joined(into.forwardedFor, value);
      return;
    case 'forwarded-proto':
      into.forwardedProto ||= value;
      return;
    case 'forwarded-host':
      into.forwardedHost ||= value;
      return;
    case 'forwarded':
      into.forwarded = joined(into.forwarded, value);
      return;
    case 'connection':
    case 'drop':
      return;
  }
}

function addCookie(into: Gathered, name: string, value: string, rules: RequestHeaderRules): void {
  const kept = rules.keepCookie === undefined ? value : rules.keepCookie(value);
  if (kept !== undefined) into.flat.push(name, kept);
}

function joined(before: string, value: string): string {
  return before === '' ? value : `${before}, ${value}`;
}

/** A trusted proxy's chain is continued; anybody else's is replaced by what the connection itself shows. */
function addForwarded(from: Gathered, peer: RequestPeer, taken: ReadonlySet<string>): void {
  const address = plainAddress(peer.address);
  const trusted = peer.trusted;
  const { flat } = from;
  const hops = trusted ? joined(from.forwardedFor, address) : address;
  if (hops !== '' && !taken.has('x-forwarded-for')) flat.push('X-Forwarded-For', hops);
  const proto = (trusted && from.forwardedProto) || peer.proto;
  if (!taken.has('x-forwarded-proto')) flat.push('X-Forwarded-Proto', proto);
  const host = (trusted && from.forwardedHost) || peer.authority;
  if (host !== '' && !taken.has('x-forwarded-host')) flat.push('X-Forwarded-Host', host);
  if (taken.has('forwarded')) return;
  const element = forwardedElement(address, peer);
  flat.push('Forwarded', trusted ? joined(from.forwarded, element) : element);
}

/** RFC 7239, 4: an IPv6 address and a host with a port need quotes. Neither can hold a quote (target.ts). */
function forwardedElement(address: string, peer: RequestPeer): string {
  const node = address.includes(':') ? `"[${address}]"` : address;
  const host = peer.authority === '' ? '' : `;host="${peer.authority}"`;
  return `for=${node === '' ? 'unknown' : node}${host};proto=${peer.proto}`;
}

/** The names that Connection headers list, in lower case; undefined when they list none but keep-alive and close. */
function connectionNames(flat: readonly string[]): ReadonlySet<string> | undefined {
  let names: Set<string> | undefined;
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = flat[i] ?? '';
    if (name.length !== 10 || nameFacts(name).request !== 'connection') continue;
    const value = flat[i + 1] ?? '';
    if (value === 'keep-alive' || value === 'close') continue;
    names ??= new Set();
    for (const token of value.split(',')) names.add(token.trim().toLowerCase());
  }
  return names;
}

/** A challenge of a payment protocol, alone or among others on one line. */
const PAYMENT_CHALLENGE = /(?:^|,)\s*(?:l402|lsat|payment)(?:\s|$)/i;

/**
 * The headers of the client's response: without hop-by-hop headers, and without the upstream's own payment headers, which a
 * client could not tell from the gateway's.
 * @param raw - name, value, … as undici hands them over
 */
export function responseHeaders(raw: readonly (Buffer | string)[]): string[] {
  const flat: string[] = [];
  let named: ReadonlySet<string> | undefined;
  let framed = false;
  let lengthAt = -1;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = latin1(raw[i]);
    const value = latin1(raw[i + 1]);
    switch (nameFacts(name).response) {
      case 'drop':
        break;
      case 'connection':
        if (value.length > 0) named = union(named, connectionNames([name, value]));
        break;
      case 'transfer-encoding':
        framed = true;
        break;
      case 'www-authenticate':
        if (!PAYMENT_CHALLENGE.test(value)) flat.push(name, value);
        break;
      case 'content-length':
        lengthAt = flat.length;
        flat.push(name, value);
        break;
      case 'pass':
        flat.push(name, value);
        break;
    }
  }
  // Of the two, Transfer-Encoding framed the body (RFC 9112, 6.3): the length must not reach the client.
  if (framed && lengthAt !== -1) flat.splice(lengthAt, 2);
  return named === undefined ? flat : without(flat, named);
}

function latin1(part: Buffer | string | undefined): string {
  return typeof part === 'string' ? part : part === undefined ? '' : part.toString('latin1');
}

function union(
  a: ReadonlySet<string> | undefined,
  b: ReadonlySet<string> | undefined,
): ReadonlySet<string> | undefined {
  return a === undefined || b === undefined ? (a ?? b) : new Set([...a, ...b]);
}

function without(flat: readonly string[], names: ReadonlySet<string>): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = flat[i] ?? '';
    const { lower, response } = nameFacts(name);
    if (response === 'content-length' || !names.has(lower)) kept.push(name, flat[i + 1] ?? '');
  }
  return kept;
}

/** Puts headers over others: what has the same name falls away, or one that an upstream may take for it. Both are flat lists; `over` is short. */
export function overrideHeaders(flat: string[], over: readonly string[]): string[] {
  if (over.length === 0) return flat;
  const names: string[] = [];
  for (let i = 0; i < over.length; i += 2) names.push(nameFacts(over[i] ?? '').folded);
  const kept: string[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = flat[i] ?? '';
    if (!names.includes(nameFacts(name).folded)) kept.push(name, flat[i + 1] ?? '');
  }
  for (const part of over) kept.push(part);
  return kept;
}

/** Never in a trailer (RFC 9110, 6.5.1): framing, routing, authentication, caching and cookies. */
const NOT_IN_TRAILERS =
  /^(?:content-(?:length|encoding|type|range)|host|authorization|set-cookie|cache-control|expires|age|vary|location|trailer|www-authenticate|date)$/;

/** A response's trailers as pairs, without what must not stand in a trailer. */
export function responseTrailers(raw: readonly (Buffer | string)[]): [string, string][] {
  const flat = responseHeaders(raw);
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = flat[i] ?? '';
    if (!NOT_IN_TRAILERS.test(nameFacts(name).lower)) pairs.push([name, flat[i + 1] ?? '']);
  }
  return pairs;
}
