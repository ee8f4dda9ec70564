import type { ServiceConfig } from '../../config/config.ts';
import { isCredentialHeader } from '../l402/credential.ts';
import { formatPrice } from '../pricing/format-price.ts';
import { type ForwardOutcome, type ForwardTimeouts, forward } from '../proxy/forward.ts';
import {
  type HeadersToSet,
  headersToSet,
  overrideHeaders,
  type RequestHeaderRules,
  requestHeaders,
} from '../proxy/headers.ts';
import type { UploadTap } from '../proxy/request-body.ts';
import type { Upstreams } from '../proxy/upstream.ts';
import { upstreamAuthority, upstreamOrigin, upstreamPath } from '../proxy/upstream-path.ts';
import { withoutSessionCookie } from '../session/cookie.ts';
import { type Charge, shownBalanceMsat } from './charge.ts';
import { corsHeaders, exposedBeside } from './cors.ts';
import type { Exchange } from './exchange.ts';
import { headerValue } from './header-value.ts';
import { identityHeaders } from './identity.ts';
import type { MeteredCharge } from './metered-charge.ts';
import { meteredTap, refusalOfHead } from './metered-response.ts';
import { forwardedQuery } from './read-credential.ts';
import { isCharged } from './settle.ts';

/** What forwarding needs. */
export interface ForwardDeps {
  readonly upstreams: Upstreams;
  readonly nowMs: () => number;
  /** Called with the time from forwarding to the upstream's response head. */
  readonly onUpstreamHead: (service: ServiceConfig, ms: number) => void;
}

/** Where a request goes, and with which headers. */
export interface UpstreamRequest {
  readonly origin: string;
  readonly path: string;
  readonly headers: string[];
}

/** The part of a service that is the same for all of its requests. */
interface CompiledService {
  readonly set: HeadersToSet;
  readonly isCredential: RequestHeaderRules['isCredential'];
  readonly priceText: string;
  readonly timeouts: ForwardTimeouts;
}

const compiled = new WeakMap<ServiceConfig, CompiledService>();

function compile(service: ServiceConfig): CompiledService {
  const known = compiled.get(service);
  if (known !== undefined) return known;
  const { credentialHeader } = service;
  const made: CompiledService = {
    set: headersToSet(service.requestHeaders),
    isCredential: (name, value) => isCredentialHeader(name, value, { credentialHeader }),
    priceText: formatPrice(service.price),
    timeouts: {
      connectMs: service.connectTimeoutMs,
      headersMs: service.headersTimeoutMs,
      idleMs: service.idleTimeoutMs,
    },
  };
  compiled.set(service, made);
  return made;
}

/** The upstream's request: the canonical target, the client's headers without credentials, and what we say of the payment. */
export function upstreamRequest(
  exchange: Exchange,
  charge: Charge | undefined,
  nowMs: number,
): UpstreamRequest {
  const { req, service, client, target } = exchange;
  const query = forwardedQuery(exchange);
  const path = upstreamPath(query === target.query ? target : { ...target, query }, service);
  const { set, isCredential } = compile(service);
  const headers = requestHeaders(req.rawHeaders, {
    isCredential,
    credential: knownCredential(exchange),
    keepCookie: withoutSessionCookie,
    set,
    host:
      service.upstreamHost === 'preserve' && target.authority !== ''
        ? target.authority
        : upstreamAuthority(service),
    peer: {
      address: req.socket.remoteAddress ?? '',
      trusted: client.trustedPeer,
      proto: client.scheme,
      authority: target.authority,
    },
    add: charge === undefined ? [] : identityHeaders(exchange, charge, path, Math.floor(nowMs / 1000)),
  });
  const planned = charge?.metered?.plan?.headersToSet;
  if (planned !== undefined)
    return {
      origin: upstreamOrigin(service),
      path,
      headers: overrideHeaders(headers, Object.entries(planned).flat()),
    };
  return { origin: upstreamOrigin(service), path, headers };
}

/** The header that was read as a credential, by the same service's rules. */
function knownCredential({ connection, service }: Exchange): RequestHeaderRules['credential'] {
  const { lastRead } = connection;
  return lastRead?.service === service ? lastRead : undefined;
}

