import { hash, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { ServiceConfig } from '../../config/config.ts';
import { sha256 } from '../../node/sha256.ts';
import { GatewayError } from '../errors.ts';
import { MAX_TOKEN_CAVEATS, readTerms, type Terms } from '../l402/caveat.ts';
import type { CredentialCandidate } from '../l402/credential.ts';
import { decodeIdentifier } from '../l402/identifier.ts';
import { type Macaroon, macaroonFromText } from '../l402/macaroon.ts';
import { parseCanonicalPrice } from '../pricing/format-price.ts';
import type { Price } from '../pricing/price.ts';
import type { Keyring } from './keys.ts';
import type { Throttle } from './throttle.ts';

/** What a verified credential entitles to. */
export interface Grant {
  readonly paymentHash: string;
  /** 64 hex digits; shown by the node only for a payment. */
  readonly preimage: string;
  /** The terms as minted. */
  readonly minted: Terms;
  /** Unix seconds, perhaps narrowed by the holder. */
  readonly validUntilSec: number;
  readonly capabilities: string;
  /** What was bought at this price is served at it. */
  readonly price: Price;
  /** The holder appended caveats: good for what it allows, but not for buying more on the same account. */
  readonly narrowed: boolean;
}

/** A grant and whether its payment was presented to the ledger. */
export interface VerifiedCredential {
  readonly grant: Grant;
  redeemed: boolean;
}

/** Why a credential is answered with a challenge; stable words for logs and the challenge's body. */
export type CredentialRefusal =
  | 'malformed'
  | 'bad-signature'
  | 'bad-terms'
  | 'bad-preimage'
  | 'other-service'
  | 'narrowed-away'
  | 'expired'
  | 'revoked';

/** Outcome of {@link CredentialVerifier.verify}. */
export type Verification =
  | { readonly kind: 'granted'; readonly credential: VerifiedCredential }
  | { readonly kind: 'refused'; readonly reason: CredentialRefusal }
  /** Not looked at: too many credentials of this client did not hold. */
  | { readonly kind: 'throttled'; readonly retryAfterSec: number };

/** Verifies credentials; the ones whose signature and preimage held are remembered. */
export interface CredentialVerifier {
  /** @param clientKey - throttle key of the client's address, under which credentials that do not hold are counted */
  verify(credential: CredentialCandidate, service: ServiceConfig, clientKey: string): Verification;
  /** The services that its macaroons name, as their holder says: nothing is verified. Each once, in order. */
  servicesNamedIn(credential: CredentialCandidate): readonly string[];
  /**
   * Reads a macaroon that is not paid yet: its payment hash when the signature holds and it has not expired, else undefined.
   * @throws GatewayError `throttled`
   */
  readMacaroon(macaroonText: string, clientKey: string): { readonly paymentHash: string } | undefined;
  /** What is remembered now. */
  cacheSize(): { readonly entries: number; readonly bytes: number };
}

/** What a {@link CredentialVerifier} needs. */
export interface VerifierDeps {
  readonly keys: Keyring;
  readonly isRevoked: (accountId: string) => boolean;
  readonly nowSec: () => number;
  /** Of clients whose credentials do not hold. */
  readonly throttle: Throttle;
  readonly maxCacheBytes: number;
  readonly onLookup?: (result: 'hit' | 'miss') => void;
}

/** Macaroons of one credential that are looked at (the L402 multi-token form). */
const MAX_MACAROONS = 4;
/**
 * Credentials that do not hold, by client. Each costs a chain of HMACs, and a request with one may cost nothing else (HEAD is
 * answered without an invoice). Far above what a client with an old token does, far below what slows the others.
 */
const FAILED_CHAINS = { burst: 60, perMinute: 120 };
/** Rough size of a cached grant in memory, bytes. */
const GRANT_BYTES = 1_200;

/**
 * Verifies the macaroon's chain, its terms and the preimage, in that order, and remembers what held by a hash of the exact
 * text. Expiry, revocation and service are looked at again on every use. A credential that does not hold is not remembered:
 * nobody can fill the cache without having paid. It is counted, by client, until no more are looked at; those remembered go on.
 */
export function createCredentialVerifier(deps: VerifierDeps): CredentialVerifier {
  const cache = new LRUCache<string, VerifiedCredential>({
    maxSize: Math.max(deps.maxCacheBytes, GRANT_BYTES),
    sizeCalculation: () => GRANT_BYTES,
  });
  const chains = createChains(deps);
  /** By the very candidate: the same header on the same connection is read once. */
  const known = new WeakMap<CredentialCandidate, VerifiedCredential>();
  const lookUp = (
    credential: CredentialCandidate,
    service: ServiceConfig,
    clientKey: string,
  ): VerifiedCredential | Verification => {
    const again = known.get(credential);
    // The macaroons of one candidate may be for several services, of which it was looked up for one.
    if (again !== undefined && again.grant.minted.service === service.name) {
      deps.onLookup?.('hit');
      return again;
    }
    const key = hash('sha256', `${service.name}\n${credential.cacheKey}`, 'base64');
    const cached = cache.get(key);
    if (cached !== undefined) {
      deps.onLookup?.('hit');
      known.set(credential, cached);
      return cached;
    }
    deps.onLookup?.('miss');
    const grant = firstGrant(credential, service, chains.of(clientKey));
    if ('kind' in grant) return grant;
    const verified = { grant, redeemed: false };
    cache.set(key, verified);
    known.set(credential, verified);
    return verified;
  };

  return {
    cacheSize: () => ({ entries: cache.size, bytes: cache.calculatedSize }),
    verify(credential, service, clientKey) {
      const found = lookUp(credential, service, clientKey);
      if ('kind' in found) return found;
      const reason = refusalNow(found.grant, service, deps);
      return reason === undefined ? { kind: 'granted', credential: found } : { kind: 'refused', reason };
    },
    servicesNamedIn: ({ macaroons }) => [
      ...new Set(macaroons.slice(0, MAX_MACAROONS).flatMap((text) => serviceNamedIn(text) ?? [])),
    ],
    readMacaroon(macaroonText, clientKey) {
      let macaroon: Macaroon;
      let paymentHash: string;
      try {
        macaroon = macaroonFromText(macaroonText);
        paymentHash = decodeIdentifier(macaroon.identifier).paymentHash;
      } catch {
        return undefined;
      }
      if (macaroon.caveats.length > MAX_TOKEN_CAVEATS) return undefined;
      const chain = chains.of(clientKey);
      const waitSec = chain.waitSec();
      if (waitSec > 0) throw tooManyCredentials(waitSec);
      if (!chain.holds(macaroon)) {
        chain.failed();
        return undefined;
      }
      const reading = readTerms(macaroon.caveats);
      return reading.kind === 'terms' && reading.validUntilSec > deps.nowSec() ? { paymentHash } : undefined;
    },
  };
}

/** What a client is told whose credentials did not hold too often. */
export function tooManyCredentials(retryAfterSec: number): GatewayError {
  return new GatewayError(
    'throttled',
    `Too many credentials from this address did not hold. This one was not looked at; try again in ${retryAfterSec} s.`,
    { retryAfterSec },
  );
}

/** The chains that are computed for one client. */
interface Chains {
  /** 0, or how long the client has to wait until another one is computed for it, seconds. */
  waitSec(): number;
  holds(macaroon: Macaroon): boolean;
  /** What was computed led to nothing. */
  failed(): void;
}

function createChains({ keys, throttle }: VerifierDeps): { of(clientKey: string): Chains } {
  return {
    of: (clientKey) => ({
      waitSec: () => {
        const verdict = throttle.peek(clientKey, FAILED_CHAINS);
        return verdict.kind === 'ok' ? 0 : verdict.retryAfterSec;
      },
      holds: (macaroon) => keys.holds(macaroon),
      failed: () => void throttle.take(clientKey, FAILED_CHAINS),
    }),
  };
}

function serviceNamedIn(macaroonText: string): string | undefined {
  try {
    return serviceNamedBy(macaroonFromText(macaroonText));
  } catch {
    return undefined;
  }
}

function serviceNamedBy({ caveats }: Macaroon): string | undefined {
  return /^services=([a-z0-9-]+):0$/.exec(caveats[0] ?? '')?.[1];
}

type NoGrant = Exclude<Verification, { kind: 'granted' }>;

function firstGrant(
  credential: CredentialCandidate,
  service: ServiceConfig,
  chains: Chains,
): Grant | NoGrant {
  let reason: CredentialRefusal = 'malformed';
  for (const text of credential.macaroons.slice(0, MAX_MACAROONS)) {
    const claim = readClaim(text, credential.preimage, service);
    if (typeof claim === 'string') {
      reason = claim;
      continue;
    }
    const retryAfterSec = chains.waitSec();
    if (retryAfterSec > 0) return { kind: 'throttled', retryAfterSec };
    const grant = readGrant(claim, credential.preimage, service, chains);
    if (typeof grant !== 'string') return grant;
    chains.failed();
    reason = grant;
  }
  return { kind: 'refused', reason };
}

/** A macaroon as its sender wrote it: it can be for this service, and its payment can have been made. */
interface Claim {
  readonly macaroon: Macaroon;
  readonly paymentHash: string;
}

/** The cheap tests first: all of them together cost a hundredth of a chain. */
function readClaim(
  macaroonText: string,
  givenPreimage: string | undefined,
  service: ServiceConfig,
): Claim | CredentialRefusal {
  let macaroon: Macaroon;
  let paymentHash: string;
  try {
    macaroon = macaroonFromText(macaroonText);
    paymentHash = decodeIdentifier(macaroon.identifier).paymentHash;
  } catch {
    return 'malformed';
  }
  if (givenPreimage !== undefined && !opens(givenPreimage, paymentHash)) return 'bad-preimage';
  if (macaroon.caveats.length > MAX_TOKEN_CAVEATS) return 'bad-terms';
  // A client may hold tokens for several services and send them all: those cost it nothing here.
  const named = serviceNamedBy(macaroon);
  return named === undefined || named === service.name ? { macaroon, paymentHash } : 'other-service';
}

function readGrant(
  { macaroon, paymentHash }: Claim,
  givenPreimage: string | undefined,
  service: ServiceConfig,
  chains: Chains,
): Grant | CredentialRefusal {
  // Caveats are data from a stranger until the signature over them held.
  if (!chains.holds(macaroon)) return 'bad-signature';
  const reading = readTerms(macaroon.caveats);
  if (reading.kind === 'refused') return 'bad-terms';
  if (reading.minted.service !== service.name) return 'other-service';
  // A caveat is a condition: a preimage in one must be right also when the header's is.
  if (reading.preimage !== undefined && !opens(reading.preimage, paymentHash)) return 'bad-preimage';
  const preimage = givenPreimage ?? reading.preimage;
  if (preimage === undefined) return 'bad-preimage';
  return {
    paymentHash,
    preimage: preimage.toLowerCase(),
    minted: reading.minted,
    validUntilSec: reading.validUntilSec,
    capabilities: reading.capabilities,
    price: parseCanonicalPrice(reading.minted.price),
    narrowed: reading.narrowed,
  };
}

/** BOLT 11: the payment hash is the SHA-256 of the preimage. */
function opens(preimageHex: string, paymentHash: string): boolean {
  const digest = sha256(Buffer.from(preimageHex, 'hex'));
  const wanted = Buffer.from(paymentHash, 'hex');
  return digest.length === wanted.length && timingSafeEqual(digest, wanted);
}

function refusalNow(grant: Grant, service: ServiceConfig, deps: VerifierDeps): CredentialRefusal | undefined {
  if (grant.minted.service !== service.name) return 'other-service';
  if (grant.validUntilSec <= deps.nowSec()) return 'expired';
  if (!allows(grant.capabilities, service.capabilities)) return 'narrowed-away';
  if (deps.isRevoked(grant.minted.accountId)) return 'revoked';
  return undefined;
}

/** A service asks for all of its capabilities; `all` grants any. */
function allows(granted: string, wanted: string): boolean {
  if (granted === 'all' || granted === wanted) return true;
  if (wanted === 'all') return false;
  const held = new Set(granted.split(','));
  return wanted.split(',').every((capability) => held.has(capability));
}
