import { readTimestampSec } from '../bolt11.ts';
import type { NodeAnswer, NodeHttp, NodeRequest } from '../http.ts';
import {
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

/** `POST /v1/invoices`. What comes back is not to be trusted before `checkInvoice`. @throws NodeError */
export async function createInvoice(
  http: NodeHttp,
  request: InvoiceRequest,
  signal: AbortSignal | undefined,
): Promise<Invoice> {
  const body = {
    memo: request.memo,
    value_msat: String(request.amountMsat),
    expiry: String(request.expirySec),
  };
  const answer = readAnswer(
    addInvoiceAnswer,
    await ask(http, { method: 'POST', path: '/v1/invoices', body, signal }, 'a new invoice'),
    'a new invoice',
  );
  return {
    bolt11: answer.payment_request,
    paymentHash: answer.r_hash,
    amountMsat: request.amountMsat,
    // By the node's clock, which the signature covers; checkInvoice decodes all of it.
    expiresAtSec: readTimestampSec(answer.payment_request) + request.expirySec,
  };
}

/** `GET /v1/invoice/{hash}`. LND cancels an invoice soon after it expired; the clock tells the two apart. @throws NodeError */
export async function lookupInvoice(
  http: NodeHttp,
  paymentHash: string,
  nowSec: number,
  signal: AbortSignal | undefined,
): Promise<InvoiceState | undefined> {
  const answer = await http.exchange({ method: 'GET', path: `/v1/invoice/${hexOnly(paymentHash)}`, signal });
  if (answer.status !== 200) {
    const error = readError(answer.body);
    // `Not Found` without more is a path that LND does not serve yet.
    if (error?.code === GRPC.notFound && error.message !== 'Not Found') return undefined;
    throw failure(answer, 'an invoice');
  }
  const invoice = readAnswer(invoiceAnswer, answer.body, 'an invoice');
  if (invoice.state === 'SETTLED') {
    if (invoice.r_hash !== paymentHash) throw new NodeError('protocol', 'LND answered with another invoice.');
    return {
      kind: 'settled',
      preimage: invoice.r_preimage,
      paidMsat: invoice.amt_paid_msat,
      settledAtSec: invoice.settle_date,
    };
  }
  if (invoice.state !== 'CANCELED') return { kind: 'open' };
  return { kind: nowSec >= invoice.creation_date + invoice.expiry ? 'expired' : 'cancelled' };
}

/** `POST /v2/invoices/cancel`. @throws NodeError */
export async function cancelInvoice(
  http: NodeHttp,
  paymentHash: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const body = { payment_hash: Buffer.from(hexOnly(paymentHash), 'hex').toString('base64') };
  const answer = await http.exchange({ method: 'POST', path: '/v2/invoices/cancel', body, signal });
  if (answer.status === 200) return;
  const error = readError(answer.body);
  if (error !== undefined && NOTHING_TO_CANCEL.test(error.message)) return;
  throw failure(answer, 'a cancellation');
}

/** Guards the path: what is not a payment hash never becomes part of a URL. */
export function hexOnly(paymentHash: string): string {
  if (/^[0-9a-f]{64}$/.test(paymentHash)) return paymentHash;
  throw new NodeError('rejected', 'A payment hash is 64 lower-case hex digits.');
}
