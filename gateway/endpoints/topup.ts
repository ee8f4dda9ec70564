import { type Request, type Response, Router } from 'express';
import { type Msat, msat } from '../../node/msat.ts';
import type { Invoice } from '../../node/node.ts';
import { GatewayError } from '../errors.ts';
import type { Account } from '../ledger/store.ts';
import { formatPrice } from '../pricing/format-price.ts';
import { refuseMethod, sendJson } from './answer.ts';
import { type AccountHolder, type FindHolder, requireHolder } from './holder.ts';
import { readJsonObject } from './read-body.ts';

/** An invoice that adds to an account, as the flow made it. */
export interface MadeTopUp {
  readonly invoice: Invoice;
  readonly creditMsat: Msat;
  /** Standard base64. */
  readonly macaroon: string;
  /** Unix seconds. */
  readonly validUntilSec: number;
  readonly account: Account;
}

/** What the top-up endpoint needs. */
export interface TopUpEndpointDeps<Holder extends AccountHolder> {
  readonly findHolder: FindHolder<Holder>;
  /** Makes the invoice, writes the offer, mints the token. @throws GatewayError, StoreError */
  readonly topUp: (order: {
    readonly holder: Holder;
    readonly amountMsat: Msat | undefined;
    readonly clientKey: string;
  }) => Promise<MadeTopUp>;
  /** The address that the client is counted under. */
  readonly clientAddress: (request: Request) => string;
}

/**
 * `POST /topup {"amountMsat": 5000}`: an invoice that adds to the account of the credential, and a new token on it. Answered
 * with 200 and without `WWW-Authenticate`, which some clients pay whatever the status is.
 */
export function topUpRouter<Holder extends AccountHolder>(deps: TopUpEndpointDeps<Holder>): Router {
  const router = Router();
  router
    .route('/topup')
    .post((request, response) => answerTopUp(deps, request, response))
    .all(refuseMethod('POST'));
  return router;
}

async function answerTopUp<Holder extends AccountHolder>(
  deps: TopUpEndpointDeps<Holder>,
  request: Request,
  response: Response,
): Promise<void> {
  const holder = await requireHolder(deps.findHolder, request, 'header');
  const amountMsat = readAmount(await readJsonObject(request, response));
  const made = await deps.topUp({ holder, amountMsat, clientKey: deps.clientAddress(request) });
  sendJson(response, 200, describe(holder, made));
}

function describe(
  { service }: AccountHolder,
  { invoice, creditMsat, macaroon, validUntilSec, account }: MadeTopUp,
): object {
  return {
    service: service.name,
    accountId: account.accountId,
    balanceMsat: account.balanceMsat,
    amountMsat: invoice.amountMsat,
    priceSats: Math.ceil(invoice.amountMsat / 1000),
    creditMsat,
    price: formatPrice(service.price),
    invoice: invoice.bolt11,
    paymentRequest: invoice.bolt11,
    paymentHash: invoice.paymentHash,
    expiresAt: new Date(invoice.expiresAtSec * 1000).toISOString(),
    validUntil: new Date(validUntilSec * 1000).toISOString(),
    macaroon,
    authorization: `Authorization: L402 ${macaroon}:<preimage>`,
  };
}

/**
 * The amount asked for; `undefined` when the body names none. A key that is not known is an error: money would be asked for
 * that nobody meant.
 * @throws GatewayError `bad-request`
 */
function readAmount(body: Readonly<Record<string, unknown>>): Msat | undefined {
  const { amountMsat, amountSats, ...others } = body;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) {
    throw new GatewayError(
      'bad-request',
      'The body may have the keys amountMsat or amountSats, and no others.',
    );
  }
  if (amountMsat !== undefined && amountSats !== undefined) {
    throw new GatewayError('bad-request', 'Give the amount once: as amountMsat or as amountSats.');
  }
  if (amountMsat !== undefined) return readWhole('amountMsat', amountMsat, 1);
  return amountSats === undefined ? undefined : readWhole('amountSats', amountSats, 1000);
}

function readWhole(key: string, value: unknown, unitMsat: number): Msat {
  const whole = typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
  if (!whole || !Number.isSafeInteger(value * unitMsat)) {
    throw new GatewayError('bad-request', `${key} must be a whole number above 0.`);
  }
  return msat(value * unitMsat);
}
