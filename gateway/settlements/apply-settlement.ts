import type { Msat } from '../../node/msat.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { type Account, type SettleOutcome, StoreError } from '../ledger/store.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';

/** A payment that the node says has come in. */
export interface Payment {
  /** 64 lower-case hex digits. */
  readonly paymentHash: string;
  readonly paidMsat: Msat;
}

/** A payment that an offer was waiting for. */
export interface OfferPayment {
  readonly paymentHash: string;
  readonly accountId: string;
  readonly outcome: 'credited' | 'repeated';
}

/** What applying a payment needs. */
export interface ApplyDeps {
  readonly ledger: Pick<Ledger, 'settleOffer'>;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'settlement' | 'earned'>;
  /** Told of every payment, before the ledger is asked, and again whenever it is reported again. It does not throw. */
  readonly onSettled: (paymentHash: string) => void;
  /**
   * Told of an account whose offer was paid, also when it was credited before: by another gateway on the same store, perhaps,
   * while a stream of it waits for credit here. It does not throw.
   */
  readonly onCredited: (account: Account) => void;
  /**
   * Told of each payment that an offer was waiting for, and whether this call credited it or another had. It does not throw.
   */
  readonly onOfferSettled: (payment: OfferPayment) => void;
}

/**
 * Credits a payment to the account that it was offered to; a payment without an offer changes nothing here. Safe to repeat.
 * What no repetition can mend (a credit that the books refuse) is said in the log and counts as done, or it would stand in
 * the way of all later payments; its offer stays open, and comes up at each look-up.
 * @returns what became of it; `failed`: refused for good
 * @throws StoreError when the store did not answer: the outcome is unknown, apply it again
 */
export async function applySettlement(
  deps: ApplyDeps,
  { paymentHash, paidMsat }: Payment,
): Promise<SettleOutcome['kind'] | 'failed'> {
  deps.onSettled(paymentHash);
  let outcome: SettleOutcome;
  try {
    outcome = await deps.ledger.settleOffer(paymentHash, paidMsat);
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'invalid') throw error;
    deps.metrics.settlement('failed');
    deps.log.error('a payment can not be credited: the ledger refuses it', {
      paymentHash,
      paidMsat,
      err: error,
    });
    return 'failed';
  }
  deps.metrics.settlement(outcome.kind);
  tell(deps, { paymentHash, paidMsat }, outcome);
  return outcome.kind;
}

function tell(deps: ApplyDeps, { paymentHash, paidMsat }: Payment, outcome: SettleOutcome): void {
  switch (outcome.kind) {
    case 'credited':
    case 'repeated':
      deps.onOfferSettled({ paymentHash, accountId: outcome.account.accountId, outcome: outcome.kind });
      deps.metrics.earned(outcome.account.service, outcome.creditedMsat);
      deps.onCredited(outcome.account);
      return;
    case 'no-offer':
      return;
    case 'underpaid':
      deps.log.error('a payment is less than its invoice asked for, and is not credited', {
        paymentHash,
        paidMsat,
      });
      return;
    case 'too-late':
      deps.log.error('a payment was learnt of after its credit had ended, and is not credited', {
        paymentHash,
        paidMsat,
      });
      return;
  }
}
