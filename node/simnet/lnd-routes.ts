import { decodeInvoice } from '../bolt11.ts';
import { NodeError } from '../node.ts';
import {
  balanceJson,
  base64,
  channelsJson,
  infoJson,
  invoiceJson,
  type Json,
  paymentJson,
  payReqJson,
} from './lnd-json.ts';
import {
  readAddHold,
  readAddInvoice,
  readBase64Hash,
  readCancel,
  readFlag,
  readHexHash,
  readPage,
  readSendPayment,
  readSettle,
  readUint,
} from './lnd-requests.ts';
import { type PayRequest, type Simnet, SimnetRefusal, type SimnetWallet, STATUS } from './types.ts';
import { watchInvoice } from './watch-invoice.ts';

/** A request whose macaroon named a wallet. */
export interface RestRequest {
  readonly simnet: Simnet;
  readonly wallet: SimnetWallet;
  /** The last part of the path, where the route has a parameter. */
  readonly parameter: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
  readonly nowSec: number;
}

/** A streaming answer. */
export interface RestStream {
  /** One `{"result": …}` line. False when the client is gone or reads too slowly: stop then. */
  send(message: Json): boolean;
  /** Aborts when the client or the network goes. */
  readonly gone: AbortSignal;
}

/** One endpoint: `unary` answers once, `stream` line by line, `open` to anybody. */
export type Route = { readonly method: string; readonly path: RegExp } & (
  | { readonly open: () => Json }
  | { readonly unary: (request: RestRequest) => Json }
  | { readonly stream: (request: RestRequest, stream: RestStream) => Promise<void> }
);

/** Records read at once for a stream. */
const BATCH = 100;

/** LND's own defaults for pages. */
const INVOICES_A_PAGE = 100;
const PAYMENTS_A_PAGE = 100;

/** The endpoints of LND's REST surface that the simulated network has. */
export const ROUTES: readonly Route[] = [
  { method: 'GET', path: /^\/v1\/state$/, open: () => ({ state: 'SERVER_ACTIVE' }) },
  { method: 'POST', path: /^\/v1\/invoices$/, unary: addInvoice },
  { method: 'GET', path: /^\/v1\/invoices$/, unary: listInvoices },
  { method: 'GET', path: /^\/v1\/invoices\/subscribe$/, stream: subscribe },
  { method: 'GET', path: /^\/v1\/invoice\/([^/]+)$/, unary: lookupInvoice },
  { method: 'POST', path: /^\/v2\/invoices\/cancel$/, unary: cancelInvoice },
  { method: 'POST', path: /^\/v2\/invoices\/hodl$/, unary: addHoldInvoice },
  { method: 'POST', path: /^\/v2\/invoices\/settle$/, unary: settleInvoice },
  { method: 'GET', path: /^\/v2\/invoices\/subscribe\/([^/]+)$/, stream: subscribeToOne },
  { method: 'POST', path: /^\/v2\/router\/send$/, stream: sendPayment },
  { method: 'GET', path: /^\/v2\/router\/track\/([^/]+)$/, stream: trackPayment },
  { method: 'GET', path: /^\/v1\/payments$/, unary: listPayments },
  { method: 'GET', path: /^\/v1\/payreq\/([^/]+)$/, unary: decodePayReq },
  {
    method: 'GET',
    path: /^\/v1\/getinfo$/,
    unary: ({ simnet, wallet, nowSec }) => infoJson(simnet, wallet, nowSec),
  },
  { method: 'GET', path: /^\/v1\/balance\/channels$/, unary: ({ wallet }) => balanceJson(wallet) },
  { method: 'GET', path: /^\/v1\/channels$/, unary: ({ wallet }) => channelsJson(wallet) },
];

function addInvoice({ wallet, body }: RestRequest): Json {
  const invoice = wallet.addInvoice(readAddInvoice(body));
  return {
    r_hash: base64(invoice.paymentHash),
    payment_request: invoice.bolt11,
    add_index: String(invoice.addIndex),
    payment_addr: base64(invoice.paymentSecret),
  };
}

function listInvoices({ wallet, query }: RestRequest): Json {
  const pendingOnly = readFlag(query, 'pending_only');
  const page = wallet.invoices(readPage(query, 'num_max_invoices', INVOICES_A_PAGE));
  return {
    invoices: page
      .filter((invoice) => !pendingOnly || invoice.state === 'open' || invoice.state === 'accepted')
      .map((invoice) => invoiceJson(wallet.signed(invoice))),
    last_index_offset: String(page.at(-1)?.addIndex ?? 0),
    first_index_offset: String(page[0]?.addIndex ?? 0),
  };
}

function lookupInvoice({ wallet, parameter }: RestRequest): Json {
  const invoice = wallet.invoice(readHexHash(parameter));
  if (invoice === undefined) {
    // LND says it in another way before its first invoice.
    const any = wallet.invoices({ offset: 0, limit: 1, order: 'forwards' }).length > 0;
    throw new SimnetRefusal(
      STATUS.notFound,
      any ? 'unable to locate invoice' : 'there are no existing invoices',
    );
  }
  return invoiceJson(wallet.signed(invoice));
}

