import type { Msat } from '../node/msat.ts';
import { acquireToken } from './acquire-token.ts';
import type { PaidToken } from './buyer.ts';
import { comeBack, endTurn, readThrottle } from './come-back.ts';
import { PaymentError } from './errors.ts';
import type { Quote } from './events.ts';
import { letGo } from './hold-token.ts';
import {
  balanceOf,
  isMetered,
  isRefusal,
  isUpstreams402,
  noteAnswer,
  noteRefusal,
  wasRefused,
} from './note-answer.ts';
import { orAborted } from './or-aborted.ts';
import { readOffer } from './read-offer.ts';
import { followRedirect, type ReplayableRequest } from './replayable-request.ts';
import { send } from './send-request.ts';
import { findStored, noteService } from './stored-tokens.ts';
import { beginVisit, type Shop, type Visit } from './visit.ts';

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
  const visit = beginVisit(request, shop.clock);
  try {
    return await payUntilAnswered(shop, visit);
  } finally {
    visit.isOver = true;
    endTurn(visit, 'passed');
    letGo(shop, visit);
  }
}

async function payUntilAnswered(shop: Shop, state: Visit): Promise<Visited> {
  let token = await findStored(shop, state, undefined);
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const answer = await send(shop, state, token);
    const { response, retryAfterMs } = await readThrottle(answer, shop.clock);
    if (retryAfterMs !== undefined) {
      const next = await comeBack(shop, state, retryAfterMs, token);
      if (next === undefined) return conclude(shop, state, token, response);
      await response.body?.cancel();
      token = next.token;
      continue;
    }
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
      return conclude(shop, state, token, response);
    }
    state.request = followRedirect(state.request, response);
    const offer = await readOffer(response, state.request.url, shop.clock);
    if (state.request.headers.has('authorization')) throw authorizationConflict(offer.quote);
    noteService(shop, offer);
    const acquiring = acquireToken(shop, state, offer);
    // The purchase is under way, and whoever has the next turn finds it.
    endTurn(state, 'passed');
    // Whoever leaves does not end the purchase: it goes on by itself, so that its token is kept.
    token = await orAborted(acquiring, state.request.signal);
  }
  throw new PaymentError(
    'too-many-purchases',
    'The server asked for payment too often. Tokens that were bought are kept.',
  );
}

function conclude(shop: Shop, state: Visit, token: PaidToken | undefined, response: Response): Visited {
  report(shop, state, token, response);
  return { response, token, paidMsat: state.paidMsat, feeMsat: state.feeMsat };
}

function report(shop: Shop, state: Visit, token: PaidToken | undefined, response: Response): void {
  const balanceMsat = balanceOf(response);
  const metered = token !== undefined && isMetered(response, token);
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
