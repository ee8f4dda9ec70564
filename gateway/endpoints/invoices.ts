import { type Request, type Response, Router } from 'express';
import type { InvoiceState } from '../../node/node.ts';
import { paymentHashOf } from '../../node/sha256.ts';
import { GatewayError } from '../errors.ts';
import { refuseMethod, sendError, sendJson } from './answer.ts';
import type { InvoiceWatcher, WatchOutcome } from './watch-invoice.ts';

/** The longest that a client may wait in one request, seconds: below the read timeout of common proxies, with the answer. */
export const MAX_WAIT_SEC = 60;

/** What the invoice endpoint needs. */
export interface InvoicesDeps {
  /** The payment hash of a macaroon that this gateway signed and whose caveats hold; undefined for any other text. */
  readonly verifyMacaroon: (text: string, client: string) => { readonly paymentHash: string } | undefined;
  readonly watcher: InvoiceWatcher;
  /** Counts a request of this client: undefined, or after how many seconds it may ask again. */
  readonly throttled: (client: string) => number | undefined;
  /** The address that the client is counted under. */
  readonly clientAddress: (request: Request) => string;
}

/**
 * `GET /invoices/{paymentHash}?wait=60`: has it been paid? Then the preimage, and the ready `Authorization` value. The
 * client shows that the challenge was its own by its macaroon, in `L402-Macaroon` or `Authorization: L402 <macaroon>`.
 */
export function invoicesRouter(deps: InvoicesDeps): Router {
  const router = Router();
  router
    .route('/invoices/:paymentHash')
    .get((request, response) => answerInvoice(deps, request, response))
    .all(refuseMethod('GET'));
  return router;
}

async function answerInvoice(deps: InvoicesDeps, request: Request, response: Response): Promise<void> {
  const paymentHash = String(request.params['paymentHash']).toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(paymentHash)) {
    throw new GatewayError('not-found', 'A payment hash is 64 hex digits.');
  }
  const waitSec = parseWait(request.query['wait']);
  const macaroon = readMacaroon(request);
  const client = deps.clientAddress(request);
  // Before the signature is computed: with a macaroon that holds, which costs nothing to get, that would be free work without end.
  const retryAfterSec = deps.throttled(client);
  if (retryAfterSec !== undefined) {
    throw new GatewayError(
      'throttled',
      'This address asks for invoices too often. Let one request wait for it: add ?wait=60.',
      { retryAfterSec },
    );
  }
  if (macaroon === undefined || deps.verifyMacaroon(macaroon, client)?.paymentHash !== paymentHash) {
    // Never 401 or 402: clients pay again on those.
    sendError(response, 403, 'bad-macaroon', macaroonAdvice(macaroon));
    return;
  }
  const outcome = await waitForInvoice(deps, request, response, paymentHash, waitSec);
  if (outcome.kind !== 'gone') sendOutcome(response, paymentHash, macaroon, outcome);
}

async function waitForInvoice(
  deps: InvoicesDeps,
  request: Request,
  response: Response,
  paymentHash: string,
  waitSec: number,
): Promise<WatchOutcome> {
  const aborter = new AbortController();
  const onClose = () => aborter.abort();
  response.once('close', onClose);
  try {
    return await deps.watcher.watch({
      paymentHash,
      waitMs: request.method === 'HEAD' ? 0 : waitSec * 1000,
      client: deps.clientAddress(request),
      signal: aborter.signal,
    });
  } finally {
    response.removeListener('close', onClose);
  }
}

function sendOutcome(response: Response, paymentHash: string, macaroon: string, outcome: WatchOutcome): void {
  switch (outcome.kind) {
    case 'state':
      sendJson(response, 200, describe(paymentHash, macaroon, outcome.state));
      return;
    case 'unknown':
      throw new GatewayError('not-found', 'The node does not know this invoice (any more).');
    case 'failed':
      throw new GatewayError('node-unavailable', 'The Lightning node did not answer; ask again.', {
        cause: outcome.cause,
        retryAfterSec: 2,
      });
    default:
      throw new GatewayError(
        'busy',
        'Too many requests wait for invoices; ask again without `wait`, or later.',
        {
          retryAfterSec: 2,
        },
      );
  }
}

function describe(paymentHash: string, macaroon: string, state: InvoiceState): object {
  if (state.kind !== 'settled') return { state: state.kind, paymentHash };
  // A node that returned another preimage would have the client present a credential that can't hold.
  if (paymentHashOf(state.preimage) !== paymentHash) {
    throw new GatewayError(
      'node-unavailable',
      'The Lightning node answered with a preimage that does not fit.',
    );
  }
  return {
    state: 'settled',
    paymentHash,
    preimage: state.preimage,
    authorization: `L402 ${macaroon}:${state.preimage}`,
  };
}

/** @throws GatewayError when it is not a whole number of seconds. */
function parseWait(value: unknown): number {
  if (value === undefined) return 0;
  if (typeof value !== 'string' || !/^\d{1,6}$/.test(value)) {
    throw new GatewayError('bad-request', `\`wait\` is a whole number of seconds from 0 to ${MAX_WAIT_SEC}.`);
  }
  return Math.min(Number(value), MAX_WAIT_SEC);
}

/** 8 KB of macaroon in base64, and the preimage behind it. */
const MAX_HEADER_LENGTH = 12_000;

function readMacaroon(request: Request): string | undefined {
  const own = request.headers['l402-macaroon'];
  if (typeof own === 'string') return own.length <= MAX_HEADER_LENGTH ? own.trim() : undefined;
  const { authorization } = request.headers;
  if (authorization === undefined || authorization.length > MAX_HEADER_LENGTH) return undefined;
  return /^(?:L402|LSAT) +([A-Za-z0-9+/_=-]+)(?::[0-9a-f]*)? *$/i.exec(authorization)?.[1];
}

function macaroonAdvice(macaroon: string | undefined): string {
  return macaroon === undefined
    ? 'Send the macaroon of the challenge in the header L402-Macaroon.'
    : 'This macaroon is not of this gateway, has expired, or belongs to another invoice.';
}
