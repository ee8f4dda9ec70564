import { type DecodedInvoice, decodeInvoice } from '../bolt11.ts';
import { addMsat, type Msat, msat, ZERO_MSAT } from '../msat.ts';
import { NodeError } from '../node.ts';
import { announce, type Core, type Flight, mergePage, nowSecOf, type Peer } from './core.ts';
import { preimageOf, signed, toInvoice } from './invoices.ts';
import type { OpenInvoice } from './open-invoices.ts';
import {
  type FailureReason,
  type Page,
  type PayInvoice,
  type PayRequest,
  type SignedInvoice,
  type SimnetPayment,
  SimnetRefusal,
  STATUS,
} from './types.ts';

/** BOLT 4: a receiver takes at most twice the amount that it asked for. */
const MAX_OVERPAYMENT = 2;

/** What a payer knows of what it pays. */
interface Payable {
  /** '' when it was told the parts alone. */
  readonly bolt11: string;
  readonly memo: string;
  readonly payee: string;
  readonly paymentHash: string;
  readonly paymentSecret: string;
  readonly amountMsat: Msat;
}

/**
 * Starts a payment, or refuses it with LND's words before anything was tried. One payment hash is paid at most once by
 * one wallet; a failed payment may be tried again.
 * @throws SimnetRefusal
 */
export function startPayment(core: Core, payer: Peer, request: PayRequest): SimnetPayment {
  const payable = readPayable(core, request);
  const { paymentHash, bolt11, memo, amountMsat } = payable;
  if (payable.payee === payer.publicKey) throw new SimnetRefusal(STATUS.unknown, 'self-payments not allowed');
  if (payer.flights.has(paymentHash)) {
    throw new SimnetRefusal(STATUS.alreadyExists, 'payment is in transition');
  }
  if (core.records.payment(payer.name, paymentHash)?.state === 'succeeded') {
    throw new SimnetRefusal(STATUS.alreadyExists, 'invoice is already paid');
  }
  const payment: SimnetPayment = {
    wallet: payer.name,
    index: core.records.nextPaymentIndex(payer.name),
    paymentHash,
    bolt11,
    memo,
    amountMsat,
    feeMsat: feeOf(core, amountMsat),
    createdMs: core.nowMs(),
    state: 'in-flight',
    failure: 'FAILURE_REASON_NONE',
  };
  const flight: Flight = { payment, final: fly(core, payer, payment, payable, request.maxFeeMsat) };
  payer.flights.set(payment.paymentHash, flight);
  return payment;
}

/** What is known of a payment now. */
export function findPayment(core: Core, payer: Peer, paymentHash: string): SimnetPayment | undefined {
  return payer.flights.get(paymentHash)?.payment ?? core.records.payment(payer.name, paymentHash);
}

/** A page of this wallet's payments, by index. */
export function listPayments(core: Core, payer: Peer, page: Page): readonly SimnetPayment[] {
  const stored = core.records
    .payments(payer.name, page)
    .filter((payment) => !payer.flights.has(payment.paymentHash));
  const flying = [...payer.flights.values()].map((flight) => flight.payment);
  return mergePage(stored, flying, (payment) => payment.index, page);
}

async function fly(
  core: Core,
  payer: Peer,
  payment: SimnetPayment,
  payable: Payable,
  maxFeeMsat: Msat,
): Promise<SimnetPayment | undefined> {
  const out = addMsat(payment.amountMsat, payment.feeMsat);
  const spendable = core.records.funds(payer.name).balanceMsat - payer.inFlightMsat;
  payer.inFlightMsat += out;
  try {
    // Always later than startPayment's return, which enters the flight into the payer's book.
    await Promise.resolve();
    if (payment.feeMsat > maxFeeMsat) return fail(core, payment, 'FAILURE_REASON_NO_ROUTE');
    if (out > spendable) return fail(core, payment, 'FAILURE_REASON_INSUFFICIENT_BALANCE');
    if (core.settings.latencyMs > 0) await core.sleep(core.settings.latencyMs, core.closing);
    if (core.closing.aborted) return undefined;
    return await arrive(core, payment, payable);
  } catch {
    return core.closing.aborted ? undefined : fail(core, payment, 'FAILURE_REASON_ERROR');
  } finally {
    payer.inFlightMsat -= out;
    payer.flights.delete(payment.paymentHash);
  }
}

/** The payment reaches its receiver, who settles it or not, in one turn of the event loop; or holds it. */
function arrive(
  core: Core,
  payment: SimnetPayment,
  payable: Payable,
): SimnetPayment | Promise<SimnetPayment | undefined> {
  const receiver = [...core.peers.values()].find((peer) => peer.publicKey === payable.payee);
  if (receiver === undefined || core.randomFraction() < core.settings.failureRate) {
    return fail(core, payment, 'FAILURE_REASON_NO_ROUTE');
  }
  const open = core.open.get(payment.paymentHash);
  const invoice =
    open && open.wallet === receiver.name ? toInvoice(core, payment.paymentHash, open) : undefined;
  if (open === undefined || invoice?.state !== 'open') {
    return fail(core, payment, 'FAILURE_REASON_INCORRECT_PAYMENT_DETAILS');
  }
  const complete = signed(core, receiver, invoice);
  // A receiver that signed two invoices on one hash must not take the lower amount for the higher.
  if (complete.paymentSecret !== payable.paymentSecret || !isEnough(payment.amountMsat, invoice.amountMsat)) {
    return fail(core, payment, 'FAILURE_REASON_INCORRECT_PAYMENT_DETAILS');
  }
  // What is held may be taken at any time: its place in the channels is not free.
  const roomMsat = core.records.funds(receiver.name).inboundMsat - receiver.heldMsat;
  if (payment.amountMsat > roomMsat) return fail(core, payment, 'FAILURE_REASON_NO_ROUTE');
  if (open.hold) return holdPayment(core, receiver, open, payment, complete);
  const preimage = preimageOf(receiver, open);
  if (settle(core, receiver, payment, complete, preimage))
    return { ...payment, state: 'succeeded', preimage };
  return fail(core, payment, 'FAILURE_REASON_NO_ROUTE');
}

