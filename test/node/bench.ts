import { createLndNode } from '../../node/lnd.ts';
import { serveLndRest } from '../../node/simnet/lnd-rest.ts';
import { createSimnet } from '../../node/simnet/simnet.ts';
import type { Simnet, SimnetOptions } from '../../node/simnet/types.ts';
import { createSimulatedNode, createSimulatedPayer } from '../../node/simulated.ts';
import { type NodeBench, START_MS } from '../contract/node.contract.ts';

/** A network with a clock and latencies that the test sets. */
export function openTestNet(options: Partial<SimnetOptions> = {}) {
  let nowMs = START_MS;
  const waiting: (() => void)[] = [];
  let started = Promise.withResolvers<void>();
  const simnet = createSimnet({
    nowMs: () => nowMs,
    sleep: (_ms, signal) =>
      new Promise((resolve, reject) => {
        waiting.push(() => resolve(undefined));
        started.resolve();
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
    ...options,
  });
  return {
    simnet,
    nowMs: () => nowMs,
    advanceSec(seconds: number) {
      nowMs += seconds * 1000;
    },
    nextFlight() {
      started = Promise.withResolvers<void>();
      return started.promise;
    },
    releasePayments() {
      for (const release of waiting.splice(0)) release();
    },
  };
}

/** The in-process adapters on a network of their own. */
export async function openInProcessBench(): Promise<NodeBench> {
  const { simnet, advanceSec, nextFlight, releasePayments } = openTestNet();
  return {
    simnet,
    node: createSimulatedNode(simnet, 'gateway'),
    payer: createSimulatedPayer(simnet, 'default'),
    advanceSec,
    nextFlight,
    releasePayments,
    close: async () => simnet.close(),
  };
}

/** The LND adapter over real sockets to the network's LND surface. */
export async function openLndBench(): Promise<NodeBench> {
  const { simnet, nowMs, advanceSec, nextFlight, releasePayments } = openTestNet();
  const server = await serveLndRest(simnet, { host: '127.0.0.1', port: 0, nowMs });
  const node = connect(simnet, server.url, 'gateway', nowMs);
  const payer = connect(simnet, server.url, 'default', nowMs);
  return {
    simnet,
    node,
    payer,
    advanceSec,
    nextFlight,
    releasePayments,
    async close() {
      await Promise.all([node.close(), payer.close()]);
      await server.close();
      simnet.close();
    },
  };
}

function connect(simnet: Simnet, url: string, wallet: string, nowMs: () => number) {
  const { macaroon } = simnet.wallet(wallet);
  return createLndNode({ url, macaroon, network: 'regtest', playMoney: true, timeoutMs: 5_000, nowMs });
}