function cancelInvoice({ wallet, body }: RestRequest): Json {
  wallet.cancelInvoice(readCancel(body));
  return {};
}

function addHoldInvoice({ wallet, body }: RestRequest): Json {
  const invoice = wallet.addInvoice(readAddHold(body));
  return {
    payment_request: invoice.bolt11,
    add_index: String(invoice.addIndex),
    payment_addr: base64(invoice.paymentSecret),
  };
}

function settleInvoice({ wallet, body }: RestRequest): Json {
  wallet.settleInvoice(readSettle(body));
  return {};
}

async function subscribeToOne({ wallet, parameter }: RestRequest, stream: RestStream): Promise<void> {
  const paymentHash = readBase64Hash(parameter, 'r_hash');
  for await (const invoice of watchInvoice(wallet, paymentHash, stream.gone)) {
    if (!stream.send(invoiceJson(wallet.signed(invoice)))) return;
  }
}

function listPayments({ wallet, query }: RestRequest): Json {
  const incomplete = readFlag(query, 'include_incomplete');
  const page = wallet.payments(readPage(query, 'max_payments', PAYMENTS_A_PAGE));
  return {
    payments: page.filter((payment) => incomplete || payment.state === 'succeeded').map(paymentJson),
    first_index_offset: String(page[0]?.index ?? 0),
    last_index_offset: String(page.at(-1)?.index ?? 0),
    total_num_payments: '0',
  };
}

function decodePayReq({ parameter }: RestRequest): Json {
  return payReqJson(decode(parameter));
}

/** Settles after `settle_index` (0: only new ones) and adds after `add_index`, then both as they happen; as LND, none at or below either. */
async function subscribe({ wallet, query }: RestRequest, stream: RestStream): Promise<void> {
  const addIndex = readUint(query, 'add_index');
  const settleIndex = readUint(query, 'settle_index');
  let lastSettled = settleIndex === 0 ? wallet.settleIndex() : settleIndex;
  let wake = Promise.withResolvers<void>();
  const ring = () => wake.resolve();
  const unlisten = wallet.listen((event) => {
    if (event.kind !== 'added') ring();
    else if (event.invoice.addIndex > addIndex) stream.send(invoiceJson(event.invoice));
  });
  stream.gone.addEventListener('abort', ring, { once: true });
  try {
    if (addIndex > 0) sendAdded(wallet, addIndex, stream);
    while (!stream.gone.aborted) {
      wake = Promise.withResolvers<void>();
      const batch = wallet.settledAfter(lastSettled, BATCH);
      for (const invoice of batch) {
        if (!stream.send(invoiceJson(wallet.signed(invoice)))) return;
        lastSettled = invoice.settleIndex;
      }
      if (batch.length === 0) await wake.promise;
    }
  } finally {
    unlisten();
    stream.gone.removeEventListener('abort', ring);
  }
}

function sendAdded(wallet: SimnetWallet, addIndex: number, stream: RestStream): void {
  let offset = addIndex;
  for (;;) {
    const page = wallet.invoices({ offset, limit: BATCH, order: 'forwards' });
    for (const invoice of page) {
      if (invoice.state === 'open' && !stream.send(invoiceJson(wallet.signed(invoice)))) return;
    }
    const last = page.at(-1);
    if (last === undefined) return;
    offset = last.addIndex;
  }
}

async function sendPayment({ wallet, body }: RestRequest, stream: RestStream): Promise<void> {
  const { inFlightUpdates, request } = readSendPayment(body);
  refuseSecondAmount(request);
  const started = wallet.pay(request);
  if (inFlightUpdates) stream.send(paymentJson(started));
  await sendFinal(wallet, started.paymentHash, stream);
}

async function trackPayment({ wallet, parameter, query }: RestRequest, stream: RestStream): Promise<void> {
  const paymentHash = readBase64Hash(parameter, 'payment_hash');
  const payment = wallet.payment(paymentHash);
  if (payment === undefined) throw new SimnetRefusal(STATUS.notFound, "payment isn't initiated");
  if (payment.state === 'in-flight' && !readFlag(query, 'no_inflight_updates')) {
    stream.send(paymentJson(payment));
  }
  await sendFinal(wallet, paymentHash, stream);
}

async function sendFinal(wallet: SimnetWallet, paymentHash: string, stream: RestStream): Promise<void> {
  const final = await wallet.finalPayment(paymentHash);
  if (final !== undefined && !stream.gone.aborted) stream.send(paymentJson(final));
}

/** LND lets nobody overpay an invoice that names an amount; whoever wants to gives its parts. */
function refuseSecondAmount(request: PayRequest): void {
  if (!('bolt11' in request) || request.amountMsat === undefined) return;
  if (decode(request.bolt11).amountMsat === undefined) return;
  throw new SimnetRefusal(
    STATUS.unknown,
    'amount must not be specified when paying a non-zero amount invoice',
  );
}

function decode(bolt11: string) {
  try {
    return decodeInvoice(bolt11);
  } catch (error) {
    if (error instanceof NodeError) throw new SimnetRefusal(STATUS.unknown, error.message);
    throw error;
  }
}
