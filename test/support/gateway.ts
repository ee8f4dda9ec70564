import { createHash } from 'node:crypto';
import type { Config, ServiceConfig } from '../../config/config.ts';
import type { Bus } from '../../gateway/bus/bus.ts';
import type { SharedClients } from '../../gateway/flow/shared-clients.ts';
import { type Gateway, startGateway } from '../../gateway/gateway.ts';
import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import type { Store } from '../../gateway/ledger/store.ts';
import { createLog, type Log } from '../../gateway/observe/log.ts';
import { createMetrics, type Metrics } from '../../gateway/observe/metrics.ts';
import type { SessionTable } from '../../gateway/session/table.ts';
import { msat } from '../../node/msat.ts';
import type { LightningNode, Payer } from '../../node/node.ts';
import { createSimnet, DEFAULT_WALLET, GATEWAY_WALLET } from '../../node/simnet/simnet.ts';
import type { Simnet } from '../../node/simnet/types.ts';
import { createSimulatedNode, createSimulatedPayer } from '../../node/simulated.ts';
import { testConfig } from './config.ts';

/** A gateway in this process, on free ports, with a payer who has play money. */
export interface TestGateway {
  readonly url: string;
  readonly adminUrl: string;
  readonly adminToken: string;
  readonly gateway: Gateway;
  readonly store: Store;
  readonly simnet: Simnet;
  readonly payer: Payer;
  readonly metrics: Metrics;
  readonly clock: { ms: number };
  /** Pays an invoice. @returns the preimage, hex */
  pay(bolt11: string): Promise<string>;
  stop(): Promise<void>;
}

/** What may differ from a plain test gateway. */
export interface TestGatewayOptions {
  readonly config?: Partial<Config>;
  readonly store?: Store;
  /** Stands between the gateway and the simulated node. */
  readonly wrapNode?: (node: LightningNode) => LightningNode;
  readonly masterKeys?: readonly Buffer[];
  readonly clock?: { ms: number };
  readonly simnet?: Simnet;
  readonly log?: Log;
  readonly ledgerDir?: string;
  readonly bus?: Bus;
  readonly sessions?: SessionTable;
  readonly sharedClients?: SharedClients;
  /** Pays in place of a wallet on the simulated network. Not closed with the gateway. */
  readonly payer?: Payer;
}

/** The master key of test gateways, so that two of them accept the same credentials over one store. */
export const TEST_MASTER_KEY = createHash('sha256').update('test master key').digest();

/** Starts a gateway that sells these services. */
export async function startTestGateway(
  services: readonly ServiceConfig[],
  options: TestGatewayOptions = {},
): Promise<TestGateway> {
  const clock = options.clock ?? { ms: Date.now() };
  const nowMs = (): number => clock.ms;
  const simnet = options.simnet ?? createSimnet({ nowMs });
  const node = createSimulatedNode(simnet, GATEWAY_WALLET);
  const payer = options.payer ?? createSimulatedPayer(simnet, DEFAULT_WALLET);
  const store = options.store ?? createMemoryStore({ nowMs });
  const metrics = createMetrics({ version: 'test' });
  const adminToken = 'test-admin-token';
  const gateway = await startGateway({
    config: testConfig(services, options.config),
    node: options.wrapNode?.(node) ?? node,
    store,
    storeName: 'test',
    masterKeys: options.masterKeys ?? [TEST_MASTER_KEY],
    ...(options.ledgerDir === undefined ? {} : { ledgerDir: options.ledgerDir }),
    ...(options.bus === undefined ? {} : { bus: options.bus }),
    ...(options.sessions === undefined ? {} : { sessions: options.sessions }),
    ...(options.sharedClients === undefined ? {} : { sharedClients: options.sharedClients }),
    adminToken,
    log: options.log ?? createLog({ level: 'silent', format: 'json' }),
    metrics,
    nowMs,
  });
  const [address] = gateway.addresses;
  if (address === undefined) throw new Error('the test gateway has no listener');
  return {
    url: address.url,
    adminUrl: gateway.adminAddress.url,
    adminToken,
    gateway,
    store,
    simnet,
    payer,
    metrics,
    clock,
    async pay(bolt11) {
      const state = await payer.payInvoice(bolt11, { maxFeeMsat: msat(10_000), timeoutMs: 5_000 });
      if (state.kind !== 'succeeded') throw new Error(`the payment ended ${state.kind}`);
      return state.preimage;
    },
    async stop() {
      await gateway.stop();
      if (options.store === undefined) await store.close();
      if (options.simnet === undefined) simnet.close();
    },
  };
}

/** A challenge as a client sees it. */
export interface SeenChallenge {
  readonly macaroon: string;
  readonly invoice: string;
  readonly paymentHash: string;
  readonly amountMsat: number;
  readonly reason: string;
}

/** Asks without a credential, or with one that does not pay, and reads the challenge. */
export async function askChallenge(url: string, init: RequestInit = {}): Promise<SeenChallenge> {
  const response = await fetch(url, init);
  const body: unknown = await response.json();
  if (response.status !== 402 || !isChallengeBody(body)) {
    throw new Error(`expected a challenge and got ${response.status}: ${JSON.stringify(body)}`);
  }
  return { ...body, reason: body.error.reason };
}

function isChallengeBody(
  body: unknown,
): body is Omit<SeenChallenge, 'reason'> & { error: { reason: string } } {
  return (
    typeof body === 'object' && body !== null && 'macaroon' in body && 'invoice' in body && 'error' in body
  );
}

/** Buys a credential: asks, pays, and puts the Authorization value together. */
export async function buy(gateway: TestGateway, path: string, init: RequestInit = {}): Promise<string> {
  const challenge = await askChallenge(gateway.url + path, init);
  return `L402 ${challenge.macaroon}:${await gateway.pay(challenge.invoice)}`;
}

/** A request that carries a credential. */
export function withCredential(authorization: string, init: RequestInit = {}): RequestInit {
  return { ...init, headers: { ...init.headers, Authorization: authorization } };
}
