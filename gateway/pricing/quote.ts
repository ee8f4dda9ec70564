import { type Msat, maxMsat, minMsat, roundUpMsat, ZERO_MSAT } from '../../node/msat.ts';
import type { MeteredPrice, Price } from './price.ts';

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
  /** What a metered price sells at once; needed for those only, msat. */
  readonly depositMsat?: Msat;
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
 * to a pass, which has no balance. A metered price sells its deposit. The token outlives the last moment at which its invoice can be
 * paid by all that was sold.
 * @throws RangeError for prices that no challenge sells (free and fiat), and for a metered one without a deposit.
 */
export function challengeTerms(price: Price, context: TermsContext): ChallengeTerms {
  const soldMsat = amountSold(price, context);
  const invoiceMsat = roundUpMsat(maxMsat(soldMsat, context.minInvoiceMsat), context.precisionMsat);
  const isPass = price.kind === 'pass';
  const soldSec = isPass ? price.durationSec : context.validForSec;
  return {
    invoiceMsat,
    creditMsat: isPass ? ZERO_MSAT : invoiceMsat,
    validUntilSec: context.nowSec + context.invoiceExpirySec + soldSec,
  };
}

function amountSold(price: Price, { depositMsat }: TermsContext): Msat {
  if (price.kind === 'call' || price.kind === 'pass') return price.amountMsat;
  if (price.kind === 'bundle') return price.totalMsat;
  if (price.kind === 'metered') {
    if (depositMsat === undefined || depositMsat === 0)
      throw new RangeError('a metered price is sold by a deposit, and there is none');
    return depositMsat;
  }
  throw new RangeError(`a ${price.kind} price is not sold by a challenge`);
}

/**
 * What one call costs a credential that was bought at `locked`: that price until it expires, or today's when it is lower. A pass
 * stays a pass when calls are sold now; credit stays credit, at the price it was bought at, when passes are sold now (the minimum
 * of the two would make it a pass). Ask {@link lockedMeteredPrice} first: credit that is counted has no price a call.
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

/**
 * The price at which a credential that was bought at `locked` is counted while the service sells at `current`; `undefined`: it is not
 * counted, {@link lockedCallPrice} says what a call costs. Of two rates for the same unit the lower one holds, compared exactly. A rate
 * says nothing about another unit, nor about a call: there today's price holds. A pass can't be had for credit at all.
 */
export function lockedMeteredPrice(current: Price, locked: Price): MeteredPrice | undefined {
  if (locked.kind !== 'metered') return undefined;
  if (current.kind !== 'metered') return undefined;
  return isSameUnit(current, locked) && !isLowerRate(current, locked) ? locked : current;
}

function isSameUnit(a: MeteredPrice, b: MeteredPrice): boolean {
  return a.unit === b.unit && (a.unit !== 'unit' || a.unitName === b.unitName);
}

function isLowerRate(a: MeteredPrice, b: MeteredPrice): boolean {
  return BigInt(a.amountMsat) * BigInt(b.per) < BigInt(b.amountMsat) * BigInt(a.per);
}
