import type { Request } from 'express';
import type { ServiceConfig } from '../../config/config.ts';
import { GatewayError } from '../errors.ts';
import type { Price } from '../pricing/price.ts';

/** Who holds a paid credential, as the endpoints need to know it. */
export interface AccountHolder {
  readonly accountId: string;
  readonly service: ServiceConfig;
  /** What the credential was bought at. */
  readonly price: Price;
  /** Unix seconds: when the credential ends. */
  readonly validUntilSec: number;
}

/** Where a credential may come from: `header`, or else the session cookie too (GET and HEAD of this very origin). */
export type CredentialSource = 'header' | 'header-or-session';

/** Outcome of {@link FindHolder}. */
export type HolderFinding<Holder extends AccountHolder> =
  | { readonly kind: 'held'; readonly holder: Holder }
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * Verifies the credentials of a request, and presents the payment of the first one that holds.
 * @throws StoreError
 */
export type FindHolder<Holder extends AccountHolder> = (
  request: Request,
  source: CredentialSource,
) => Promise<HolderFinding<Holder>>;

const ADVICE: Readonly<Record<string, string>> = {
  'no-credential': 'Send the credential that you paid for: Authorization: L402 <macaroon>:<preimage>.',
  malformed: 'The credential can not be read. It has the form: L402 <macaroon>:<preimage>.',
  'bad-preimage':
    'The preimage does not belong to this macaroon: this endpoint is for credentials that are paid for.',
  'unknown-service': 'The credential is for a service that is not sold here.',
  expired: 'The credential has expired.',
  revoked: 'The credential was revoked by the operator.',
  'already-used': 'This payment was already used to buy something else.',
};

/**
 * The holder, or the refusal as an error: always 403, because clients take 401 and 402 for a wish to be paid.
 * @throws GatewayError `credential-refused`
 * @throws StoreError
 */
export async function requireHolder<Holder extends AccountHolder>(
  findHolder: FindHolder<Holder>,
  request: Request,
  source: CredentialSource,
): Promise<Holder> {
  const finding = await findHolder(request, source);
  if (finding.kind === 'held') return finding.holder;
  const advice = ADVICE[finding.reason] ?? 'The credential does not hold.';
  throw new GatewayError('credential-refused', `${advice} (${finding.reason})`);
}