/** Forwards a request that was paid for (or is free) and streams the answer back. */
export function forwardRequest(
  deps: ForwardDeps,
  exchange: Exchange,
  charge: Charge | undefined,
  body: Buffer | undefined,
): Promise<ForwardOutcome> {
  const { req, res, service } = exchange;
  const metered = charge?.metered;
  const startedAtMs = deps.nowMs();
  const { origin, path, headers } = upstreamRequest(exchange, charge, startedAtMs);
  return forward(deps.upstreams, {
    req,
    res,
    origin,
    path,
    method: req.method ?? 'GET',
    headers,
    timeouts: compile(service).timeouts,
    maxBodyBytes: service.maxBodyBytes,
    sendContinue: exchange.sendContinue,
    body,
    tap: metered && meteredTap(metered),
    uploadTap: metered && uploadTapOf(metered),
    onHead: (status, upstreamHeaders) => {
      deps.onUpstreamHead(service, deps.nowMs() - startedAtMs);
      if (charge === undefined) return [];
      if (isRefused(charge, req.method, status, upstreamHeaders)) return 'discard';
      return paidHeaders(exchange, charge, status, upstreamHeaders);
    },
  });
}

function uploadTapOf({ meter }: MeteredCharge): UploadTap | undefined {
  const counts = meter.terms.price.unit === 'byte' && meter.terms.count !== 'response';
  return counts ? meter.upload : undefined;
}

/** Remembers why: the answer to the client depends on it. */
function isRefused(
  { metered }: Charge,
  method: string | undefined,
  status: number,
  upstreamHeaders: readonly string[],
): boolean {
  if (metered === undefined) return false;
  metered.discarded = refusalOfHead(metered, method, status, upstreamHeaders);
  return metered.discarded !== undefined;
}

/** The price, and what is left on the account; `refunded`: what this request took is back. */
export function balanceHeaders(service: ServiceConfig, charge: Charge, refunded: boolean): string[] {
  const headers = ['L402-Price', compile(service).priceText];
  const balanceMsat = shownBalanceMsat(charge, refunded);
  if (balanceMsat !== undefined) headers.push('L402-Balance-Msat', String(balanceMsat));
  return headers;
}

/** What a paid response says beside the upstream's own headers. */
export function paidHeaders(
  exchange: Exchange,
  charge: Charge,
  status: number,
  upstreamHeaders: readonly string[],
): string[] {
  const { service, req, config } = exchange;
  const headers = balanceHeaders(service, charge, !isCharged(service.chargeOn, status));
  // A proxy in front that buffers would have seconds billed that nobody saw.
  if (charge.metered !== undefined) headers.push('X-Accel-Buffering', 'no');
  if (service.cacheControl !== 'upstream') {
    // A shared cache in front would give the paid answer to the next, unpaid visitor.
    headers.push('Cache-Control', service.cacheControl, ...cacheHeadersOff(upstreamHeaders));
  }
  if (req.headers.origin === undefined) return headers;
  if (headerValue(upstreamHeaders, 'access-control-allow-origin') === undefined)
    headers.push(...corsHeaders(req, config.corsOrigins));
  else {
    const theirs = headerValue(upstreamHeaders, 'access-control-expose-headers');
    headers.push('Access-Control-Expose-Headers', exposedBeside(theirs));
  }
  return headers;
}

/**
 * Headers by which an upstream speaks to caches over the head of Cache-Control: `CDN-Cache-Control` and the vendors' names
 * like it (RFC 9213), `Surrogate-Control`, and nginx's `X-Accel-Expires`.
 */
const OVER_CACHE_CONTROL = /^(?:(?:[a-z]+-){1,2}cache-control|surrogate-control|x-accel-expires)$/i;

/** The same names with a value that stores nothing, for those that the upstream sent. */
function cacheHeadersOff(upstreamHeaders: readonly string[]): string[] {
  const off: string[] = [];
  for (let at = 0; at < upstreamHeaders.length; at += 2) {
    const name = upstreamHeaders[at] ?? '';
    // No such name is shorter; most headers are told apart by that.
    if (name.length < 15 || !OVER_CACHE_CONTROL.test(name)) continue;
    off.push(name, name.toLowerCase() === 'x-accel-expires' ? '0' : 'no-store');
  }
  return off;
}
