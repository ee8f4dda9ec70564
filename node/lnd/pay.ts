import { decodeInvoice } from '../bolt11.ts';
import type { NodeHttp, NodeLines } from '../http.ts';
import type { Msat } from '../msat.ts';
import { NodeError, type PaymentRecord, type PaymentState, type PayOptions } from '../node.ts';
import { paymentHashOf } from '../sha256.ts';
import {
  balanceAnswer,
  GRPC,
  type LndStatus,
  type PaymentAnswer,
  paymentLine,
  paymentsAnswer,
  printable,
  readAnswer,
  readError,
  toNodeError,
} from './answers.ts';
import { describeFailure } from './payment-failure.ts';
import { ask, hexOnly } from './receive.ts';

/** Payments of one history at most: LND writes about 2 KB for each. */
const MAX_HISTORY = 1_000;
const MAX_HISTORY_BYTES = 16 * 1024 * 1024;

/** LND's `timeout_seconds` is 32 bits; nobody waits for a day. */
const MAX_TIMEOUT_SEC = 86_400;

/** Lines of an error answer that are read. */
const MAX_ERROR_LINES = 64;

/**
 * `POST /v2/router/send`. LND pays a hash at most once; when it refuses because it has paid or is paying it, the outcome
 * of that payment is the answer. When the time is over, or the connection breaks with the outcome unknown, nothing is
 * paid again: the payment is looked up, or reported as in flight.
 * @throws NodeError
 */
export async function payInvoice(
  http: NodeHttp,
  bolt11: string,
  options: PayOptions,
  lookupTimeoutMs: number,
): Promise<PaymentState> {
  const { paymentHash } = decodeInvoice(bolt11);
  if (options.signal?.aborted) return { kind: 'failed', reason: 'it was cancelled before it began' };
  const body = {
    payment_request: bolt11,
    fee_limit_msat: String(options.maxFeeMsat),
    timeout_seconds: Math.min(MAX_TIMEOUT_SEC, Math.max(1, Math.ceil(options.timeoutMs / 1000))),
    no_inflight_updates: true,
  };
  const limit = startLimit(options.timeoutMs, options.signal);
  try {
    const request = { method: 'POST', path: '/v2/router/send', body, signal: limit.signal } as const;
    const answer = await http.stream(request);
    const outcome = await readOutcome(answer, paymentHash, (state) => state !== 'in-flight');
    if (outcome.kind === 'state') return outcome.state;
    if (outcome.kind === 'ended')
      throw new NodeError('protocol', 'LND ended the payment without an outcome.');
    return await afterRefusal(http, outcome.error, answer.status, paymentHash, lookupTimeoutMs);
  } catch (error) {
    if (limit.signal.aborted) return { kind: 'in-flight' };
    if (!isUnknownOutcome(error)) throw error;
    const known = await lookupPayment(http, paymentHash, lookupTimeoutMs).catch(() => undefined);
    if (known === undefined) throw error;
    return known;
  } finally {
    limit.stop();
  }
}

/** `GET /v2/router/track/{hash}`: its first line is the state now. `undefined` when this node never tried it. @throws NodeError */
export async function lookupPayment(
  http: NodeHttp,
  paymentHash: string,
  timeoutMs: number,
): Promise<PaymentState | undefined> {
  // grpc-gateway takes URL-safe base64 with its padding only.
  const hash = Buffer.from(hexOnly(paymentHash), 'hex').toString('base64url');
  const path = `/v2/router/track/${hash}=?no_inflight_updates=false`;
  const limit = startLimit(timeoutMs, undefined);
  try {
    const answer = await http.stream({ method: 'GET', path, signal: limit.signal });
    const outcome = await readOutcome(answer, paymentHash, () => true);
    if (outcome.kind === 'state') return outcome.state;
    if (outcome.kind === 'ended') throw new NodeError('protocol', 'LND ended the tracking without a state.');
    const { error } = outcome;
    if (error?.code === GRPC.notFound && error.message !== 'Not Found') return undefined;
    throw toNodeError(error, answer.status, 'a payment');
  } catch (error) {
    if (!limit.signal.aborted) throw error;
    throw new NodeError('timeout', 'LND did not tell the state of a payment in time.', { cause: error });
  } finally {
    limit.stop();
  }
}

/** `GET /v1/balance/channels`: the local balance of all channels, msat. @throws NodeError */
export async function balanceMsat(http: NodeHttp): Promise<Msat> {
  const body = await ask(http, { method: 'GET', path: '/v1/balance/channels' }, 'the balance');
  return readAnswer(balanceAnswer, body, 'the balance').local_balance.msat;
}

