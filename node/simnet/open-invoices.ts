import type { Msat } from '../msat.ts';
import { SimnetRefusal, STATUS } from './types.ts';

/** A payment that has arrived at a hold invoice. */
export interface HeldPayment {
  readonly paidMsat: Msat;
  /** Takes the money, in one turn of the event loop. */
  readonly settle: (preimage: string) => void;
  /** Gives it back. */
  readonly cancel: () => void;
}

/** An unpaid invoice: its terms only. Its BOLT 11 string and preimage are derived again when needed, to keep it small. */
export interface OpenInvoice {
  readonly wallet: string;
  readonly addIndex: number;
  readonly amountMsat: Msat;
  readonly memo: string;
  readonly descriptionHash: string | undefined;
  readonly createdSec: number;
  readonly expirySec: number;
  /** Chosen by the receiver; `undefined`: derived. */
  readonly preimage: string | undefined;
  /** Its preimage comes with the settlement. */
  readonly hold: boolean;
  held: HeldPayment | undefined;
  cancelled: boolean;
}

/** How long an expired or cancelled invoice can still be looked up, seconds. */
const KEEP_ENDED_SEC = 600;

/** Invoices looked at for each one added: any number above 1 keeps the ended ones from piling up. */
const VISITS_AN_ADD = 3;

/** The unpaid invoices of all wallets, in memory, by payment hash, in the order in which they were made. */
export interface OpenInvoices {
  /** @throws SimnetRefusal when there are too many. */
  add(paymentHash: string, invoice: OpenInvoice): void;
  get(paymentHash: string): OpenInvoice | undefined;
  remove(paymentHash: string): void;
  /** Those of one wallet, in ascending add index. */
  ofWallet(wallet: string): Iterable<readonly [paymentHash: string, invoice: OpenInvoice]>;
  size(): number;
}

/**
 * Makes the book of unpaid invoices. A flood of challenges must not eat the memory: ended invoices are dropped a while
 * after their end, a few with each new one, and beyond `max` new ones are refused.
 */
export function createOpenInvoices(max: number, nowSec: () => number): OpenInvoices {
  const invoices = new Map<string, OpenInvoice>();
  let cursor = invoices.entries();
  let fullSweepSec = 0;

  const sweep = (visits: number): void => {
    const droppedBeforeSec = nowSec() - KEEP_ENDED_SEC;
    for (let visit = 0; visit < visits; visit += 1) {
      const next = cursor.next();
      if (next.done) {
        cursor = invoices.entries();
        return;
      }
      const [hash, invoice] = next.value;
      if (invoice.held !== undefined) continue;
      if (invoice.createdSec + invoice.expirySec < droppedBeforeSec) invoices.delete(hash);
    }
  };

  const makeRoom = (): void => {
    sweep(VISITS_AN_ADD);
    if (invoices.size < max) return;
    // Looking at all of them is dear: at most once a second.
    if (fullSweepSec !== nowSec()) {
      fullSweepSec = nowSec();
      cursor = invoices.entries();
      sweep(invoices.size);
    }
    if (invoices.size >= max) {
      throw new SimnetRefusal(STATUS.exhausted, `too many unpaid invoices (${max}); wait until some expire`);
    }
  };

  return {
    add(paymentHash, invoice) {
      makeRoom();
      invoices.set(paymentHash, invoice);
    },
    get: (paymentHash) => invoices.get(paymentHash),
    remove: (paymentHash) => void invoices.delete(paymentHash),
    *ofWallet(wallet) {
      for (const entry of invoices) if (entry[1].wallet === wallet) yield entry;
    },
    size: () => invoices.size,
  };
}