/** Whether the money moved. */
function settle(
  core: Core,
  receiver: Peer,
  payment: SimnetPayment,
  invoice: SignedInvoice,
  preimage: string,
): boolean {
  const settled = core.records.settle({ invoice, preimage, settledSec: nowSecOf(core), payment });
  if (settled === undefined) return false;
  core.open.remove(payment.paymentHash);
  announce(receiver, { kind: 'settled', invoice: settled });
  return true;
}

/** Keeps the payment under way until the receiver settles or cancels it, or the network closes. */
async function holdPayment(
  core: Core,
  receiver: Peer,
  open: OpenInvoice,
  payment: SimnetPayment,
  invoice: SignedInvoice,
): Promise<SimnetPayment | undefined> {
  const { promise: decided, resolve } = Promise.withResolvers<string | 'cancelled' | 'closed'>();
  const close = () => resolve('closed');
  core.closing.addEventListener('abort', close, { once: true });
  receiver.heldMsat += payment.amountMsat;
  open.held = {
    paidMsat: payment.amountMsat,
    settle(preimage) {
      // Both sides were set aside when it arrived: it moves, unless the disk fails, and then it is still held.
      if (settle(core, receiver, payment, invoice, preimage)) resolve(preimage);
    },
    cancel: () => resolve('cancelled'),
  };
  announce(receiver, { kind: 'accepted', invoice: toInvoice(core, payment.paymentHash, open) });
  const decision = await decided;
  core.closing.removeEventListener('abort', close);
  receiver.heldMsat -= payment.amountMsat;
  open.held = undefined;
  if (decision === 'closed') return undefined;
  if (decision === 'cancelled') return fail(core, payment, 'FAILURE_REASON_INCORRECT_PAYMENT_DETAILS');
  return { ...payment, state: 'succeeded', preimage: decision };
}

function fail(core: Core, payment: SimnetPayment, failure: FailureReason): SimnetPayment {
  const failed: SimnetPayment = { ...payment, state: 'failed', feeMsat: ZERO_MSAT, failure };
  core.records.addFailed(failed);
  return failed;
}

/** An invoice without an amount asks for 0, and takes what comes. */
function isEnough(amountMsat: Msat, askedMsat: Msat): boolean {
  return amountMsat >= askedMsat && (askedMsat === 0 || amountMsat <= askedMsat * MAX_OVERPAYMENT);
}

/** Of an invoice by its parts nobody but the payee knows what it asks for, and when it ends. */
function readPayable(core: Core, request: PayRequest): Payable {
  if (!('bolt11' in request)) return { ...request, bolt11: '', memo: '' };
  const { payee, paymentHash, paymentSecret, memo = '', ...decoded } = readInvoice(core, request.bolt11);
  const amountMsat = amountToPay(decoded.amountMsat, request);
  return { bolt11: request.bolt11, memo, payee, paymentHash, paymentSecret, amountMsat };
}

function readInvoice(core: Core, bolt11: string): DecodedInvoice {
  const decoded = decode(bolt11);
  if (decoded.network !== core.network) {
    throw new SimnetRefusal(STATUS.unknown, `invoice is for ${decoded.network}, this is ${core.network}`);
  }
  if (nowSecOf(core) > decoded.expiresAtSec) {
    const until = new Date(decoded.expiresAtSec * 1000).toISOString();
    const goTime = `${until.slice(0, 10)} ${until.slice(11, 19)} +0000 UTC`;
    throw new SimnetRefusal(STATUS.unknown, `invoice expired. Valid until ${goTime}`);
  }
  return decoded;
}

function decode(bolt11: string): DecodedInvoice {
  try {
    return decodeInvoice(bolt11);
  } catch (error) {
    if (error instanceof NodeError) throw new SimnetRefusal(STATUS.unknown, error.message);
    throw error;
  }
}

function amountToPay(asked: Msat | undefined, request: PayInvoice): Msat {
  const amountMsat = request.amountMsat ?? asked ?? ZERO_MSAT;
  if (amountMsat === 0) {
    throw new SimnetRefusal(STATUS.unknown, 'amount must be specified when paying a zero amount invoice');
  }
  if (asked !== undefined && !isEnough(amountMsat, asked)) {
    throw new SimnetRefusal(STATUS.unknown, 'amount must be from the amount of the invoice to twice as much');
  }
  return amountMsat;
}

function feeOf(core: Core, amountMsat: Msat): Msat {
  const { baseFeeMsat, feePpm } = core.settings;
  // In BigInt: amount × ppm leaves the safe integers at 9 BTC.
  return msat(baseFeeMsat + Number((BigInt(amountMsat) * BigInt(feePpm)) / 1_000_000n));
}
