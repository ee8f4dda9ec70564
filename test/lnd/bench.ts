import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { findBinaries } from '../../deploy/regtest/binaries.ts';
import { lastLines } from '../../deploy/regtest/daemon.ts';
import type { LndNode } from '../../deploy/regtest/lnd-node.ts';
import { type RegtestNetwork, startNetwork } from '../../deploy/regtest/network.ts';
import { openFolder } from '../../deploy/regtest/state.ts';
import { createLndNode, type LndOptions } from '../../node/lnd.ts';
import { msat } from '../../node/msat.ts';
import type { LightningNode, Payer } from '../../node/node.ts';
import type { NodeBench } from '../contract/node.contract.ts';
import { eventually } from '../support/eventually.ts';
import { openPassage, type Passage } from './passage.ts';

/** A private network of real LND nodes for one test file. */
export interface RealNetwork extends RegtestNetwork {
  /** The lnd program. */
  readonly command: string;
  /** Ways to the REST interfaces of the two nodes. */
  readonly toMerchant: Passage;
  readonly toCustomer: Passage;
  /** Way to the merchant's gRPC interface. */
  readonly toMerchantGrpc: Passage;
  /** Stands between the customer's node and the merchant's: payments go through it. */
  readonly between: Passage;
  close(): Promise<void>;
}

// Node ends by these without a word to anybody: then LND and btcd would go on.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

/** Starts one in a folder of its own; the customer reaches the merchant through a passage that can be held. */
export async function openRealNetwork(): Promise<RealNetwork> {
  const dir = await mkdtemp(path.join(tmpdir(), 'sluice-lnd-'));
  const lines: string[] = [];
  const say = (line: string): void => void lines.push(line);
  const passages: Passage[] = [];
  const open = async (port: number): Promise<Passage> => {
    const passage = await openPassage(port);
    passages.push(passage);
    return passage;
  };
  const close = async (): Promise<void> => {
    for (const passage of passages) await passage.close();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const binaries = await findBinaries({ env: process.env, say });
    const opened = Promise.withResolvers<Passage>();
    const merchantAddress = async (port: number): Promise<string> => {
      const passage = await open(port);
      opened.resolve(passage);
      return `127.0.0.1:${passage.port}`;
    };
    const network = await startNetwork({ dir, binaries, say, merchantAddress });
    const between = await opened.promise;
    const toMerchant = await open(portOf(network.merchant.url));
    const toCustomer = await open(portOf(network.customer.url));
    const toMerchantGrpc = await open(portOf(network.merchant.grpcUrl));
    return {
      ...network,
      command: binaries.lnd,
      toMerchant,
      toCustomer,
      toMerchantGrpc,
      between,
      async close() {
        await network.stop();
        await close();
      },
    };
  } catch (error) {
    const logs = lastWords(dir);
    // An open passage would keep this process from its end.
    await close();
    throw new Error(`the network did not start: ${lines.join(' ')}\n${logs}`, { cause: error });
  }
}

/** The end of every log, for a message about what went wrong. */
function lastWords(dir: string): string {
  const { logOf } = openFolder(dir);
  const members = ['btcd', 'merchant', 'customer'] as const;
  return members.map((member) => `${member}:\n${lastLines(logOf(member), 15)}`).join('\n');
}

/** A client of a node with one of its macaroons. */
export function clientOf(
  node: LndNode,
  macaroon: string,
  change: Partial<LndOptions> = {},
): LightningNode & Payer {
  return createLndNode({
    url: node.url,
    macaroon: readFileSync(node.macaroonFile(macaroon), 'hex'),
    tlsCertPem: readFileSync(node.tlsCertFile, 'utf8'),
    network: 'regtest',
    ...change,
  });
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

const invoicesSchema = z.object({ invoices: z.array(z.object({ settle_index: z.string() })) });
const channelsSchema = z.object({
  channels: z.array(z.object({ active: z.boolean(), pending_htlcs: z.array(z.unknown()) })),
});
const infoSchema = z.object({ identity_pubkey: z.string() });

/**
 * The adapter on real nodes, for the contract that the simulated one passes. The network is shared by all benches.
 * @param invoices - the interface that invoices are asked for at
 */
export async function openRealBench(network: RealNetwork, invoices: 'rest' | 'grpc'): Promise<NodeBench> {
  const { merchant, customer, toMerchant, toCustomer, toMerchantGrpc } = network;
  const ways = [toMerchant, toCustomer, toMerchantGrpc];
  // A payer knows the preimage before both sides have agreed on the balances: those of the next test would still move.
  for (const member of [merchant, customer]) {
    await eventually(
      () => channelsOf(member),
      (all) => all.every((channel) => channel.pending_htlcs.length === 0),
    );
  }
  const node = clientOf(merchant, 'admin', {
    url: `https://127.0.0.1:${toMerchant.port}`,
    ...(invoices === 'grpc' ? { grpcUrl: `https://127.0.0.1:${toMerchantGrpc.port}` } : {}),
  });
  const payer = clientOf(customer, 'admin', { url: `https://127.0.0.1:${toCustomer.port}` });
  const receiver = clientOf(merchant, 'admin');
  const listed = invoicesSchema.parse(await merchant.ask('GET', '/v1/invoices?num_max_invoices=10000'));
  const { identity_pubkey: receiverKey } = infoSchema.parse(await merchant.ask('GET', '/v1/getinfo'));
  return {
    node,
    payer,
    receiverKey,
    start: Math.max(0, ...listed.invoices.map((invoice) => Number(invoice.settle_index))),
    nowSec: () => Math.floor(Date.now() / 1000),
    receiverMsat: () => receiver.balanceMsat(),
    async expiredInvoice() {
      const invoice = await receiver.createInvoice({ amountMsat: msat(10_000), memo: 'test', expirySec: 1 });
      await eventually(
        () => receiver.lookupInvoice(invoice.paymentHash),
        (state) => state?.kind === 'expired',
      );
      return invoice;
    },
    async setOffline(offline) {
      for (const way of ways) way.setShut(offline);
    },
    async failPayments(fail) {
      network.between.setShut(fail);
      if (!fail) return await network.ready();
      // LND would take a payment into a channel whose end it has not noticed yet.
      await eventually(
        () => channelsOf(customer),
        (all) => all.every((channel) => !channel.active),
      );
    },
    holdPayments: () => network.between.hold(),
    nextFlight: () =>
      eventually(
        () => payer.history(1),
        ([newest]) => newest?.state === 'in-flight',
      ).then(() => undefined),
    releasePayments: () => network.between.release(),
    flightMs: 2_000,
    async close() {
      for (const way of ways) way.setShut(false);
      network.between.setShut(false);
      network.between.release();
      await Promise.all([node.close(), payer.close(), receiver.close()]);
    },
  };
}

async function channelsOf(member: LndNode) {
  return channelsSchema.parse(await member.ask('GET', '/v1/channels')).channels;
}
