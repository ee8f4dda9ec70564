import { z } from 'zod';
import type { Binaries } from './binaries.ts';
import { type Btcd, startBtcd } from './btcd.ts';
import { stopLeftProcess } from './left-process.ts';
import { type LndNode, lndNode } from './lnd-node.ts';
import { loadState, openFolder, type RegtestFolder, type RegtestState, saveState } from './state.ts';
import { type Patience, waitFor } from './wait-for.ts';

/** A private Lightning network: a chain, two nodes, and a channel with money on both sides. */
export interface RegtestNetwork {
  readonly folder: RegtestFolder;
  readonly state: RegtestState;
  /** Sells. */
  readonly merchant: LndNode;
  /** Pays. */
  readonly customer: LndNode;
  mine(blocks: number): Promise<void>;
  blockHeight(): Promise<number>;
  /** Waits until payments can go from the customer to the merchant: after a restart of either. */
  ready(): Promise<void>;
  /** What each side of the channel holds, sat. */
  balances(): Promise<{ readonly merchantSat: number; readonly customerSat: number }>;
  stop(): Promise<void>;
}

/** What starting a network needs. */
export interface NetworkOptions {
  /** All state; made when it is missing. */
  readonly dir: string;
  readonly binaries: Binaries;
  readonly say: (line: string) => void;
  /** Where the customer reaches the merchant's peer port, `host:port`; without it: there. */
  readonly merchantAddress?: (peerPort: number) => Promise<string>;
  /** Ends the start. */
  readonly signal?: AbortSignal;
}

/**
 * Segwit is active on regtest from block 432 on; before, the funding transaction is refused and nothing says so. 500 blocks
 * also make the first coinbases spendable.
 */
const FIRST_BLOCKS = 500;
/** So that Ctrl-C does not wait for all of them. */
const BLOCKS_AT_ONCE = 50;
const CHANNEL_SAT = 10_000_000;
/** A channel of this size is usable after 3 confirmations, and announced after 6. */
const CONFIRMATIONS = 6;
/** Generous: a machine that builds or tests something else beside it takes a minute where another takes five seconds. */
const LIMIT_MS = 180_000;
/** Asked of the router to see whether a payment can go: not paid. */
const PROBE_SAT = 1_000;

const infoSchema = z.object({ identity_pubkey: z.string(), synced_to_chain: z.boolean() });
const stateSchema = z.object({ state: z.string() });
const channelSchema = z.object({
  active: z.boolean(),
  local_balance: z.string(),
  remote_balance: z.string(),
});
const channelsSchema = z.object({ channels: z.array(channelSchema) });
const addressSchema = z.object({ address: z.string() });

