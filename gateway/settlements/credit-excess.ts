import { type Msat, subtractMsat, ZERO_MSAT } from '../../node/msat.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Account, Claim } from '../ledger/store.ts';

/**
 * What was paid for a claim above what it credits. A pass has no balance that it could go to.
 * @param claim - of a plain challenge: what it credits is the amount of its invoice
 */
export function excessOf(claim: Claim, paidMsat: Msat): Msat {
  if (claim.creditMsat === 0 || paidMsat <= claim.creditMsat) return ZERO_MSAT;
  return subtractMsat(paidMsat, claim.creditMsat);
}

/** What came of crediting an excess. `none`: there is none. */
export type ExcessOutcome =
  | { readonly kind: 'credited'; readonly account: Account; readonly excessMsat: Msat }
  | { readonly kind: 'repeated' | 'too-late' | 'none' };

/**
 * Credits what was paid for a claim above its invoice, under `<hash>:excess`, with the claim's own expiry as the store wants it. Safe to
 * repeat, by whoever learns of it.
 * @throws StoreError
 */
export async function creditExcess(
  ledger: Pick<Ledger, 'credit'>,
  claim: Claim,
  paidMsat: Msat,
): Promise<ExcessOutcome> {
  const excessMsat = excessOf(claim, paidMsat);
  if (excessMsat === 0) return { kind: 'none' };
  const { paymentHash, accountId, service, expiresAtSec } = claim;
  const outcome = await ledger.credit({
    creditKey: `${paymentHash}:excess`,
    accountId,
    service,
    amountMsat: excessMsat,
    expiresAtSec,
  });
  if (outcome.kind !== 'credited') return { kind: outcome.kind };
  return { kind: 'credited', account: outcome.account, excessMsat };
}
