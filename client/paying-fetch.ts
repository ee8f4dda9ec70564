import { addMsat, type Msat, ZERO_MSAT } from '../node/msat.ts';
import type { Network } from '../node/node.ts';
import type { Budget } from './budget.ts';
import { createBuyer, defaultMaxFeeMsat, type PaidToken } from './buyer.ts';
import { type Clock, systemClock } from './clock.ts';
import { PaymentError } from './errors.ts';
import type { PaymentEvent, PaymentListener, Quote } from './events.ts';
import { isShared } from './macaroon-terms.ts';
import { balanceOf, isRefusal, isUpstreams402, noteAnswer, noteRefusal, wasRefused } from './note-answer.ts';
import { type Offer, readOffer } from './read-offer.ts';
import { followRedirect, type ReplayableRequest, toReplayableRequest } from './replayable-request.ts';
import { send } from './send-request.ts';
import { findStored, resumePending } from './stored-tokens.ts';
import { scopeOf, type TokenStore } from './token-store.ts';
import type { Shop, Visit } from './visit.ts';
import type { Wallet } from './wallet.ts';

/** What a paying fetch works with. */
export interface PayingFetchOptions {
  readonly wallet: Wallet;
  readonly budget: Budget;
  readonly store: TokenStore;
  /** Sends the requests. Default: the global `fetch`. It must drop `Authorization` on a redirect to another origin, as the standard says. */
  readonly fetch?: typeof globalThis.fetch;
  readonly onEvent?: PaymentListener;
  /** Asked before each payment; `false` pays nothing and fails with `declined`. */
  readonly approve?: (quote: Quote) => boolean | Promise<boolean>;
  /** Invoices for another network are refused. Default: what the wallet says, if it says anything. */
  readonly network?: Network;
  /** The most that routing may cost for an amount. Default: 3 %, at least 5 sat. */
  readonly maxFeeMsat?: (amountMsat: Msat) => Msat;
  /** How long the wallet may take for one payment, ms. Default 60,000. */
  readonly payTimeoutMs?: number;
  /** How long to ask what became of a payment that is not final, ms. Default 30,000. */
  readonly settleTimeoutMs?: number;
  /** How often one request may buy. Default 2: a bundle can be used up by others between its purchase and its use. */
  readonly maxPurchases?: number;
  /** The longest body that is kept in memory so that it can be sent again, bytes. Default 16 MiB. */
  readonly maxReplayBytes?: number;
  readonly clock?: Clock;
}

const MAX_ROUNDS = 64;

/**
 * A `fetch` that pays. On 402 it checks the challenge, the invoice and the budget, pays, keeps the token, and sends the
 * request again. It pays for nothing that it could not check, never twice for one invoice, and loses no token: the
 * purchase is in the store before it is paid, and the token before it is used.
 *
 * The returned function rejects with {@link PaymentError} when payment is the reason, else with what `fetch` rejects with.
 * @example
 * const payingFetch = createPayingFetch({
 *   wallet: createLndWallet({ url: 'https://127.0.0.1:8080', macaroon }),
 *   budget: createBudget({ perRequestMsat: sats(100) }),
 *   store: createMemoryTokenStore(),
 * });
 * const answer = await payingFetch('http://127.0.0.1:8402/quote');
 */
export function createPayingFetch(options: PayingFetchOptions): typeof globalThis.fetch {
  const shop = openShop(options);
  return async (input: RequestInfo | URL, init: RequestInit = {}) => {
    const request = await toReplayableRequest(input, init, options.maxReplayBytes ?? 16 * 1024 * 1024);
    return visit(shop, request);
  };
}

function openShop(options: PayingFetchOptions): Shop {
  const clock = options.clock ?? systemClock;
  const emit = (event: PaymentEvent): void => {
    try {
      options.onEvent?.(event);
    } catch {
      // A listener must not lose a payment.
    }
  };
  const buyer = createBuyer({
    wallet: options.wallet,
    budget: options.budget,
    store: options.store,
    clock,
    network: options.network,
    approve: options.approve,
    maxFeeMsat: options.maxFeeMsat ?? defaultMaxFeeMsat,
    payTimeoutMs: options.payTimeoutMs ?? 60_000,
    settleTimeoutMs: options.settleTimeoutMs ?? 30_000,
    emit,
  });
  return {
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    store: options.store,
    clock,
    buyer,
    maxPurchases: options.maxPurchases ?? 2,
    emit,
    flights: new Map(),
    users: new Map(),
    accepted: new Set(),
  };
}

async function visit(shop: Shop, request: ReplayableRequest): Promise<Response> {
  const state: Visit = {
    request,
    idempotencyKey: request.headers.get('idempotency-key') ?? crypto.randomUUID(),
    tried: new Set(),
    bought: new Set(),
    storedTries: 0,
    paidMsat: ZERO_MSAT,
    feeMsat: ZERO_MSAT,
  };
  let token = await findStored(shop, state, undefined);
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const response = await send(shop, state, token);
    if (token !== undefined && wasRefused(state, token, response)) {
      await noteRefusal(shop, state, token);
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
      return response;
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
  shop.emit({
    type: 'answered',
    url: state.request.url.href,
    status: response.status,
    paidMsat: state.paidMsat,
    feeMsat: state.feeMsat,
    ...(balanceMsat === undefined ? {} : { balanceMsat }),
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
