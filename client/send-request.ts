import { formatMsat } from '../node/msat.ts';
import type { PaidToken } from './buyer.ts';
import { PaymentError } from './errors.ts';
import type { Shop, Visit } from './visit.ts';

/** Repeats of a request whose answer was lost; a gateway answers two of them free. */
const MAX_REPEATS = 2;
/** Asks again while the gateway is still busy with the lost one (409), and how long it waits in between. */
const MAX_BUSY_REPEATS = 10;
const REPEAT_PAUSE_MS = 500;

/** Sends the request, with the token if there is one, and repeats it under the same key when its answer is lost. */
export async function send(shop: Shop, state: Visit, token: PaidToken | undefined): Promise<Response> {
  const { request, idempotencyKey } = state;
  const headers = new Headers(request.headers);
  if (token !== undefined) {
    headers.set('authorization', `${token.scheme} ${token.macaroon}:${token.state.preimage}`);
    headers.set('idempotency-key', idempotencyKey);
    state.tried.add(token.paymentHash);
  }
  const init: RequestInit = { ...request.settings, headers, signal: request.signal ?? null };
  for (let lost = 0, busy = 0; ; ) {
    try {
      const response = await shop.fetch(request.url.href, init);
      if (lost === 0 || response.status !== 409 || busy >= MAX_BUSY_REPEATS) return response;
      await response.body?.cancel();
      busy += 1;
    } catch (cause) {
      if (token === undefined || request.signal?.aborted === true) throw cause;
      if (!request.idempotent || lost >= MAX_REPEATS) throw answerLost(state, token, cause);
      lost += 1;
      shop.emit({ type: 'repeating', idempotencyKey });
    }
    await shop.clock.sleep(REPEAT_PAUSE_MS, request.signal);
  }
}

function answerLost(state: Visit, token: PaidToken, cause: unknown): unknown {
  // A token from an earlier request cost this one nothing, so the plain network error says it all.
  if (!state.bought.has(token.paymentHash)) return cause;
  return new PaymentError(
    'paid-but-lost',
    `The request was paid (${formatMsat(token.amountMsat)}) and its answer was lost. The token is kept; send the same request ` +
      `within ten minutes with the header Idempotency-Key: ${state.idempotencyKey} to have the answer without paying again.`,
    {
      cause,
      paymentHash: token.paymentHash,
      amountMsat: token.amountMsat,
      idempotencyKey: state.idempotencyKey,
    },
  );
}
