import type { StatusRanges } from '../../config/config.ts';
import type { AttemptEnd } from '../ledger/store.ts';
import type { ForwardOutcome } from '../proxy/forward.ts';
import type { Charge } from './charge.ts';
import type { Exchange } from './exchange.ts';
import type { Unsettled } from './unsettled.ts';

/** An upgrade that the upstream accepted: what was paid for went through the tunnel, whatever statuses are configured. */
const SWITCHING_PROTOCOLS = 101;

/** Whether a response with this status is charged for. */
export function isCharged(chargeOn: StatusRanges, status: number): boolean {
  return status === SWITCHING_PROTOCOLS || chargeOn.some(([from, to]) => status >= from && status <= to);
}

/** What settling needs. */
export interface SettleDeps {
  readonly unsettled: Unsettled;
  /** This gateway is cutting the connections on which its drain was waited for in vain. */
  readonly isCutting: () => boolean;
}

/** Most ends change nothing in the ledger, and wait for nobody. */
const NOTHING_TO_END = { kept: Promise.resolve(false), refunded: Promise.resolve(true) } as const;

/**
 * Ends the charge of a request: gives the money back when the upstream (not the client) failed before its first byte, or
 * answered with a status that is not charged for.
 * @returns whether it was given back
 */
export function settle(
  deps: SettleDeps,
  exchange: Exchange,
  charge: Charge,
  forwarded: ForwardOutcome,
): Promise<boolean> {
  const how = endOf(exchange, forwarded, deps.isCutting);
  if (charge.mustEnd(how)) return end(deps, charge, how);
  return how === 'refunded' ? NOTHING_TO_END.refunded : NOTHING_TO_END.kept;
}

async function end({ unsettled }: SettleDeps, charge: Charge, how: AttemptEnd): Promise<boolean> {
  await unsettled.settle(() => charge.end(how));
  return how === 'refunded';
}

function endOf(exchange: Exchange, forwarded: ForwardOutcome, isCutting: () => boolean): AttemptEnd {
  switch (forwarded.kind) {
    case 'responded':
      if (!isCharged(exchange.service.chargeOn, forwarded.status)) return 'refunded';
      return forwarded.delivered ? 'delivered' : 'undelivered';
    case 'upstream-failed':
      return 'refunded';
    case 'body-too-large':
      return forwarded.when === 'not-sent' ? 'refunded' : 'undelivered';
    case 'discarded':
      return 'refunded';
    case 'client-gone':
      // It did not go: we did, and it got nothing.
      return forwarded.when === 'before-head' && isCutting() ? 'refunded' : 'undelivered';
    default:
      return 'undelivered';
  }
}
