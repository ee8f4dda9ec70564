import { formatMsat, type Msat } from '../../node/msat.ts';
import type { Liquidity } from '../../node/node.ts';
import { GatewayError } from '../errors.ts';

/** Seconds that a client is told to wait when the node does not answer. */
export const NODE_RETRY_SEC = 5;
/** Channels are opened and emptied by people: sooner it is hardly better. */
const INBOUND_RETRY_SEC = 60;

/** Ends what a client is told when nothing can be sold. */
export const STILL_SERVED = 'Credentials already paid go on working.';

/** The node answers, and can't take payments yet. */
export function nodeNotReady(cause?: unknown): GatewayError {
  return new GatewayError(
    'node-not-ready',
    `No invoice can be made at the moment: the Lightning node is starting, locked, or not synced to its chain. ${STILL_SERVED}`,
    { cause, retryAfterSec: NODE_RETRY_SEC },
  );
}

/** What is known of the node when an invoice is asked for. */
export interface NodeState {
  /** It has not been synced for longer than a new block takes. */
  readonly notSynced: boolean;
  /** undefined: it can't tell, or has not told lately. */
  readonly liquidity: Pick<Liquidity, 'largestReceivableMsat'> | undefined;
}

/** Why an invoice of this amount could not be paid; undefined when nothing speaks against it. */
export function refuseUnpayable(
  { notSynced, liquidity }: NodeState,
  amountMsat: Msat,
): GatewayError | undefined {
  if (notSynced) return nodeNotReady();
  if (liquidity === undefined || amountMsat <= liquidity.largestReceivableMsat) return undefined;
  return new GatewayError(
    'no-inbound',
    `A payment of ${formatMsat(amountMsat)} can not reach the Lightning node at the moment: its channels have no room for it. ` +
      `The operator finds what to do in the log. ${STILL_SERVED}`,
    { retryAfterSec: INBOUND_RETRY_SEC },
  );
}
