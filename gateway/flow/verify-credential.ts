import { hash, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { ServiceConfig } from '../../config/config.ts';
import { readTerms, type Terms } from '../l402/caveat.ts';
import type { CredentialCandidate } from '../l402/credential.ts';
import { decodeIdentifier } from '../l402/identifier.ts';
import { macaroonFromText } from '../l402/macaroon.ts';
import { parseCanonicalPrice } from '../pricing/format-price.ts';
import type { Price } from '../pricing/price.ts';
import type { Keyring } from './keys.ts';

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
  | { readonly kind: 'refused'; readonly reason: CredentialRefusal };

/** Verifies credentials; the ones whose signature and preimage held are remembered. */
export interface CredentialVerifier {
  verify(credential: CredentialCandidate, service: ServiceConfig): Verification;
  /** The services that its macaroons name, as their holder says: nothing is verified. Each once, in order. */
  servicesNamedIn(credential: CredentialCandidate): readonly string[];
  /** Reads a macaroon that is not paid yet: its payment hash when the signature holds, else undefined. */
  readMacaroon(macaroonText: string): { readonly paymentHash: string } | undefined;
  /** What is remembered now. */
  cacheSize(): { readonly entries: number; readonly bytes: number };
}

/** What a {@link CredentialVerifier} needs. */
export interface VerifierDeps {
  readonly keys: Keyring;
  readonly isRevoked: (accountId: string) => boolean;
  readonly nowSec: () => number;
  readonly maxCacheBytes: number;
  readonly onLookup?: (result: 'hit' | 'miss') => void;
}

/** Macaroons of one credential that are looked at (the L402 multi-token form). */
const MAX_MACAROONS = 4;
/** Rough size of a cached grant in memory, bytes. */
const GRANT_BYTES = 1_200;

/**
 * Verifies the macaroon's chain, its terms and the preimage, in that order, and remembers what held by a hash of the exact
 * text. Expiry, revocation and service are looked at again on every use. A credential that does not hold is not remembered:
 * nobody can fill the cache without having paid.
 */
export function createCredentialVerifier(deps: VerifierDeps): CredentialVerifier {
  const cache = new LRUCache<string, VerifiedCredential>({
    maxSize: Math.max(deps.maxCacheBytes, GRANT_BYTES),
    sizeCalculation: () => GRANT_BYTES,
  });
  const lookUp = (
    credential: CredentialCandidate,
    service: ServiceConfig,
  ): VerifiedCredential | CredentialRefusal => {
    const key = hash('sha256', `${service.name}\n${credential.cacheKey}`, 'base64');
    const known = cache.get(key);
    if (known !== undefined) {
      deps.onLookup?.('hit');
      return known;
    }
    deps.onLookup?.('miss');
    const grant = firstGrant(credential, service, deps.keys);
    if (typeof grant === 'string') return grant;
    const verified = { grant, redeemed: false };
    cache.set(key, verified);
    return verified;
  };

  return {
    cacheSize: () => ({ entries: cache.size, bytes: cache.calculatedSize }),
    verify(credential, service) {
      const found = lookUp(credential, service);
      if (typeof found === 'string') return { kind: 'refused', reason: found };
      const reason = refusalNow(found.grant, service, deps);
      return reason === undefined ? { kind: 'granted', credential: found } : { kind: 'refused', reason };
    },
    servicesNamedIn: ({ macaroons }) => [
      ...new Set(macaroons.slice(0, MAX_MACAROONS).flatMap((text) => serviceNamedIn(text) ?? [])),
    ],
    readMacaroon(macaroonText) {
      try {
        const macaroon = macaroonFromText(macaroonText);
        if (!deps.keys.holds(macaroon)) return undefined;
        return { paymentHash: decodeIdentifier(macaroon.identifier).paymentHash };
      } catch {
        return undefined;
      }
    },
  };
}

function serviceNamedIn(macaroonText: string): string | undefined {
  try {
    return /^services=([a-z0-9-]+):0$/.exec(macaroonFromText(macaroonText).caveats[0] ?? '')?.[1];
  } catch {
    return undefined;
  }
}

function firstGrant(
  credential: CredentialCandidate,
  service: ServiceConfig,
  keys: Keyring,
): Grant | CredentialRefusal {
  let reason: CredentialRefusal = 'malformed';
  for (const text of credential.macaroons.slice(0, MAX_MACAROONS)) {
    const grant = readGrant(text, credential.preimage, service, keys);
    if (typeof grant !== 'string') return grant;
    reason = grant;
  }
  return reason;
}

function readGrant(
  macaroonText: string,
  givenPreimage: string | undefined,
  service: ServiceConfig,
  keys: Keyring,
): Grant | CredentialRefusal {
  let macaroon: ReturnType<typeof macaroonFromText>;
  let paymentHash: string;
  try {
    macaroon = macaroonFromText(macaroonText);
    paymentHash = decodeIdentifier(macaroon.identifier).paymentHash;
  } catch {
    return 'malformed';
  }
  // The cheap test first: a hash costs a hundredth of a chain.
  if (givenPreimage !== undefined && !opens(givenPreimage, paymentHash)) return 'bad-preimage';
  // Caveats are data from a stranger until the signature over them held.
  if (!keys.holds(macaroon)) return 'bad-signature';
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
  const digest = hash('sha256', Buffer.from(preimageHex, 'hex'), 'buffer');
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
