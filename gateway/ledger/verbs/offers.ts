import { addMsat, type Msat, subtractMsat, ZERO_MSAT } from '../../../node/msat.ts';
import type { Books, OfferRow } from '../books.ts';
import { type Offer, type OfferOutcome, type SettleOutcome, StoreError } from '../store.ts';
import { isOver } from './accounts.ts';
import { credit, isTooLate } from './claims.ts';

/** Rule of {@link Store.offer}. */
export function offer(books: Books, nowSec: number, asked: Offer, maxOutstanding: number): OfferOutcome {
  const known = books.offer(asked.paymentHash);
  if (known !== undefined) {
    checkSame(known, asked);
    return { kind: 'repeated' };
  }
  const row = books.account(asked.accountId);
  if (row === undefined) return { kind: 'unknown-account' };
  if (row.service !== asked.service) {
    throw new StoreError('invalid', 'The account belongs to another service; nothing was changed.');
  }
  if (row.revoked) return { kind: 'revoked' };
  if (isOver(row, nowSec)) return { kind: 'expired' };
  if (isTooLate(books, nowSec, asked.creditExpiresAtSec)) {
    throw new StoreError('invalid', 'creditExpiresAtSec has passed; nothing was changed.');
  }
  if (books.countPayableOffers(asked.accountId, nowSec) >= maxOutstanding) return { kind: 'too-many' };
  books.addOffer(asked);
  return { kind: 'offered' };
}

function checkSame(known: OfferRow, asked: Offer): void {
  const same =
    known.accountId === asked.accountId &&
    known.service === asked.service &&
    known.amountMsat === asked.amountMsat &&
    known.invoiceExpiresAtSec === asked.invoiceExpiresAtSec &&
    known.creditExpiresAtSec === asked.creditExpiresAtSec;
  if (!same) throw new StoreError('invalid', 'paymentHash was offered on other terms; nothing was changed.');
}

/** Rule of {@link Store.settleOffer}. */
export function settleOffer(
  books: Books,
  nowSec: number,
  paymentHash: string,
  paidMsat: Msat,
): SettleOutcome {
  const known = books.offer(paymentHash);
  if (known === undefined) return { kind: 'no-offer' };
  if (paidMsat < known.amountMsat) return { kind: 'underpaid' };
  const { accountId, service, amountMsat, creditExpiresAtSec } = known;
  const terms = { accountId, service, expiresAtSec: creditExpiresAtSec };
  const main = credit(books, nowSec, { ...terms, creditKey: paymentHash, amountMsat });
  const excessMsat = subtractMsat(paidMsat, amountMsat);
  const excess =
    main.kind === 'too-late' || excessMsat === 0
      ? main
      : credit(books, nowSec, { ...terms, creditKey: `${paymentHash}:excess`, amountMsat: excessMsat });
  if (!known.settled) books.settleOffer(paymentHash);
  if (excess.kind === 'too-late') return { kind: 'too-late' };
  const creditedMsat = addMsat(
    main.kind === 'credited' ? amountMsat : ZERO_MSAT,
    excess !== main && excess.kind === 'credited' ? excessMsat : ZERO_MSAT,
  );
  return { kind: creditedMsat > 0 ? 'credited' : 'repeated', account: excess.account, creditedMsat };
}

/** Rule of {@link Store.dropOffer}: a settled offer stays known until it is purged. */
export function dropOffer(books: Books, paymentHash: string): void {
  if (books.offer(paymentHash)?.settled === false) books.removeOffer(paymentHash);
}
