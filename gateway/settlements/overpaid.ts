import type { Ledger } from '../ledger/ledger.ts';
import { repeat } from '../ledger/repeat.ts';
import type { Account } from '../ledger/store.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Payment } from './apply-settlement.ts';
import { creditExcess } from './credit-excess.ts';

/** What an {@link Overpaid} needs. */
export interface OverpaidOptions {
  readonly ledger: Pick<Ledger, 'paymentEntries' | 'credit'>;
  readonly metrics: Pick<Metrics, 'settlement' | 'earned'>;
  readonly log: Log;
  /** Told of each account that was credited here. It does not throw. */
  readonly onCredited: (account: Account) => void;
  /** How often those that wait are looked at, ms. */
  readonly everyMs: number;
}

/** Payments of challenges that are more than their invoices asked for. */
export interface Overpaid {
  /** One was paid; its excess is credited once its credential was presented. */
  add(payment: Payment): void;
  /** Stops looking; what still waits is found by the reconciliation. */
  close(): Promise<void>;
}

/** Each costs its payer real money; those beyond are left to the reconciliation. */
const MAX_WAITING = 1_000;
/** Hashes asked about at once. */
const PAGE = 100;
/** A payment that was not presented by then is left to the reconciliation too: about an hour at one look a second. */
const MAX_LOOKS = 3_600;

/**
 * Whoever overpays a challenge has, when the node tells of it, no account yet: that opens when the credential is presented, perhaps to
 * another gateway. Until then the payment waits here, in memory only; a restart leaves it to the reconciliation, which credits under the
 * same key.
 */
export function createOverpaid(options: OverpaidOptions): Overpaid {
  const { ledger, log } = options;
  const waiting = new Map<string, { readonly payment: Payment; looks: number }>();

  const look = async (hashes: readonly string[]): Promise<void> => {
    const entries = await ledger.paymentEntries(hashes);
    for (const { paymentHash, claim } of entries) {
      const known = waiting.get(paymentHash);
      if (known === undefined) continue;
      known.looks += 1;
      if (claim === undefined && known.looks < MAX_LOOKS) continue;
      if (claim !== undefined) {
        const outcome = await creditExcess(ledger, claim, known.payment.paidMsat);
        if (outcome.kind === 'credited') {
          options.metrics.settlement('excess');
          options.metrics.earned(claim.service, outcome.excessMsat);
          options.onCredited(outcome.account);
        }
      }
      waiting.delete(paymentHash);
    }
  };
  const looking = repeat({
    everyMs: options.everyMs,
    async task() {
      const hashes = [...waiting.keys()];
      for (let start = 0; start < hashes.length; start += PAGE) await look(hashes.slice(start, start + PAGE));
    },
    onError: (error) => log.debug('overpaid challenges could not be looked at', { err: error }),
  });
  return {
    add(payment) {
      if (waiting.size < MAX_WAITING) waiting.set(payment.paymentHash, { payment, looks: 0 });
    },
    close: () => looking.stop(),
  };
}
