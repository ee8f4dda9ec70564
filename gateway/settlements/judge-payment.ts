import type { Msat } from '../../node/msat.ts';
import type { SettledInvoice } from '../../node/node.ts';
import type { PaymentEntry } from '../ledger/store.ts';
import { excessOf } from './credit-excess.ts';

/**
 * What became of a payment that the node received.
 * - `credited`: the ledger has it.
 * - `claimed-late`: its credential brought it before the node's feed did; the top-up behind it is still open.
 * - `unclaimed`: paid, and its credential was never presented.
 * - `missing`: the ledger knows what it was for, and has not credited all of it.
 * - `forgotten`: what it bought ended so long ago that the ledger has purged what it knew.
 */
export type PaymentKind = 'credited' | 'claimed-late' | 'unclaimed' | 'missing' | 'forgotten';

/** A judged payment. */
export interface Verdict {
  readonly kind: PaymentKind;
  /** What the ledger holds of it, msat. */
  readonly bookedMsat: number;
  readonly accountId?: string;
  readonly service?: string;
  /** Why it can't be mended, in words. */
  readonly note?: string;
}

/** A payment as the node reports it. */
export type PaidInvoice = Pick<SettledInvoice, 'paymentHash' | 'paidMsat'>;

/** The moments that decide, Unix seconds. */
export interface Moments {
  readonly nowSec: number;
  readonly watermarkSec: number;
  /** When what was sold with this invoice ends. */
  readonly creditEndsAtSec: number;
}

/** Holds what the node says of a payment against what the books hold. */
export function judgePayment(paid: PaidInvoice, entry: PaymentEntry, at: Moments): Verdict {
  const { claim, offer, creditedMsat } = entry;
  const endsAtSec = offer?.creditExpiresAtSec ?? claim?.expiresAtSec ?? at.creditEndsAtSec;
  const owner = offer ?? claim;
  const bookedMsat = (creditedMsat ?? 0) + (entry.excessMsat ?? 0);
  const base = {
    bookedMsat,
    ...(owner === undefined ? {} : { accountId: owner.accountId, service: owner.service }),
  };
  // Purging takes claims, credits and offers one after the other: of what is due to be purged, nothing can be said.
  if (endsAtSec <= at.watermarkSec) return { ...base, kind: 'forgotten' };
  const late = endsAtSec <= at.nowSec ? 'its credit ended before it was learnt of' : undefined;
  if (offer !== undefined) return { ...base, ...judgeOffer(paid.paidMsat, offer, bookedMsat, late) };
  if (claim !== undefined) {
    const isWhole = creditedMsat !== undefined && (entry.excessMsat ?? 0) >= excessOf(claim, paid.paidMsat);
    if (claim.creditMsat === 0 || isWhole) return { ...base, kind: 'credited' };
    return { ...base, kind: 'missing', ...(late === undefined ? {} : { note: late }) };
  }
  return { ...base, kind: creditedMsat === undefined ? 'unclaimed' : 'credited' };
}

function judgeOffer(
  paidMsat: Msat,
  offer: NonNullable<PaymentEntry['offer']>,
  bookedMsat: number,
  late: string | undefined,
): Pick<Verdict, 'kind' | 'note'> {
  if (paidMsat < offer.amountMsat) return { kind: 'missing', note: 'less was paid than its invoice asked' };
  if (bookedMsat >= paidMsat) return { kind: offer.settled ? 'credited' : 'claimed-late' };
  return { kind: 'missing', ...(late === undefined ? {} : { note: late }) };
}
