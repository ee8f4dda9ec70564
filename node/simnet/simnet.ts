import { createHash, createSecretKey, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { publicKeyOf } from '../bolt11.ts';
import { msat, sats, ZERO_MSAT } from '../msat.ts';
import { NodeError } from '../node.ts';
import { announce, type Core, type Peer } from './core.ts';
import { openSimnetFile } from './file.ts';
import { addInvoice, cancelInvoice, findInvoice, listInvoices, settleInvoice, signed } from './invoices.ts';
import { createOpenInvoices } from './open-invoices.ts';
import { findPayment, listPayments, startPayment } from './payments.ts';
import { createRecords, type WalletRecord } from './records.ts';
import type { Simnet, SimnetOptions, SimnetSettings, SimnetWallet, WalletFunds } from './types.ts';

/** The wallet that receives for the gateway, and the one that clients pay from unless they name another. */
export const GATEWAY_WALLET = 'gateway';
export const DEFAULT_WALLET = 'default';

const DEFAULT_SETTINGS: SimnetSettings = {
  latencyMs: 0,
  failureRate: 0,
  feePpm: 0,
  baseFeeMsat: ZERO_MSAT,
  offline: false,
};

/** A merchant starts with nothing but inbound liquidity (10 BTC); anybody else with a million sat to spend. */
const MERCHANT_FUNDS: WalletFunds = { balanceMsat: ZERO_MSAT, inboundMsat: sats(1_000_000_000) };
const PAYER_FUNDS: WalletFunds = { balanceMsat: sats(1_000_000), inboundMsat: sats(1_000_000_000) };

/** Names come from command lines and show in aliases. */
const WALLET_NAME = /^[a-z0-9_-]{1,64}$/;

const MAX_OPEN_INVOICES = 250_000;

/**
 * A Lightning network of play money in this process: nodes that sign real regtest invoices, and wallets that learn a
 * preimage only by paying. Payments are atomic and, with a `file`, on disk before the payer learns the preimage.
 * @throws NodeError `not-ready` when the file is in use or unreadable.
 */
export function createSimnet(options: SimnetOptions): Simnet {
  const random = options.randomBytes ?? randomBytes;
  const closing = new AbortController();
  const core = createCore(options, closing.signal);
  const wallets = new Map<string, SimnetWallet>();
  const byMacaroon = new Map<string, SimnetWallet>();

  const enter = (record: WalletRecord): SimnetWallet => {
    const peer = createPeer(record, random(32));
    const wallet = createWallet(core, peer);
    core.peers.set(peer.name, peer);
    wallets.set(peer.name, wallet);
    byMacaroon.set(fingerprint(peer.macaroon), wallet);
    return wallet;
  };
  for (const record of core.records.wallets()) enter(record);

  const open = (name: string, funds: WalletFunds): SimnetWallet => {
    if (!WALLET_NAME.test(name)) {
      throw new NodeError(
        'rejected',
        'A wallet of the simulated network is named with a-z, 0-9, - and _, at most 64.',
      );
    }
    const record = {
      name,
      privateKey: newPrivateKey(random),
      macaroon: random(32).toString('hex'),
      nextAddIndex: 1,
    };
    core.records.addWallet(record, funds);
    return enter(record);
  };
  const wallet = (name: string, funds?: WalletFunds): SimnetWallet =>
    wallets.get(name) ?? open(name, funds ?? (name === GATEWAY_WALLET ? MERCHANT_FUNDS : PAYER_FUNDS));
  wallet(GATEWAY_WALLET);
  wallet(DEFAULT_WALLET);

  return {
    network: core.network,
    get settings() {
      return core.settings;
    },
    configure(change) {
      core.settings = checkSettings({ ...core.settings, ...change });
      for (const peer of core.peers.values()) announce(peer, { kind: 'network' });
    },
    wallet,
    // By fingerprint: how long a look-up takes must say nothing about the macaroons that exist.
    walletByMacaroon: (macaroon) => byMacaroon.get(fingerprint(macaroon.toLowerCase())),
    walletNames: () => [...wallets.keys()],
    closing: closing.signal,
    openInvoices: () => core.open.size(),
    close() {
      if (closing.signal.aborted) return;
      closing.abort();
      for (const peer of core.peers.values()) announce(peer, { kind: 'network' });
      core.records.close();
    },
  };
}

function createCore(options: SimnetOptions, closing: AbortSignal): Core {
  const { latencyMs, failureRate, feePpm, baseFeeMsat, offline } = { ...DEFAULT_SETTINGS, ...options };
  const settings = checkSettings({ latencyMs, failureRate, feePpm, baseFeeMsat, offline });
  return {
    network: options.network ?? 'regtest',
    records: createRecords(openSimnetFile(options.file)),
    open: createOpenInvoices(options.maxOpenInvoices ?? MAX_OPEN_INVOICES, () =>
      Math.floor(options.nowMs() / 1000),
    ),
    peers: new Map(),
    closing,
    nowMs: options.nowMs,
    randomFraction: options.randomFraction ?? Math.random,
    sleep: options.sleep ?? ((ms, signal) => sleep(ms, undefined, { signal })),
    settings,
  };
}

function createPeer(record: WalletRecord, invoiceSecret: Buffer): Peer {
  return {
    name: record.name,
    privateKey: record.privateKey,
    publicKey: publicKeyOf(record.privateKey),
    macaroon: record.macaroon,
    invoiceSecret: createSecretKey(invoiceSecret),
    listeners: new Set(),
    flights: new Map(),
    nextAddIndex: record.nextAddIndex,
    reservedAddIndex: record.nextAddIndex,
    inFlightMsat: 0,
    heldMsat: 0,
  };
}

function createWallet(core: Core, peer: Peer): SimnetWallet {
  return {
    name: peer.name,
    publicKey: peer.publicKey,
    macaroon: peer.macaroon,
    balanceMsat: () => msat(Math.max(0, core.records.funds(peer.name).balanceMsat - peer.inFlightMsat)),
    inFlightMsat: () => msat(peer.inFlightMsat),
    inboundMsat: () => msat(Math.max(0, core.records.funds(peer.name).inboundMsat - peer.heldMsat)),
    addInvoice: (invoice) => addInvoice(core, peer, invoice),
    invoice: (paymentHash) => findInvoice(core, peer, paymentHash),
    signed: (invoice) => signed(core, peer, invoice),
    invoices: (page) => listInvoices(core, peer, page),
    cancelInvoice: (paymentHash) => cancelInvoice(core, peer, paymentHash),
    settleInvoice: (preimage) => settleInvoice(core, peer, preimage),
    settledAfter: (settleIndex, limit) => core.records.settledAfter(peer.name, settleIndex, limit),
    settleIndex: () => core.records.settleIndex(peer.name),
    listen(listener) {
      peer.listeners.add(listener);
      return () => void peer.listeners.delete(listener);
    },
    pay: (request) => startPayment(core, peer, request),
    payment: (paymentHash) => findPayment(core, peer, paymentHash),
    finalPayment: async (paymentHash) =>
      peer.flights.get(paymentHash)?.final ?? core.records.payment(peer.name, paymentHash),
    payments: (page) => listPayments(core, peer, page),
  };
}

function checkSettings(settings: SimnetSettings): SimnetSettings {
  const { latencyMs, failureRate, feePpm, baseFeeMsat } = settings;
  if (!(latencyMs >= 0 && latencyMs <= 3_600_000))
    throw new RangeError('latencyMs must be from 0 to 3600000');
  if (!(failureRate >= 0 && failureRate <= 1)) throw new RangeError('failureRate must be from 0 to 1');
  if (!(Number.isSafeInteger(feePpm) && feePpm >= 0 && feePpm <= 1_000_000)) {
    throw new RangeError('feePpm must be a whole number from 0 to 1000000');
  }
  msat(baseFeeMsat);
  return settings;
}

/** Any 32 bytes but zero and those above the curve's order are a key; one in 2^128 draws is not. */
function newPrivateKey(random: (size: number) => Buffer): Buffer {
  const key = random(32);
  publicKeyOf(key);
  return key;
}

function fingerprint(macaroon: string): string {
  return createHash('sha256').update(macaroon).digest('base64');
}
