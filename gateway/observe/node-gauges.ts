import { Gauge, type Registry } from 'prom-client';
import type { Liquidity } from '../../node/node.ts';
import { createPulledGauge } from './cells.ts';
import { METRICS, type MetricDefinition } from './metric-table.ts';

const GAUGES: readonly (readonly [MetricDefinition, (now: Liquidity) => number])[] = [
  [METRICS.nodeInbound, (now) => now.inboundMsat],
  [METRICS.nodeReceivable, (now) => now.largestReceivableMsat],
  [METRICS.nodePeers, (now) => now.peers],
  [METRICS.nodeBlockHeight, (now) => now.blockHeight],
  [METRICS.nodeBlockAge, (now) => now.blockAgeSec],
  [METRICS.nodeSynced, (now) => (now.synced ? 1 : 0)],
];

/** Gauges of what the node can receive. NaN rather than 0 for what is not known: 0 is an alarm. */
export function createNodeGauges(registry: Registry, latest: () => Liquidity | undefined): void {
  for (const [definition, pick] of GAUGES) {
    createPulledGauge(definition, registry, () => {
      const now = latest();
      return now === undefined ? Number.NaN : pick(now);
    });
  }
  const channels: Gauge = new Gauge({
    name: METRICS.nodeChannels.name,
    help: METRICS.nodeChannels.help,
    labelNames: [...METRICS.nodeChannels.labels],
    registers: [registry],
    collect() {
      channels.reset();
      const now = latest();
      if (now === undefined) return;
      channels.set({ state: 'active' }, now.activeChannels);
      channels.set({ state: 'inactive' }, now.inactiveChannels);
    },
  });
}
