import type { Msat } from '../node/msat.ts';
import { NodeError, type NodeErrorCode, type PaymentState } from '../node/node.ts';
import type { Clock } from './clock.ts';
import { PaymentError } from './errors.ts';
import type { PaymentContext, Wallet } from './wallet.ts';
import { within } from './within.ts';

/** One payment to make, or to find out about. */
export interface PaymentTask {
  readonly wallet: Wallet;
  readonly clock: Clock;
  readonly invoice: string;
  readonly paymentHash: string;
  readonly context: PaymentContext;
  /** How long the wallet may take to pay, ms. */
  readonly payTimeoutMs: number;
  /** How long to go on asking what became of it, ms. */
  readonly settleTimeoutMs: number;
  /** Called once, when the payment is not final at the first answer. */
  readonly onWaiting: () => void;
}

/** How a payment ended; `in-flight` when nobody could say in time. */
export type PaymentEnd = PaymentState;

/** A wallet that overruns its own time limit by more than this is asked in another way. */
const GRACE_MS = 2_000;
const FIRST_POLL_MS = 250;
const MAX_POLL_MS = 5_000;

/** After these the wallet has certainly not begun to pay. */
const NOT_BEGUN: ReadonlySet<NodeErrorCode> = new Set([
  'not-ready',
  'unauthorized',
  'rejected',
  'wrong-network',
  'busy',
]);

/**
 * Pays once, and then only asks. A time-out, a lost connection or an answer that makes no sense leaves the payment
 * unknown: it may still succeed, so it is looked up until it is final, and never made again.
 * @throws {@link PaymentError} `wallet-failed` when the wallet refused to begin.
 */
export async function payToEnd(task: PaymentTask, maxFeeMsat: Msat): Promise<PaymentEnd> {
  const first = await payOnce(task, maxFeeMsat);
  if (first.kind !== 'in-flight') return first;
  return waitForEnd(task);
}

/** Asks the wallet what became of a payment until it is final or the time is over. */
export async function waitForEnd(task: PaymentTask): Promise<PaymentEnd> {
  const { wallet, clock, paymentHash, context } = task;
  task.onWaiting();
  const endMs = clock.nowMs() + task.settleTimeoutMs;
  for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_POLL_MS)) {
    const lookup = wallet.lookupPayment(paymentHash, context).catch(() => undefined);
    const state = await within(lookup, endMs - clock.nowMs() + GRACE_MS, clock);
    // A hash that the wallet does not know yet may be on its way to it: that is no reason to pay again.
    if (state !== undefined && state.kind !== 'in-flight') return state;
    if (clock.nowMs() + pauseMs > endMs) return { kind: 'in-flight' };
    await clock.sleep(pauseMs);
  }
}

async function payOnce(task: PaymentTask, maxFeeMsat: Msat): Promise<PaymentEnd> {
  const { wallet, clock, invoice, payTimeoutMs, context } = task;
  try {
    const paying = wallet.payInvoice(invoice, { maxFeeMsat, timeoutMs: payTimeoutMs, context });
    return (await within(paying, payTimeoutMs + GRACE_MS, clock)) ?? { kind: 'in-flight' };
  } catch (cause) {
    if (cause instanceof NodeError && NOT_BEGUN.has(cause.code)) {
      throw new PaymentError('wallet-failed', `The wallet did not pay: ${cause.message}`, {
        cause,
        paymentHash: task.paymentHash,
      });
    }
    return { kind: 'in-flight' };
  }
}
