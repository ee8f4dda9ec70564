import { readTimestampSec } from '../bolt11.ts';
import type { NodeAnswer, NodeHttp, NodeRequest } from '../http.ts';
import type { Msat } from '../msat.ts';
import {
  type HoldState,
  type Invoice,
  type InvoiceRequest,
  type InvoiceState,
  type Network,
  NodeError,
  type NodeInfo,
} from '../node.ts';
import {
  addInvoiceAnswer,
  GRPC,
  type InvoiceAnswer,
  infoAnswer,
  invoiceAnswer,
  printable,
  readAnswer,
  readError,
  toNodeError,
} from './answers.ts';

/** LND's names for networks. */
const NETWORKS: Readonly<Record<string, Network>> = {
  mainnet: 'mainnet',
  testnet: 'testnet',
  testnet4: 'testnet',
  signet: 'signet',
  regtest: 'regtest',
};

/** What LND says to `cancel` for an invoice that has ended or that it never had. */
const NOTHING_TO_CANCEL = /already (settled|cancell?ed)|unable to locate|no existing invoices/i;

/** One exchange whose errors are LND's. @throws NodeError */
export async function ask(http: NodeHttp, request: NodeRequest, what: string): Promise<unknown> {
  const answer = await http.exchange(request);
  if (answer.status === 200) return answer.body;
  throw failure(answer, what);
}

/** The NodeError in an answer that is not 200. */
export function failure(answer: NodeAnswer, what: string): NodeError {
  return toNodeError(readError(answer.body), answer.status, what);
}

/** `GET /v1/getinfo`. @throws NodeError `wrong-network` when it is not the configured one. */
export async function getInfo(
  http: NodeHttp,
  network: Network | undefined,
  signal: AbortSignal | undefined,
): Promise<NodeInfo> {
  const body = await ask(http, { method: 'GET', path: '/v1/getinfo', signal }, 'getinfo');
  const answer = readAnswer(infoAnswer, body, 'getinfo');
  const name = answer.chains[0]?.network ?? '';
  const actual = NETWORKS[name];
  if (actual === undefined) throw wrongNetwork(printable(name).slice(0, 20), 'a network that we know');
  refuseNetwork(actual, network);
  return {
    alias: answer.alias.slice(0, 64),
    publicKey: answer.identity_pubkey,
    network: actual,
    synced: answer.synced_to_chain,
    blockHeight: answer.block_height,
  };
}

/** @throws NodeError `wrong-network` when the node is not where it must be; absent: it may be anywhere. */
export function refuseNetwork(actual: Network, wanted: Network | undefined): void {
  if (wanted !== undefined && actual !== wanted) throw wrongNetwork(actual, wanted);
}

function wrongNetwork(actual: string, wanted: string): NodeError {
  const remedy = 'set node.network, or another node';
  return new NodeError('wrong-network', `LND is on ${actual}, not on ${wanted}: ${remedy}.`);
}

/** What is on every invoice, beside what was asked for. */
export interface InvoiceStyle {
  /** Hints at channels that are not announced. */
  readonly private: boolean;
}

/** `POST /v1/invoices`. What comes back is not to be trusted before `checkInvoice`. @throws NodeError */
export async function createInvoice(
  http: NodeHttp,
  style: InvoiceStyle,
  request: InvoiceRequest,
  signal: AbortSignal | undefined,
): Promise<Invoice> {
  const body = bodyOf(termsOf(request, style));
  const answer = readAnswer(
    addInvoiceAnswer,
    await ask(http, { method: 'POST', path: '/v1/invoices', body, signal }, 'a new invoice'),
    'a new invoice',
  );
  return toIssued(answer.payment_request, answer.r_hash, request);
}

/** The terms of a new invoice, as they can be sent over REST and over gRPC. */
export interface InvoiceTerms extends InvoiceStyle {
  readonly memo: string;
  readonly amountMsat: Msat;
  readonly expirySec: number;
  /** 32 bytes. */
  readonly descriptionHash?: Buffer;
}

/**
 * The terms of a new invoice. LND takes a time of 0 for one that nobody chose.
 * @throws NodeError `rejected` for a description hash or a time that is none
 */
export function termsOf(request: InvoiceRequest, style: InvoiceStyle): InvoiceTerms {
  const { memo, amountMsat, expirySec, descriptionHash } = request;
  if (!Number.isSafeInteger(expirySec) || expirySec < 1) {
    throw new NodeError('rejected', 'The time of an invoice is a whole number of seconds, at least 1.');
  }
  // Half a surrogate pair has no UTF-8, and LND's REST interface refuses it; an invoice has U+FFFD in its place.
  const terms = { memo: memo.toWellFormed(), amountMsat, expirySec, private: style.private };
  if (descriptionHash === undefined) return terms;
  return { ...terms, descriptionHash: hashBytes(descriptionHash, 'A description hash') };
}

