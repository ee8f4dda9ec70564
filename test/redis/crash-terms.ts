import type { Claim, Offer } from '../../gateway/ledger/store.ts';
import { msat } from '../../node/msat.ts';
import { ALICE, hash, SERVICE } from '../contract/store/subject.ts';

/** Far enough for every run, and the same in each process. */
const END_SEC = 4_000_000_000;

/** The terms of a payment, the same in the child that is killed and in the gateway that comes after it. */
export function claimNumber(n: number): Claim {
  return {
    paymentHash: hash(n),
    accountId: ALICE,
    service: SERVICE,
    creditMsat: msat(1_000),
    expiresAtSec: END_SEC,
  };
}

/** A top-up of that account. */
export function offerNumber(n: number): Offer {
  const { paymentHash, accountId, service } = claimNumber(n);
  const ends = { invoiceExpiresAtSec: END_SEC, creditExpiresAtSec: END_SEC };
  return { paymentHash, accountId, service, amountMsat: msat(1_000), ...ends };
}
