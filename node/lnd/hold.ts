import type { NodeHttp } from '../http.ts';
import { type HoldInvoices, type HoldRequest, type HoldState, type Invoice, NodeError } from '../node.ts';
import { addHoldAnswer, invoiceLine, parseLine, readAnswer, readError, toNodeError } from './answers.ts';
import {
  ask,
  base64Of,
  bodyOf,
  hexOnly,
  type InvoiceStyle,
  lookupHeld,
  termsOf,
  toIssued,
  toState,
} from './receive.ts';

/** LND's hold invoices (`invoicesrpc`). */
export function createHoldInvoices(http: NodeHttp, style: InvoiceStyle, nowSec: () => number): HoldInvoices {
  return {
    create: (request, call) => create(http, style, request, call?.signal),
    lookup: (paymentHash, call) => lookupHeld(http, paymentHash, nowSec(), call?.signal),
    async settle(preimage, call) {
      // LND says nothing when it is settled already.
      const body = { preimage: base64Of(preimage, 'A preimage') };
      const request = { method: 'POST', path: '/v2/invoices/settle', body, signal: call?.signal } as const;
      await ask(http, request, 'a settlement');
    },
    states: (paymentHash, signal) => states(http, paymentHash, nowSec, signal),
  };
}

async function create(
  http: NodeHttp,
  style: InvoiceStyle,
  request: HoldRequest,
  signal: AbortSignal | undefined,
): Promise<Invoice> {
  const { paymentHash } = request;
  const body = { ...bodyOf(termsOf(request, style)), hash: base64Of(paymentHash, 'A payment hash') };
  const answer = await ask(
    http,
    { method: 'POST', path: '/v2/invoices/hodl', body, signal },
    'a new hold invoice',
  );
  return toIssued(
    readAnswer(addHoldAnswer, answer, 'a new hold invoice').payment_request,
    paymentHash,
    request,
  );
}

/** `GET /v2/invoices/subscribe/{hash}`: LND sends the state now, then each change, and ends it after the last. */
async function* states(
  http: NodeHttp,
  paymentHash: string,
  nowSec: () => number,
  signal: AbortSignal,
): AsyncGenerator<HoldState> {
  if (signal.aborted) return;
  const stop = new AbortController();
  const abort = () => stop.abort();
  signal.addEventListener('abort', abort, { once: true });
  let last: HoldState['kind'] | undefined;
  try {
    // grpc-gateway takes URL-safe base64 with its padding only.
    const hash = Buffer.from(hexOnly(paymentHash), 'hex').toString('base64url');
    const path = `/v2/invoices/subscribe/${hash}=`;
    const { lines } = await http.stream({ method: 'GET', path, signal: stop.signal });
    for await (const line of lines) {
      const state = readState(line, paymentHash, nowSec());
      if (state.kind === last) continue;
      last = state.kind;
      yield state;
      if (last !== 'open' && last !== 'accepted') return;
    }
    throw new NodeError('unreachable', 'LND ended the subscription to an invoice.');
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', abort);
    stop.abort();
  }
}

function readState(line: string, paymentHash: string, nowSec: number): HoldState {
  const message = parseLine(line);
  const error = readError(message);
  if (error !== undefined) throw toNodeError(error, 500, 'the subscription to an invoice');
  const { result } = readAnswer(invoiceLine, message, 'the subscription to an invoice');
  return toState(result, paymentHash, nowSec);
}
