import { createLndNode, type LndOptions } from '../../node/lnd.ts';
import { msat } from '../../node/msat.ts';
import { serveLndRest } from '../../node/simnet/lnd-rest.ts';
import { createSimnet } from '../../node/simnet/simnet.ts';
import type { Simnet, SimnetOptions } from '../../node/simnet/types.ts';
import { createSimulatedNode, createSimulatedPayer } from '../../node/simulated.ts';
import { type SimulatedBench, START_MS } from '../contract/node.contract.ts';
import { serveSimnetGrpc } from './lnd/simnet-grpc.ts';
import { TLS_CERT } from './lnd/tls.ts';

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
export async function openInProcessBench(): Promise<SimulatedBench> {
  const net = openTestNet();
  const { simnet } = net;
  return {
    ...controls(net),
    node: createSimulatedNode(simnet, 'gateway'),
    payer: createSimulatedPayer(simnet, 'default'),
    close: async () => simnet.close(),
  };
}

/**
 * The LND adapter over real sockets to the network's LND surface.
 * @param invoices - the interface that the receiver's invoices are asked for at
 */
export async function openLndBench(invoices: 'rest' | 'grpc'): Promise<SimulatedBench> {
  const net = openTestNet();
  const { simnet, nowMs } = net;
  const server = await serveLndRest(simnet, { host: '127.0.0.1', port: 0, nowMs });
  const grpc = invoices === 'grpc' ? await serveSimnetGrpc(simnet) : undefined;
  const ways = grpc === undefined ? {} : { grpcUrl: grpc.url, tlsCertPem: TLS_CERT };
  const node = connect(simnet, server.url, 'gateway', nowMs, ways);
  const payer = connect(simnet, server.url, 'default', nowMs);
  return {
    ...controls(net),
    node,
    payer,
    async close() {
      await Promise.all([node.close(), payer.close()]);
      await Promise.all([server.close(), grpc?.close()]);
      simnet.close();
    },
  };
}

/** What the contract does to a network, here. */
function controls(net: ReturnType<typeof openTestNet>) {
  const { simnet, nowMs, advanceSec, nextFlight, releasePayments } = net;
  const receiver = simnet.wallet('gateway');
  return {
    start: 0,
    receiverKey: receiver.publicKey,
    nowSec: () => Math.floor(nowMs() / 1000),
    receiverMsat: async () => receiver.balanceMsat(),
    async expiredInvoice() {
      const invoice = await createSimulatedNode(simnet, 'gateway').createInvoice({
        amountMsat: msat(10_000),
        memo: 'test',
        expirySec: 60,
      });
      advanceSec(61);
      return invoice;
    },
    setOffline: async (offline: boolean) => simnet.configure({ offline }),
    failPayments: async (fail: boolean) => simnet.configure({ failureRate: fail ? 1 : 0 }),
    holdPayments: () => simnet.configure({ latencyMs: 1 }),
    nextFlight,
    releasePayments,
    flightMs: 150,
    simulated: { simnet, advanceSec },
  };
}

function connect(
  simnet: Simnet,
  url: string,
  wallet: string,
  nowMs: () => number,
  ways: Partial<LndOptions> = {},
) {
  const { macaroon } = simnet.wallet(wallet);
  return createLndNode({
    url,
    macaroon,
    network: 'regtest',
    playMoney: true,
    timeoutMs: 5_000,
    nowMs,
    ...ways,
  });
}
