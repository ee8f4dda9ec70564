import type { Msat } from '../node/msat.ts';
import { copyResponse } from './copy-response.ts';
import { PaymentError } from './errors.ts';
import type { Balance } from './follow-account.ts';
import { followBody, type StreamEnd } from './paid-body.ts';
import { followVisit, type PaidStreamOptions, type StreamSummary, summarize } from './paid-visit.ts';
import { payAndSend } from './pay-and-send.ts';
import type { ReplayableRequest } from './replayable-request.ts';
import type { Shop } from './visit.ts';

/** A stream that is paid for as it is delivered. */
export interface PaidStream {
  /**
   * The answer. Its body goes on over holds and, for Server-Sent Events, over a cut that a top-up came too late for; it fails with
   * {@link PaymentError} `stream-cut` when its money runs out.
   */
  readonly response: Response;
  /** Resolves when the body has ended, in whatever way. Never rejects. */
  readonly done: Promise<StreamSummary>;
  /** What was heard last; `undefined` for what is not charged as it goes. */
  balance(): Balance | undefined;
  /** Adds money now. @throws {@link PaymentError} */
  topUp(amountMsat?: Msat): Promise<void>;
  /** Ends the stream and its charge. */
  close(): Promise<void>;
}

/**
 * Opens a stream, pays for it, and keeps it paid.
 * @throws {@link PaymentError}, or what `fetch` rejects with
 */
export async function openPaidStream(
  shop: Shop,
  request: ReplayableRequest,
  options: PaidStreamOptions,
): Promise<PaidStream> {
  const beganMs = shop.clock.nowMs();
  const closing = new AbortController();
  const signals = request.signal === undefined ? [closing.signal] : [closing.signal, request.signal];
  const closable = { ...request, signal: AbortSignal.any(signals) };
  const visited = await payAndSend(shop, closable);
  const follower = followVisit(shop, closable.url, visited, options);
  const reopen = (lastEventId: string): Promise<Response | undefined> =>
    openAgain(shop, closable, lastEventId);
  const { promise: done, resolve } = Promise.withResolvers<StreamSummary>();
  const { body } = visited.response;
  const onEnd = (end: StreamEnd, bytes: number): void => {
    const elapsedMs = shop.clock.nowMs() - beganMs;
    void summarize(shop, visited, follower, { end, bytes, elapsedMs }).then(resolve);
  };
  const followed = followBody({
    response: visited.response,
    follower,
    reopen,
    closed: closable.signal,
    onEnd,
  });
  return {
    response: copyResponse(visited.response, body === null ? null : followed),
    done,
    balance: () => follower?.balance(),
    topUp: async (amountMsat) => {
      if (follower === undefined) throw notCharged();
      await follower.topUp(amountMsat);
    },
    close: async () => {
      closing.abort(new DOMException('The stream was closed.', 'AbortError'));
      await done;
    },
  };
}

/** Opens a cut stream anew, where it was, with the money that has come meanwhile. It buys nothing. */
async function openAgain(
  shop: Shop,
  request: ReplayableRequest,
  lastEventId: string,
): Promise<Response | undefined> {
  const headers = new Headers(request.headers);
  if (lastEventId !== '') headers.set('last-event-id', lastEventId);
  shop.emit({ type: 'reopening', url: request.url.href });
  const { response } = await payAndSend({ ...shop, maxPurchases: 0 }, { ...request, headers });
  if (response.ok) return response;
  await response.body?.cancel().catch(() => undefined);
  return undefined;
}

function notCharged(): PaymentError {
  return new PaymentError(
    'top-up-refused',
    'This answer is not charged as it is delivered: there is nothing to top up.',
  );
}