/** `GET /v1/payments`, newest first. @throws NodeError */
export async function history(http: NodeHttp, limit: number): Promise<readonly PaymentRecord[]> {
  const count = Math.max(1, Math.min(Math.trunc(limit), MAX_HISTORY));
  const path = `/v1/payments?include_incomplete=true&reversed=true&max_payments=${count}&omit_hops=true`;
  const body = await ask(http, { method: 'GET', path, maxBytes: MAX_HISTORY_BYTES }, 'the payments');
  return readAnswer(paymentsAnswer, body, 'the payments').payments.map(toRecord).reverse();
}

type Outcome =
  | { readonly kind: 'state'; readonly state: PaymentState }
  | { readonly kind: 'refused'; readonly error: LndStatus | undefined }
  | { readonly kind: 'ended' };

async function readOutcome(
  { status, lines }: NodeLines,
  paymentHash: string,
  isEnough: (kind: PaymentState['kind']) => boolean,
): Promise<Outcome> {
  if (status !== 200) return { kind: 'refused', error: readError(await readRest(lines)) };
  for await (const line of lines) {
    const message = parse(line);
    const error = readError(message);
    if (error !== undefined) return { kind: 'refused', error };
    const payment = readAnswer(paymentLine, message, 'a payment').result;
    const state = toState(payment, paymentHash);
    if (isEnough(state.kind)) return { kind: 'state', state };
  }
  return { kind: 'ended' };
}

async function readRest(lines: AsyncIterable<string>): Promise<unknown> {
  const read: string[] = [];
  for await (const line of lines) {
    read.push(line);
    if (read.length >= MAX_ERROR_LINES) break;
  }
  return parse(read.join('\n'));
}

/** LND refused to start a payment. Perhaps because it made it before. */
async function afterRefusal(
  http: NodeHttp,
  error: LndStatus | undefined,
  status: number,
  paymentHash: string,
  lookupTimeoutMs: number,
): Promise<PaymentState> {
  const reason = toNodeError(error, status, 'a payment');
  if (error === undefined || reason.code !== 'rejected') throw reason;
  const known = await lookupPayment(http, paymentHash, lookupTimeoutMs);
  if (known !== undefined && known.kind !== 'failed') return known;
  return { kind: 'failed', reason: printable(error.message) };
}

function toState(payment: PaymentAnswer, paymentHash: string): PaymentState {
  if (payment.payment_hash !== paymentHash)
    throw new NodeError('protocol', 'LND answered with another payment.');
  if (payment.status === 'FAILED') return { kind: 'failed', reason: describeFailure(payment.failure_reason) };
  if (payment.status !== 'SUCCEEDED') return { kind: 'in-flight' };
  const preimage = payment.payment_preimage.toLowerCase();
  if (paymentHashOf(preimage) !== paymentHash)
    throw new NodeError('protocol', 'LND gave a preimage that does not belong to the hash.');
  return { kind: 'succeeded', preimage, amountMsat: payment.value_msat, feeMsat: payment.fee_msat };
}

function toRecord(payment: PaymentAnswer): PaymentRecord {
  const state =
    payment.status === 'SUCCEEDED' ? 'succeeded' : payment.status === 'FAILED' ? 'failed' : 'in-flight';
  return {
    paymentHash: payment.payment_hash,
    amountMsat: payment.value_msat,
    feeMsat: payment.fee_msat,
    memo: memoOf(payment.payment_request),
    createdAtSec: Number(BigInt(payment.creation_time_ns) / 1_000_000_000n),
    state,
  };
}

function memoOf(bolt11: string): string {
  try {
    return decodeInvoice(bolt11).memo ?? '';
  } catch {
    // A keysend payment has no invoice.
    return '';
  }
}

/** The request may have arrived although its answer did not. */
function isUnknownOutcome(error: unknown): boolean {
  return error instanceof NodeError && (error.code === 'unreachable' || error.code === 'protocol');
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function startLimit(timeoutMs: number, outer: AbortSignal | undefined) {
  const controller = new AbortController();
  const stop = () => controller.abort();
  const timer = setTimeout(stop, timeoutMs);
  outer?.addEventListener('abort', stop, { once: true });
  return {
    signal: controller.signal,
    stop() {
      clearTimeout(timer);
      outer?.removeEventListener('abort', stop);
    },
  };
}
