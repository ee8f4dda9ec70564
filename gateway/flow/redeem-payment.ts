import type { Ledger } from '../ledger/ledger.ts';
import type { CredentialRefusal, VerifiedCredential } from './verify-credential.ts';

/** What redeeming needs. */
export interface RedeemDeps {
  readonly ledger: Ledger;
  /** Called once for each payment that was presented for the first time, on this gateway. */
  readonly onRedeemed: (credential: VerifiedCredential) => void;
}

/** `already-used`: the payment was claimed for something else: another protocol's offer on the same invoice. */
export type RedeemRefusal = CredentialRefusal | 'already-used';

/**
 * Presents a payment to the ledger: an account opens when its first paid credential comes, not when a challenge goes out.
 * Passes claim too, or one payment could buy a pass and something else. Idempotent; done once per cached credential.
 * @returns undefined when it holds, else why not
 * @throws StoreError
 */
export async function redeemPayment(
  deps: RedeemDeps,
  credential: VerifiedCredential,
): Promise<RedeemRefusal | undefined> {
  if (credential.redeemed) return undefined;
  const { grant } = credential;
  const outcome = await deps.ledger.redeem({
    paymentHash: grant.paymentHash,
    accountId: grant.minted.accountId,
    service: grant.minted.service,
    creditMsat: grant.minted.creditMsat,
    expiresAtSec: grant.minted.validUntilSec,
  });
  switch (outcome.kind) {
    case 'claimed':
      credential.redeemed = true;
      deps.onRedeemed(credential);
      return undefined;
    case 'repeated':
      credential.redeemed = true;
      return undefined;
    case 'taken':
      return 'already-used';
    case 'too-late':
      return 'expired';
    case 'revoked':
      return 'revoked';
  }
}
