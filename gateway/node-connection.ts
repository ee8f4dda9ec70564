import type { Config } from '../config/config.ts';
import type { NodeDeps } from '../node/index.ts';
import { announceCircuit } from './observe/announce-circuit.ts';
import type { Log } from './observe/log.ts';
import type { Metrics } from './observe/metrics.ts';

/** Bounds that no configuration makes tighter: lists and looks of the background take longer than a client is kept waiting. */
const LEAST_TIMEOUT_MS = 10_000;
const LEAST_CONCURRENCY = 64;

/** How a gateway opens its node: within the bounds of its configuration, and telling when the node does not answer. */
export function nodeConnection({ dataDir, challenge }: Config, log: Log, metrics: Metrics): NodeDeps {
  return {
    dataDir,
    nowMs: Date.now,
    timeoutMs: Math.max(LEAST_TIMEOUT_MS, challenge.nodeTimeoutMs),
    // Beside the challenges, look-ups and the watch ask too.
    concurrency: Math.max(LEAST_CONCURRENCY, 2 * challenge.nodeConcurrency),
    onCircuit: announceCircuit(log, metrics),
  };
}
