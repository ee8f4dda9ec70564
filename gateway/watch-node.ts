import type { Config } from '../config/config.ts';
import type { Msat } from '../node/msat.ts';
import type { LightningNode } from '../node/node.ts';
import { GatewayError } from './errors.ts';
import { listedOrders } from './flow/challenge-order.ts';
import { refuseUnpayable } from './flow/refuse-unpayable.ts';
import { answerStoreError } from './flow/store-answers.ts';
import { MAX_CLOCK_AHEAD_SEC } from './ledger/clock-watch.ts';
import type { Store, StoreError } from './ledger/store.ts';
import { createHealth, type Health } from './observe/health.ts';
import { createLiquidityWatch } from './observe/liquidity.ts';
import type { Log } from './observe/log.ts';
import type { Metrics } from './observe/metrics.ts';

/** What is watched, and who is told. */
export interface NodeWatchParts {
  readonly node: LightningNode;
  readonly store: Pick<Store, 'ping'>;
  /** Seconds by which the store's clock is ahead of this machine's. */
  readonly clockAheadSec: () => number;
  /** Why nothing may be sold: the store is another one than before. */
  readonly mismatch?: () => StoreError | undefined;
  readonly config: () => Config;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  /** The node stopped answering, or can't do its work: what it made may be forgotten when it is back. */
  readonly onNodeDown: () => void;
}

/** Health of store and node, and what the node can receive. */
export interface NodeWatch {
  readonly health: Health;
  /** Why an invoice of this amount could not be paid; undefined when nothing is known that speaks against it. */
  refusal(amountMsat: Msat): GatewayError | undefined;
  /** Checks now and then in the background. Resolves after the first check of health. */
  start(): Promise<void>;
  /** Looks at everything once. */
  check(): Promise<void>;
  stop(): void;
}

/** A node is behind its chain for a moment after each block: only what lasts longer stops the sale, seconds. */
const UNSYNCED_GRACE_SEC = 10;
/** Seconds that a client is told to wait when the store's clock is ahead: somebody has to see to it. */
const CLOCK_RETRY_SEC = 60;

/** Watches in the background, so that asking costs a challenge nothing. */
export function watchNode(parts: NodeWatchParts): NodeWatch {
  const { node, store, config, log, metrics, nowMs } = parts;
  const prices = () =>
    listedOrders(config(), node.capabilities).map(({ service, amountMsat }) => ({ service, amountMsat }));
  const liquidity = createLiquidityWatch({ node, prices, log, nowMs });
  metrics.readFrom({
    liquidity: () => liquidity.latest(),
    unsellable: () => liquidity.unsellable().length,
    storeMismatch: () => parts.mismatch?.() !== undefined,
  });
  const health = createHealth({
    store,
    node,
    clockAheadSec: () => tooFarAhead(parts),
    mismatch: () => parts.mismatch?.(),
    soldOut: () => liquidity.soldOut(),
    nowMs,
    onChecked: (part, { state, code, reason }, changed) => {
      metrics.ready(part, state === 'up');
      if (!changed) return;
      if (part === 'node' && state === 'down' && code !== 'no-inbound') parts.onNodeDown();
      if (state === 'up') log.info(`the ${part} answers`);
      else log.warn(`the ${part} is not ready${code === undefined ? '' : `: ${code}`}`, { reason });
    },
  });
  const notSynced = (): boolean => {
    const { state, code, sinceSec = 0 } = health.part('node');
    return state === 'down' && code === 'not-synced' && nowMs() / 1000 - sinceSec >= UNSYNCED_GRACE_SEC;
  };
  return {
    health,
    refusal(amountMsat) {
      const mismatch = parts.mismatch?.();
      if (mismatch !== undefined) return answerStoreError(mismatch);
      if (tooFarAhead(parts) !== undefined) return clockAhead();
      const refusal = refuseUnpayable({ notSynced: notSynced(), liquidity: liquidity.latest() }, amountMsat);
      if (refusal?.code === 'no-inbound') liquidity.recheck();
      return refusal;
    },
    async start() {
      // Not waited for: until it is known, nothing is refused.
      void liquidity.start();
      await health.start();
    },
    async check() {
      // First what health draws its conclusion from.
      await liquidity.check();
      await health.check();
    },
    stop() {
      health.stop();
      liquidity.stop();
    },
  };
}

function tooFarAhead({ clockAheadSec }: NodeWatchParts): number | undefined {
  const aheadSec = clockAheadSec();
  return aheadSec > MAX_CLOCK_AHEAD_SEC ? aheadSec : undefined;
}

/** What is sold by this machine's clock is judged by the store's: nobody shall pay for something that is over when he comes. */
function clockAhead(): GatewayError {
  return new GatewayError(
    'clock-ahead',
    "Nothing can be sold at the moment: this gateway's clock and that of its store differ. The operator finds more in the log. " +
      'Credentials already paid go on working as long as they are valid.',
    { retryAfterSec: CLOCK_RETRY_SEC },
  );
}
