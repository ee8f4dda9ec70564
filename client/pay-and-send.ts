import { addMsat, type Msat, ZERO_MSAT } from '../node/msat.ts';
import type { PaidToken } from './buyer.ts';
import { PaymentError } from './errors.ts';
import type { Quote } from './events.ts';
import { isShared, readMacaroonTerms } from './macaroon-terms.ts';
import {
  balanceOf,
  isMetered,
  isRefusal,
  isUpstreams402,
  noteAnswer,
  noteRefusal,
  wasRefused,
} from './note-answer.ts';
import { type Offer, readOffer } from './read-offer.ts';
import { followRedirect, type ReplayableRequest } from './replayable-request.ts';
import { send } from './send-request.ts';
import { findStored, resumePending } from './stored-tokens.ts';
import { scopeOf } from './token-store.ts';
import type { Shop, Visit } from './visit.ts';

const MAX_ROUNDS = 64;

/** How a request was answered. */
export interface Visited {
  readonly response: Response;
  /** What was presented with it; `undefined`: it is free, or somebody else's answer. */
  readonly token: PaidToken | undefined;
  /** What it paid, msat. */
  readonly paidMsat: Msat;
  readonly feeMsat: Msat;
}

/**
 * Sends a request and pays for it when it is asked to: tokens that are stored first, then payments that were begun, then
 * a purchase.
 * @throws {@link PaymentError}, or what `fetch` rejects with
 */
export async function payAndSend(shop: Shop, request: ReplayableRequest): Promise<Visited> {
  const state: Visit = {
    request,
    idempotencyKey: request.headers.get('idempotency-key') ?? crypto.randomUUID(),
    tried: new Set(),
    bought: new Set(),
    lacking: new Set(),
    storedTries: 0,
    paidMsat: ZERO_MSAT,
    feeMsat: ZERO_MSAT,
  };
  let token = await findStored(shop, state, undefined);
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const response = await send(shop, state, token);
    if (token !== undefined && wasRefused(state, token, response)) {
      await noteRefusal(shop, state, token, response);
    }
    if (response.status === 401 && token !== undefined && isRefusal(response)) {
      // Some servers answer 401 to a token that is used up. Only a 402 is ever paid.
      await response.body?.cancel();
      token = undefined;
      continue;
    }
    if (response.status !== 402 || (token !== undefined && isUpstreams402(response))) {
      if (token !== undefined) await noteAnswer(shop, state, token, response);
      report(shop, state, token, response);
      return { response, token, paidMsat: state.paidMsat, feeMsat: state.feeMsat };
    }
    state.request = followRedirect(state.request, response);
    const offer = await readOffer(response, state.request.url, shop.clock);
    if (state.request.headers.has('authorization')) throw authorizationConflict(offer.quote);
    token = await orAborted(acquire(shop, state, offer), state.request.signal);
  }
  throw new PaymentError(
    'too-many-purchases',
    'The server asked for payment too often. Tokens that were bought are kept.',
  );
}

/**
 * A token for an offer: one that is stored and not tried yet, one whose payment an earlier request began, else a new
 * one. When it serves more than one request, parallel requests wait for one purchase.
 */
async function acquire(shop: Shop, state: Visit, offer: Offer): Promise<PaidToken> {
  const work = (): Promise<PaidToken> => findOrBuy(shop, state, offer);
  const token = isShared(offer.terms) ? await share(shop, flightKey(offer), work) : await work();
  shop.users.set(token.paymentHash, (shop.users.get(token.paymentHash) ?? 0) + 1);
  return token;
}

function flightKey(offer: Offer): string {
  return `${offer.url.origin} ${offer.quote.service === '' ? scopeOf(offer.url.pathname) : offer.quote.service}`;
}

async function share(shop: Shop, key: string, work: () => Promise<PaidToken>): Promise<PaidToken> {
  const flying = shop.flights.get(key);
  if (flying !== undefined) return flying;
  // Set before anything is awaited: whoever comes next finds it.
  const flight = work().finally(() => shop.flights.delete(key));
  shop.flights.set(key, flight);
  return flight;
}

async function findOrBuy(shop: Shop, state: Visit, offer: Offer): Promise<PaidToken> {
  const stored = await findStored(shop, state, offer);
  if (stored !== undefined) return stored;
  const resumed = await resumePending(shop, state, offer);
  if (resumed !== undefined) return resumed;
  if (state.bought.size >= shop.maxPurchases) {
    throw new PaymentError(
      'too-many-purchases',
      `This request has bought ${state.bought.size} times and is still asked to pay. What was bought is kept.`,
    );
  }
  const alreadyMsat = addMsat(state.paidMsat, state.feeMsat);
  const { token, amountMsat, feeMsat } = await shop.buyer.buy(offer, alreadyMsat);
  state.bought.add(token.paymentHash);
  state.paidMsat = addMsat(state.paidMsat, amountMsat);
  state.feeMsat = addMsat(state.feeMsat, feeMsat);
  return token;
}

function report(shop: Shop, state: Visit, token: PaidToken | undefined, response: Response): void {
  const balanceMsat = balanceOf(response);
  const metered = token !== undefined && isMetered(response, readMacaroonTerms(token.macaroon).price);
  shop.emit({
    type: 'answered',
    url: state.request.url.href,
    status: response.status,
    paidMsat: state.paidMsat,
    feeMsat: state.feeMsat,
    isMetered: metered,
    ...(metered || balanceMsat === undefined ? {} : { balanceMsat }),
    ...(token === undefined ? {} : { idempotencyKey: state.idempotencyKey }),
  });
}

function authorizationConflict(quote: Quote): PaymentError {
  return new PaymentError(
    'authorization-conflict',
    'The request carries an Authorization header of its own, and the payment would have to replace it. Nothing was paid; ' +
      'leave it out, or ask the operator for a header of its own for the credential.',
    { paymentHash: quote.paymentHash, amountMsat: quote.amountMsat },
  );
}

/** Leaves when the caller aborts. The purchase goes on by itself to its end, so that its token is kept. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  promise.catch(() => undefined);
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (stop !== undefined) signal.removeEventListener('abort', stop);
  }
}
