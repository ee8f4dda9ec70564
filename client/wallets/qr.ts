import { type Msat, ZERO_MSAT } from '../../node/msat.ts';
import { NodeError, type PaymentState } from '../../node/node.ts';
import { type Clock, systemClock } from '../clock.ts';
import { decodeInvoice } from '../invoice.ts';
import type { PaymentContext, Wallet } from '../wallet.ts';

/** How a person is shown an invoice, and how the gateway is asked about it. */
export interface QrWalletOptions {
  /** Shows the invoice to whoever will pay it. */
  readonly show: (invoice: string, amountMsat: Msat) => void | Promise<void>;
  readonly fetch?: typeof globalThis.fetch;
  readonly clock?: Clock;
}

/** Below the 60 s after which common proxies cut a silent answer, and the gateway's own bound. */
const WAIT_SEC = 50;
const ANSWER_GRACE_MS = 10_000;
const RETRY_MS = 2_000;
const MAX_ANSWER_CHARACTERS = 65_536;

/**
 * A wallet that is a person with a phone: it shows the invoice and waits until the gateway says that it is settled
 * (`GET /.l402/invoices/{paymentHash}?wait=…` with the macaroon in `L402-Macaroon`). Works with gateways that have this
 * endpoint. Fees are the person's own and are not known here.
 * @throws NodeError
 */
export function createQrWallet(options: QrWalletOptions): Wallet {
  const clock = options.clock ?? systemClock;
  const ask = (paymentHash: string, context: PaymentContext, waitSec: number, signal?: AbortSignal) =>
    askGateway(options.fetch ?? globalThis.fetch, paymentHash, context, waitSec, signal);
  return {
    payInvoice: async (bolt11, { timeoutMs, signal, context }) => {
      const { paymentHash, amountMsat } = decodeInvoice(bolt11);
      // Asked before it is shown: a person who paid an invoice that nobody reports on would have paid for nothing.
      await checkReported(ask(paymentHash, context, 0, signal));
      await options.show(bolt11, amountMsat ?? ZERO_MSAT);
      const endMs = clock.nowMs() + timeoutMs;
      for (;;) {
        const leftMs = endMs - clock.nowMs();
        if (leftMs <= 0 || signal?.aborted === true) return { kind: 'in-flight' };
        const waitSec = Math.max(1, Math.min(WAIT_SEC, Math.ceil(leftMs / 1000)));
        const state = await ask(paymentHash, context, waitSec, signal).catch(ignoreOutage);
        if (state !== undefined && state.kind !== 'in-flight') return state;
        if (state === undefined) await clock.sleep(RETRY_MS, signal);
      }
    },
    lookupPayment: (paymentHash, context) => ask(paymentHash, context, 0),
  };
}

async function checkReported(answer: Promise<PaymentState | undefined>): Promise<void> {
  const state = await answer.catch(ignoreOutage);
  if (state !== undefined) return;
  throw new NodeError(
    'rejected',
    'The server does not tell whether its invoice is paid, so it was not shown. Paying by QR code needs a Sluice gateway.',
  );
}

/** The person pays whatever the network of the gateway does: an outage is waited out, a refusal is not. */
function ignoreOutage(error: unknown): undefined {
  if (error instanceof NodeError && (error.code === 'unreachable' || error.code === 'timeout'))
    return undefined;
  throw error;
}

async function askGateway(
  fetch: typeof globalThis.fetch,
  paymentHash: string,
  { origin, macaroon }: PaymentContext,
  waitSec: number,
  signal: AbortSignal | undefined,
): Promise<PaymentState | undefined> {
  const timeout = AbortSignal.timeout(waitSec * 1000 + ANSWER_GRACE_MS);
  let status: number;
  let text: string;
  try {
    const response = await fetch(`${origin}/.l402/invoices/${paymentHash}?wait=${waitSec}`, {
      headers: { 'l402-macaroon': macaroon, accept: 'application/json' },
      redirect: 'error',
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
    status = response.status;
    text = await response.text();
  } catch (cause) {
    throw new NodeError('unreachable', 'The gateway could not be asked whether the invoice is settled.', {
      cause,
    });
  }
  if (status >= 500 || status === 429) throw new NodeError('unreachable', `The gateway answered ${status}.`);
  // It never knew the invoice, has forgotten it, or has lost the keys that signed the macaroon.
  if (status === 403 || status === 404) return undefined;
  if (status !== 200 || text.length > MAX_ANSWER_CHARACTERS) {
    throw new NodeError('protocol', `The server answered ${status} when asked about its invoice.`);
  }
  return readState(text);
}

function readState(text: string): PaymentState {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (cause) {
    throw new NodeError('protocol', 'The gateway did not answer with JSON.', { cause });
  }
  const { state, preimage } = toAnswer(answer);
  if (state === 'open') return { kind: 'in-flight' };
  if (state === 'expired') return { kind: 'failed', reason: 'the invoice expired unpaid' };
  if (state === 'cancelled') return { kind: 'failed', reason: 'the invoice was cancelled' };
  if (state === 'settled' && typeof preimage === 'string' && /^[0-9a-fA-F]{64}$/.test(preimage)) {
    // What the person paid is not told: the amount of the invoice counts.
    return { kind: 'succeeded', preimage: preimage.toLowerCase(), amountMsat: ZERO_MSAT, feeMsat: ZERO_MSAT };
  }
  throw new NodeError('protocol', 'The gateway reports an invoice in a state that is not known here.');
}

function toAnswer(value: unknown): { readonly state?: unknown; readonly preimage?: unknown } {
  return typeof value === 'object' && value !== null ? value : {};
}
