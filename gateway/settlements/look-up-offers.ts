import { type InvoiceState, type LightningNode, NodeError } from '../../node/node.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Offer } from '../ledger/store.ts';
import type { Payment } from './apply-settlement.ts';

/** What looking up offers needs. */
export interface LookUpDeps {
  readonly node: Pick<LightningNode, 'lookupInvoice'>;
  readonly ledger: Pick<Ledger, 'openOffers' | 'dropOffer'>;
  /** Credits a payment. @throws StoreError */
  readonly apply: (payment: Payment) => Promise<unknown>;
  /** Look-ups under way at once, and how long one may take, ms. */
  readonly concurrency: number;
  readonly timeoutMs: number;
}

/** What one look-up of all open offers found. */
export interface LookUpReport {
  readonly settled: number;
  /** Expired or cancelled, as the node says. */
  readonly dropped: number;
  readonly open: number;
  /** The node has no such invoice: it may have lost it, and may find it again, so the offer stays. */
  readonly unknown: number;
  /** The node did not answer for it. */
  readonly failed: number;
}

type Finding = keyof LookUpReport;

const PAGE = 200;
/** So many failures without one answer between them, and the node is down: the rest waits for the next time. */
const MAX_FAILURES_IN_A_ROW = 8;

/**
 * Asks the node about every open offer: credits what was paid, drops what can't be paid any more. This, and not the feed's
 * cursor, is what makes sure that a paid top-up is credited in the end.
 * @throws NodeError when the node is down
 * @throws StoreError when the store is
 */
export async function lookUpOffers(deps: LookUpDeps, signal: AbortSignal): Promise<LookUpReport> {
  const report = { settled: 0, dropped: 0, open: 0, unknown: 0, failed: 0 };
  let failuresInARow = 0;

  const lookUp = async (offer: Offer): Promise<void> => {
    let state: InvoiceState | undefined;
    try {
      const timeout = AbortSignal.any([signal, AbortSignal.timeout(deps.timeoutMs)]);
      state = await deps.node.lookupInvoice(offer.paymentHash, { signal: timeout });
    } catch (error) {
      report.failed += 1;
      // What makes no sense is an answer: offers whose payers made it so must not keep the others from being looked at.
      if (error instanceof NodeError && error.code === 'protocol') return;
      failuresInARow += 1;
      // One invoice that the node chokes on must not keep the others from being looked at.
      if (failuresInARow >= MAX_FAILURES_IN_A_ROW) throw error;
      return;
    }
    failuresInARow = 0;
    report[await act(deps, offer, state)] += 1;
  };

  let after = '';
  while (!signal.aborted) {
    const page = await deps.ledger.openOffers(after, PAGE);
    await forEachOf(page, deps.concurrency, signal, lookUp);
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) break;
    after = last.paymentHash;
  }
  return report;
}

async function act(deps: LookUpDeps, offer: Offer, state: InvoiceState | undefined): Promise<Finding> {
  switch (state?.kind) {
    case 'settled':
      await deps.apply({ paymentHash: offer.paymentHash, paidMsat: state.paidMsat });
      return 'settled';
    case 'expired':
    case 'cancelled':
      await deps.ledger.dropOffer(offer.paymentHash);
      return 'dropped';
    case 'open':
      return 'open';
    case undefined:
      return 'unknown';
  }
}

/** Runs a task for each item, so many at a time. The first failure ends it, once those under way have ended. */
async function forEachOf<T>(
  items: readonly T[],
  concurrency: number,
  signal: AbortSignal,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]();
  let failed = false;
  const work = async (): Promise<void> => {
    for (const item of rest) {
      if (failed || signal.aborted) return;
      try {
        await task(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: concurrency }, work));
  const failure = results.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}
