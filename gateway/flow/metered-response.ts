import { costOf, rateOf } from '../meter/index.ts';
import type { ResponseTap } from '../proxy/response-tap.ts';
import { headerValue } from './header-value.ts';
import type { Discarded, MeteredCharge } from './metered-charge.ts';

/** A file at a price a second that is shorter than this has no time worth charging (an error's text, a playlist), bytes. */
const SMALL_ANSWER_BYTES = 65_536;

/** What watches a metered answer on its way to the client. */
export function meteredTap({ meter, usage }: MeteredCharge): ResponseTap {
  if (usage === undefined) return meter.tap;
  return {
    open(head, controls) {
      usage.head(head.status, head.headers);
      meter.tap.open(head, controls);
    },
    rewrite: (bytes) => usage.chunk(bytes),
    chunk(bytes) {
      // More than was set aside: this chunk waits until it is. Before the tap looks, or it would think the chunk on its way.
      meter.foresee(usage.running().costMsat);
      meter.tap.chunk(bytes);
    },
    complete(trailers) {
      usage.trailers(trailers);
      return usage.flush();
    },
    close: () => meter.tap.close(),
  };
}

/** Not modified: the head speaks of a body that does not come, as that of a HEAD does (RFC 9110, 8.6). */
const NOT_MODIFIED = 304;

/**
 * Whether the upstream's answer may be passed on, now that its head is known.
 * @returns why not
 */
export function refusalOfHead(
  { meter, metering }: MeteredCharge,
  method: string | undefined,
  status: number,
  headers: readonly string[],
): Discarded | undefined {
  const { price, charges, count } = meter.terms;
  const length = Number(headerValue(headers, 'content-length') ?? Number.NaN);
  if (Number.isNaN(length) || charges?.(status) === false) return undefined;
  if (method === 'HEAD' || status === NOT_MODIFIED) return undefined;
  if (price.unit === 'byte' && count !== 'request') {
    if (meter.affords(length)) return undefined;
    return { kind: 'unaffordable', neededMsat: costOf(rateOf(price), length) };
  }
  if (price.unit !== 'second' || metering.chargeFrom === 'request') return undefined;
  // An hour of film fetched in a second would cost a second.
  const paced = metering.paceBytesPerSec !== undefined || metering.allowBurst;
  return paced || length <= SMALL_ANSWER_BYTES ? undefined : { kind: 'unpaced' };
}
