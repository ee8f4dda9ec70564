import type { ServiceConfig } from '../../config/config.ts';
import type { CredentialCandidate } from '../l402/credential.ts';
import type { Price } from '../pricing/price.ts';
import { type RedeemDeps, type RedeemRefusal, redeemPayment } from './redeem-payment.ts';
import { type CredentialVerifier, tooManyCredentials } from './verify-credential.ts';

/** Who holds a credential that holds: for the helper endpoints, which charge nothing. */
export interface Holder {
  readonly accountId: string;
  readonly service: ServiceConfig;
  /** What the credential was bought at. */
  readonly price: Price;
  /** Unix seconds, perhaps narrowed. */
  readonly validUntilSec: number;
  /** The holder appended caveats: good for what it allows, but not for buying more on the account. */
  readonly narrowed: boolean;
  readonly candidate: CredentialCandidate;
}

/** `unknown-service`: it is for a service that is not configured (any more). */
export type HolderRefusal = 'no-credential' | 'unknown-service' | RedeemRefusal;

/** Outcome of {@link verifyHolder}. */
export type HolderVerdict =
  | { readonly kind: 'held'; readonly holder: Holder }
  | { readonly kind: 'refused'; readonly reason: HolderRefusal };

/** What verifying a holder needs. */
export interface HolderDeps extends RedeemDeps {
  readonly verifier: CredentialVerifier;
  readonly serviceNamed: (name: string) => ServiceConfig | undefined;
}

/**
 * The first credential that holds, and is paid for. No path says here which service it is for, so its own word is taken, which
 * the signature then has to cover. A payment that was never presented is presented by this.
 * @param clientKey - throttle key of the client's address
 * @throws GatewayError `throttled`
 * @throws StoreError
 */
export async function verifyHolder(
  deps: HolderDeps,
  candidates: readonly CredentialCandidate[],
  clientKey: string,
): Promise<HolderVerdict> {
  let reason: HolderRefusal = 'no-credential';
  for (const candidate of candidates) {
    const verdict = await verifyCandidate(deps, candidate, clientKey);
    if (verdict.kind === 'held') return verdict;
    reason = verdict.reason;
  }
  return { kind: 'refused', reason };
}

/** Each macaroon is tried for the service that it names itself: all for all of them would cost a stranger's list a chain each. */
async function verifyCandidate(
  deps: HolderDeps,
  all: CredentialCandidate,
  clientKey: string,
): Promise<HolderVerdict> {
  let reason: HolderRefusal = 'malformed';
  for (const candidate of all.macaroons.map((macaroon) => onlyOne(all, macaroon))) {
    const [name] = deps.verifier.servicesNamedIn(candidate);
    if (name === undefined) continue;
    const service = deps.serviceNamed(name);
    if (service === undefined) {
      reason = 'unknown-service';
      continue;
    }
    const verification = deps.verifier.verify(candidate, service, clientKey);
    if (verification.kind === 'throttled') throw tooManyCredentials(verification.retryAfterSec);
    if (verification.kind === 'refused') {
      reason = verification.reason;
      continue;
    }
    const { credential } = verification;
    const refusal = await redeemPayment(deps, credential);
    if (refusal !== undefined) {
      reason = refusal;
      continue;
    }
    const { minted, price, validUntilSec, narrowed } = credential.grant;
    return {
      kind: 'held',
      holder: { accountId: minted.accountId, service, price, validUntilSec, narrowed, candidate },
    };
  }
  return { kind: 'refused', reason };
}

/** The same credential with one of its macaroons. */
function onlyOne({ preimage }: CredentialCandidate, macaroon: string): CredentialCandidate {
  return preimage === undefined
    ? { macaroons: [macaroon], cacheKey: macaroon }
    : { macaroons: [macaroon], preimage, cacheKey: `${macaroon}:${preimage}` };
}