/** They as LND's REST interface takes them. */
export function bodyOf(terms: InvoiceTerms): object {
  const { memo, amountMsat, expirySec, descriptionHash } = terms;
  return {
    memo,
    value_msat: String(amountMsat),
    expiry: String(expirySec),
    ...(descriptionHash === undefined ? {} : { description_hash: descriptionHash.toString('base64') }),
    ...(terms.private ? { private: true } : {}),
  };
}

/** A new invoice of LND as ours. @throws NodeError `bad-invoice` */
export function toIssued(bolt11: string, paymentHash: string, request: InvoiceRequest): Invoice {
  return {
    bolt11,
    paymentHash,
    amountMsat: request.amountMsat,
    // By the node's clock, which the signature covers; checkInvoice decodes all of it.
    expiresAtSec: readTimestampSec(bolt11) + request.expirySec,
  };
}

/** One that was paid in thousands of parts, each with records of its own. */
const MAX_INVOICE_BYTES = 8 * 1024 * 1024;

/** `GET /v1/invoice/{hash}`. What is held is not settled: it is open. @throws NodeError */
export async function lookupInvoice(
  http: NodeHttp,
  paymentHash: string,
  nowSec: number,
  signal: AbortSignal | undefined,
): Promise<InvoiceState | undefined> {
  const state = await lookupHeld(http, paymentHash, nowSec, signal);
  return state?.kind === 'accepted' ? { kind: 'open' } : state;
}

/** The same of a hold invoice. @throws NodeError */
export async function lookupHeld(
  http: NodeHttp,
  paymentHash: string,
  nowSec: number,
  signal: AbortSignal | undefined,
): Promise<HoldState | undefined> {
  const path = `/v1/invoice/${hexOnly(paymentHash)}`;
  const answer = await http.exchange({ method: 'GET', path, signal, maxBytes: MAX_INVOICE_BYTES });
  if (answer.status !== 200) {
    const error = readError(answer.body);
    // `Not Found` without more is a path that LND does not serve yet.
    if (error?.code === GRPC.notFound && error.message !== 'Not Found') return undefined;
    throw failure(answer, 'an invoice');
  }
  return toState(readAnswer(invoiceAnswer, answer.body, 'an invoice'), paymentHash, nowSec);
}

/**
 * What an invoice of LND says. LND cancels an invoice soon after it expired; the clock tells the two apart.
 * @throws NodeError `protocol` for another invoice than the one that was asked for.
 */
export function toState(invoice: InvoiceAnswer, paymentHash: string, nowSec: number): HoldState {
  if (invoice.state === 'SETTLED') {
    if (invoice.r_hash !== paymentHash) throw new NodeError('protocol', 'LND answered with another invoice.');
    return {
      kind: 'settled',
      preimage: invoice.r_preimage,
      paidMsat: invoice.amt_paid_msat,
      settledAtSec: invoice.settle_date,
    };
  }
  if (invoice.state === 'ACCEPTED') return { kind: 'accepted', paidMsat: invoice.amt_paid_msat };
  if (invoice.state === 'OPEN') return { kind: 'open' };
  return { kind: nowSec >= invoice.creation_date + invoice.expiry ? 'expired' : 'cancelled' };
}

/** `POST /v2/invoices/cancel`. @throws NodeError */
export async function cancelInvoice(
  http: NodeHttp,
  paymentHash: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const body = { payment_hash: base64Of(paymentHash, 'A payment hash') };
  const answer = await http.exchange({ method: 'POST', path: '/v2/invoices/cancel', body, signal });
  if (answer.status === 200) return;
  const error = readError(answer.body);
  if (error !== undefined && NOTHING_TO_CANCEL.test(error.message)) return;
  throw failure(answer, 'a cancellation');
}

/** Guards the path: what is not a payment hash never becomes part of a URL. */
export function hexOnly(paymentHash: string): string {
  base64Of(paymentHash, 'A payment hash');
  return paymentHash;
}

/** 32 bytes from hex to LND's base64. @throws NodeError `rejected`, which does not repeat them: they may be a preimage. */
export function base64Of(hex: string, what: string): string {
  return hashBytes(hex, what).toString('base64');
}

/** 32 bytes from hex. @throws NodeError `rejected`, which does not repeat them: they may be a preimage. */
function hashBytes(hex: string, what: string): Buffer {
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new NodeError('rejected', `${what} is 64 lower-case hex digits.`);
  return Buffer.from(hex, 'hex');
}