/** Starts a network, or the one that the folder holds. Ends what it started when that fails. */
export async function startNetwork(options: NetworkOptions): Promise<RegtestNetwork> {
  const { dir, binaries, say, signal } = options;
  const folder = openFolder(dir);
  await stopLeftNetwork(folder);
  let state = await loadState(folder);
  const merchant = lndNode('merchant', binaries.lnd, folder, state);
  const customer = lndNode('customer', binaries.lnd, folder, state);
  let btcd: Btcd | undefined;
  const stop = async (): Promise<void> => {
    await Promise.all([merchant.stop(), customer.stop()]);
    await btcd?.stop();
  };
  try {
    say('Starting btcd and two LND nodes …');
    btcd = await startBtcd(binaries.btcd, folder, state, signal);
    if (state.miningAddress === undefined) {
      // btcd takes the address at its start only, and the wallet that gives one needs btcd. That wallet must not see btcd go: when
      // it is in the middle of its first look at the chain, it waits for the answer for ever.
      await customer.start(signal);
      state = { ...state, miningAddress: await newAddress(customer) };
      saveState(folder, state);
      await customer.kill();
      await btcd.stop();
      btcd = await startBtcd(binaries.btcd, folder, state, signal);
    }
    const chain = btcd;
    await extendChain(chain, options);
    await Promise.all([merchant.start(signal), customer.start(signal)]);
    const { peer } = state.merchant;
    const peerAddress = (await options.merchantAddress?.(peer)) ?? `127.0.0.1:${peer}`;
    const nodes = { merchant, customer, chain, peerAddress, patience: { limitMs: LIMIT_MS, signal } };
    await Promise.all([untilSynced(merchant, nodes.patience), untilSynced(customer, nodes.patience)]);
    await openChannel(nodes, say);
    return {
      folder,
      state,
      merchant,
      customer,
      mine: (blocks) => chain.mine(blocks),
      blockHeight: () => chain.blockHeight(),
      ready: () => untilPayable({ ...nodes, patience: { limitMs: LIMIT_MS } }),
      balances: () => readBalances(merchant),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Ends what a run that was killed has left behind in a folder. */
export async function stopLeftNetwork(folder: RegtestFolder): Promise<void> {
  await stopLeftProcess(folder, 'gateway');
  await Promise.all([stopLeftProcess(folder, 'merchant'), stopLeftProcess(folder, 'customer')]);
  await stopLeftProcess(folder, 'btcd');
}

interface Nodes {
  readonly merchant: LndNode;
  readonly customer: LndNode;
  readonly chain: Btcd;
  readonly peerAddress: string;
  readonly patience: Patience;
}

async function extendChain(
  chain: Btcd,
  { say, signal }: Pick<NetworkOptions, 'say' | 'signal'>,
): Promise<void> {
  const height = await chain.blockHeight();
  if (height < FIRST_BLOCKS) say(`Mining ${FIRST_BLOCKS - height} blocks …`);
  // One at least: LND takes a chain whose last block is old for one that is not synced.
  for (let left = Math.max(1, FIRST_BLOCKS - height); left > 0; left -= BLOCKS_AT_ONCE) {
    await chain.mine(Math.min(left, BLOCKS_AT_ONCE));
    signal?.throwIfAborted();
  }
}

async function openChannel(nodes: Nodes, say: NetworkOptions['say']): Promise<void> {
  const { customer, merchant, chain, patience } = nodes;
  await connectPeers(nodes);
  const { channels } = channelsSchema.parse(await customer.ask('GET', '/v1/channels'));
  if (channels.length === 0) {
    say('Opening a channel with half of the money on each side …');
    const request = {
      node_pubkey: Buffer.from((await info(merchant)).identity_pubkey, 'hex').toString('base64'),
      local_funding_amount: String(CHANNEL_SAT),
      push_sat: String(CHANNEL_SAT / 2),
      target_conf: 1,
    };
    // Refused until the wallet has seen the last block, which `synced_to_chain` does not promise.
    await waitFor('The channel', () => customer.ask('POST', '/v1/channels', request), patience);
    const pending = async () => ((await chain.mempool()).length > 0 ? true : undefined);
    await waitFor('The funding transaction', pending, patience);
    await chain.mine(CONFIRMATIONS);
  }
  await untilPayable(nodes);
}

/** The first payment fails until the payer's graph has the channel: wait for the route, not for a time. */
async function untilPayable(nodes: Nodes): Promise<void> {
  const { customer, merchant, patience } = nodes;
  await Promise.all([untilSynced(merchant, patience), untilSynced(customer, patience)]);
  await connectPeers(nodes);
  const { identity_pubkey: payee } = await info(merchant);
  const active = async (node: LndNode): Promise<boolean> =>
    channelsSchema.parse(await node.ask('GET', '/v1/channels')).channels.some((channel) => channel.active);
  await waitFor(
    'A route from the customer to the merchant',
    async () => {
      if (!((await active(customer)) && (await active(merchant)))) return undefined;
      await customer.ask('GET', `/v1/graph/routes/${payee}/${PROBE_SAT}`);
      return true;
    },
    patience,
  );
}

async function connectPeers({ merchant, customer, peerAddress: host, patience }: Nodes): Promise<void> {
  const { identity_pubkey: pubkey } = await info(merchant);
  const addr = { pubkey, host };
  await waitFor(
    'The connection between the nodes',
    async () => {
      await customer.ask('POST', '/v1/peers', { addr, perm: true }).catch((error: unknown) => {
        if (!(error instanceof Error && /already connected/.test(error.message))) throw error;
      });
      return true;
    },
    patience,
  );
}

async function untilSynced(node: LndNode, patience: Patience): Promise<void> {
  await waitFor(
    `lnd (${node.role}) following the chain`,
    async () => {
      const { state } = stateSchema.parse(await node.ask('GET', '/v1/state'));
      return state === 'SERVER_ACTIVE' && (await info(node)).synced_to_chain ? true : undefined;
    },
    patience,
  );
}

async function info(node: LndNode): Promise<z.infer<typeof infoSchema>> {
  return infoSchema.parse(await node.ask('GET', '/v1/getinfo'));
}

async function newAddress(node: LndNode): Promise<string> {
  return addressSchema.parse(await node.ask('GET', '/v1/newaddress?type=WITNESS_PUBKEY_HASH')).address;
}

async function readBalances(merchant: LndNode) {
  const { channels } = channelsSchema.parse(await merchant.ask('GET', '/v1/channels'));
  const sum = (key: 'local_balance' | 'remote_balance'): number =>
    channels.reduce((total, channel) => total + Number(channel[key]), 0);
  return { merchantSat: sum('local_balance'), customerSat: sum('remote_balance') };
}
