import { Exchange } from './exchange.ts';
import type { ForwardExchange, ForwardOutcome } from './forward-types.ts';
import { announcedLength, hasBody, RequestBody } from './request-body.ts';
import type { Upstreams } from './upstream.ts';

export type {
  ForwardExchange,
  ForwardOutcome,
  ForwardTimeouts,
  UpstreamFailurePhase,
} from './forward-types.ts';
export type { ResponseHead, ResponseTap, TapControls } from './response-tap.ts';

/**
 * Forwards one request and streams the response back. It streams both ways at the pace of the slower side; a client that
 * leaves ends the upstream's work, an upstream that breaks resets the client.
 *
 * Limits that come from undici: request trailers are not forwarded; an unasked `100 Continue` from an upstream fails the
 * request (phase `protocol`); and the head of a request with a body leaves with the body's first byte, so an upstream can't
 * answer a client that waits for that answer before it sends anything.
 * @returns what became of it; rejects only when `onHead` throws.
 */
export function forward(upstreams: Upstreams, exchange: ForwardExchange): Promise<ForwardOutcome> {
  const { req, body, maxBodyBytes } = exchange;
  const streams = body === undefined && hasBody(req);
  const length = body?.length ?? (streams ? announcedLength(req) : 0) ?? 0;
  if (length > maxBodyBytes) return Promise.resolve({ kind: 'body-too-large', when: 'not-sent' });
  return new Promise((resolve, reject) => {
    const running = new Exchange(upstreams, exchange, resolve, reject);
    if (!streams) {
      running.start(undefined);
      return;
    }
    running.start(
      new RequestBody(req, {
        maxBytes: maxBodyBytes,
        sendContinue: exchange.sendContinue,
        tap: exchange.uploadTap,
        onTooLarge: () => running.bodyTooLarge(),
      }),
    );
  });
}
