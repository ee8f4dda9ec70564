import { type Msat, maxMsat, minMsat, roundUpMsat, ZERO_MSAT } from '../../node/msat.ts';
import type { Price } from './price.ts';

/** What {@link challengeTerms} needs to know about the node, the operator's settings and the time. */
export interface TermsContext {
  /** Invoices are at least this: the larger of the node's and the operator's minimum, msat. */
  readonly minInvoiceMsat: Msat;
  /** Invoices are a multiple of this, msat. */
  readonly precisionMsat: Msat;
  /** How long bought credit lives, seconds. */
  readonly validForSec: number;
  readonly invoiceExpirySec: number;
  /** Unix seconds. */
  readonly nowSec: number;
}

/** What one challenge sells. */
export interface ChallengeTerms {
  readonly invoiceMsat: Msat;
  /** For the `_credit_msat` caveat; 0 for a pass. */
  readonly creditMsat: Msat;
  /** For the `_valid_until` caveat, Unix seconds. */
  readonly validUntilSec: number;
}

/**
 * What one call takes from an account, msat: 0 when the call is free or covered by a pass.
 * @throws RangeError for metered and fiat prices, which have no fixed price a call.
 */
export function priceOfCall(price: Price): Msat {
  switch (price.kind) {
    case 'free':
    case 'pass':
      return ZERO_MSAT;
    case 'call':
      return price.amountMsat;
    case 'bundle':
      return price.perCallMsat;
    default:
      throw new RangeError(`a ${price.kind} price has no fixed amount a call`);
  }
}

/**
 * What a challenge for a price asks and gives. The invoice is rounded up to what the node can issue; what that adds is credited, except
 * to a pass, which has no balance. The token outlives the last moment at which its invoice can be paid by all that was sold.
 * @throws RangeError for prices that no challenge sells: free, metered and fiat.
 */
export function challengeTerms(price: Price, context: TermsContext): ChallengeTerms {
  const soldMsat = amountSold(price);
  const invoiceMsat = roundUpMsat(maxMsat(soldMsat, context.minInvoiceMsat), context.precisionMsat);
  const isPass = price.kind === 'pass';
  const soldSec = isPass ? price.durationSec : context.validForSec;
  return {
    invoiceMsat,
    creditMsat: isPass ? ZERO_MSAT : invoiceMsat,
    validUntilSec: context.nowSec + context.invoiceExpirySec + soldSec,
  };
}

function amountSold(price: Price): Msat {
  if (price.kind === 'call' || price.kind === 'pass') return price.amountMsat;
  if (price.kind === 'bundle') return price.totalMsat;
  throw new RangeError(`a ${price.kind} price is not sold by a challenge`);
}

/**
 * What one call costs a credential that was bought at `locked`: that price until it expires, or today's when it is lower. A pass
 * stays a pass when calls are sold now; credit stays credit, at the price it was bought at, when passes are sold now (the minimum
 * of the two would make it a pass).
 * @throws RangeError when neither price has a fixed amount a call.
 */
export function lockedCallPrice(current: Price, locked: Price): Msat {
  if (current.kind === 'free' || locked.kind === 'pass') return ZERO_MSAT;
  const locksCalls = locked.kind === 'call' || locked.kind === 'bundle';
  const sellsCalls = current.kind === 'call' || current.kind === 'bundle';
  if (locksCalls && sellsCalls) return minMsat(priceOfCall(current), priceOfCall(locked));
  if (locksCalls) return priceOfCall(locked);
  if (sellsCalls) return priceOfCall(current);
  throw new RangeError(`credit bought at a ${locked.kind} price can't buy calls at a ${current.kind} price`);
}
