import type { Config } from '../config/config.ts';
import type { Msat } from '../node/msat.ts';
import type { LightningNode } from '../node/node.ts';
import type { GatewayError } from './errors.ts';
import { listedOrders } from './flow/challenge-order.ts';
import { refuseUnpayable } from './flow/refuse-unpayable.ts';
import type { Store } from './ledger/store.ts';
import { createHealth, type Health } from './observe/health.ts';
import { createLiquidityWatch } from './observe/liquidity.ts';
import type { Log } from './observe/log.ts';
import type { Metrics } from './observe/metrics.ts';

/** What is watched, and who is told. */
export interface NodeWatchParts {
  readonly node: LightningNode;
  readonly store: Pick<Store, 'ping'>;
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
  /** Resolves after the first check of health. */
  start(): Promise<void>;
  stop(): void;
}

/** A node is behind its chain for a moment after each block: only what lasts longer stops the sale, seconds. */
const UNSYNCED_GRACE_SEC = 10;

/** Watches in the background, so that asking costs a challenge nothing. */
export function watchNode(parts: NodeWatchParts): NodeWatch {
  const { node, store, config, log, metrics, nowMs } = parts;
  const prices = () =>
    listedOrders(config(), node.capabilities).map(({ service, amountMsat }) => ({ service, amountMsat }));
  const liquidity = createLiquidityWatch({ node, prices, log, nowMs });
  metrics.readFrom({
    liquidity: () => liquidity.latest(),
    unsellable: () => liquidity.unsellable().length,
  });
  const health = createHealth({
    store,
    node,
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
      const refusal = refuseUnpayable({ notSynced: notSynced(), liquidity: liquidity.latest() }, amountMsat);
      if (refusal?.code === 'no-inbound') liquidity.recheck();
      return refusal;
    },
    async start() {
      // Not waited for: until it is known, nothing is refused.
      void liquidity.start();
      await health.start();
    },
    stop() {
      health.stop();
      liquidity.stop();
    },
  };
}
