import { type DecodedInvoice, MAX_MEMO_BYTES } from '../bolt11.ts';
import type { Msat } from '../msat.ts';
import type { SignedInvoice, Simnet, SimnetInvoice, SimnetPayment, SimnetWallet } from './types.ts';

/*
 * LND 0.21's REST forms (lnrpc protos through protojson, proto names, unset fields written out): 64-bit integers as
 * strings, bytes as standard base64. Source: lightningnetwork/lnd v0.21.2-beta, lnrpc/lightning.proto and
 * lnrpc/invoicesrpc/utils.go. One deviation, on purpose: the preimage of an unpaid invoice is not shown even to its
 * receiver.
 */

/** One answer's worth of JSON. */
export type Json = { readonly [field: string]: unknown };

const INVOICE_STATE = {
  open: 'OPEN',
  accepted: 'ACCEPTED',
  settled: 'SETTLED',
  cancelled: 'CANCELED',
  // LND cancels an invoice when it expires.
  expired: 'CANCELED',
} as const satisfies Record<SimnetInvoice['state'], string>;

const PAYMENT_STATUS = {
  'in-flight': 'IN_FLIGHT',
  succeeded: 'SUCCEEDED',
  failed: 'FAILED',
} as const satisfies Record<SimnetPayment['state'], string>;

/** The bits that `signInvoice` sets. */
const INVOICE_FEATURES = {
  8: { name: 'tlv-onion', is_required: true, is_known: true },
  14: { name: 'payment-addr', is_required: true, is_known: true },
  17: { name: 'multi-path-payments', is_required: false, is_known: true },
};

const NO_PREIMAGE = '00'.repeat(32);
const MIN_FINAL_CLTV_EXPIRY = '18';

/** `lnrpc.Invoice`. */
export function invoiceJson(invoice: SignedInvoice): Json {
  const paidSat = String(Math.floor(invoice.paidMsat / 1000));
  return {
    memo: invoice.memo,
    r_preimage: base64(invoice.preimage ?? ''),
    r_hash: base64(invoice.paymentHash),
    value: String(Math.floor(invoice.amountMsat / 1000)),
    value_msat: String(invoice.amountMsat),
    settled: invoice.state === 'settled',
    creation_date: String(invoice.createdSec),
    settle_date: String(invoice.settledSec),
    payment_request: invoice.bolt11,
    description_hash: base64(invoice.descriptionHash ?? ''),
    expiry: String(invoice.expirySec),
    fallback_addr: '',
    cltv_expiry: MIN_FINAL_CLTV_EXPIRY,
    route_hints: [],
    private: false,
    add_index: String(invoice.addIndex),
    settle_index: String(invoice.settleIndex),
    amt_paid: String(invoice.paidMsat),
    amt_paid_sat: paidSat,
    amt_paid_msat: String(invoice.paidMsat),
    state: INVOICE_STATE[invoice.state],
    htlcs: [],
    features: INVOICE_FEATURES,
    is_keysend: false,
    payment_addr: base64(invoice.paymentSecret),
    is_amp: false,
    amp_invoice_state: {},
    is_blinded: false,
    blinded_path_config: null,
  };
}

/** `lnrpc.Payment`. */
export function paymentJson(payment: SimnetPayment): Json {
  const valueSat = String(Math.floor(payment.amountMsat / 1000));
  // The fee of what has not settled is not a fee yet.
  const feeMsat = payment.state === 'succeeded' ? payment.feeMsat : 0;
  const feeSat = String(Math.floor(feeMsat / 1000));
  return {
    payment_hash: payment.paymentHash,
    value: valueSat,
    creation_date: String(Math.floor(payment.createdMs / 1000)),
    fee: feeSat,
    payment_preimage: payment.preimage ?? NO_PREIMAGE,
    value_sat: valueSat,
    value_msat: String(payment.amountMsat),
    payment_request: payment.bolt11,
    status: PAYMENT_STATUS[payment.state],
    fee_sat: feeSat,
    fee_msat: String(feeMsat),
    creation_time_ns: String(BigInt(payment.createdMs) * 1_000_000n),
    htlcs: [],
    payment_index: String(payment.index),
    failure_reason: payment.failure,
    first_hop_custom_records: {},
  };
}

/** `lnrpc.PayReq`. */
export function payReqJson(decoded: DecodedInvoice): Json {
  const amountMsat = decoded.amountMsat ?? 0;
  return {
    destination: decoded.payee,
    payment_hash: decoded.paymentHash,
    num_satoshis: String(Math.floor(amountMsat / 1000)),
    timestamp: String(decoded.timestampSec),
    expiry: String(decoded.expirySec),
    description: (decoded.memo ?? '').slice(0, MAX_MEMO_BYTES),
    description_hash: decoded.descriptionHash ?? '',
    fallback_addr: '',
    cltv_expiry: MIN_FINAL_CLTV_EXPIRY,
    route_hints: [],
    payment_addr: base64(decoded.paymentSecret),
    num_msat: String(amountMsat),
    features: INVOICE_FEATURES,
    blinded_paths: [],
  };
}

/** `lnrpc.GetInfoResponse`. */
export function infoJson(simnet: Simnet, wallet: SimnetWallet, nowSec: number): Json {
  return {
    version: '0.21.2-beta sluice-simnet',
    commit_hash: '',
    identity_pubkey: wallet.publicKey,
    alias: `simnet/${wallet.name}`,
    color: '#3399ff',
    num_pending_channels: 0,
    num_active_channels: 1,
    num_inactive_channels: 0,
    num_peers: 1,
    block_height: 1,
    block_hash: NO_PREIMAGE,
    best_header_timestamp: String(nowSec),
    synced_to_chain: true,
    synced_to_graph: true,
    testnet: false,
    chains: [{ chain: 'bitcoin', network: simnet.network }],
    uris: [],
    features: {},
    require_htlc_interceptor: false,
    store_final_htlc_resolutions: false,
    wallet_synced: true,
  };
}

/** `lnrpc.ChannelBalanceResponse`. */
export function balanceJson(wallet: SimnetWallet): Json {
  const local = wallet.balanceMsat();
  return {
    balance: String(Math.floor(local / 1000)),
    pending_open_balance: '0',
    local_balance: amountJson(local),
    remote_balance: amountJson(wallet.inboundMsat()),
    unsettled_local_balance: amountJson(0),
    unsettled_remote_balance: amountJson(wallet.inFlightMsat()),
    pending_open_local_balance: amountJson(0),
    pending_open_remote_balance: amountJson(0),
    custom_channel_data: '',
  };
}

/** `lnrpc.ListChannelsResponse`: one channel with all the wallet's money, to a hub that has no key. */
export function channelsJson(wallet: SimnetWallet): Json {
  const [local, remote] = [sat(wallet.balanceMsat()), sat(wallet.inboundMsat())];
  const unsettled = sat(wallet.inFlightMsat());
  const constraints = {
    csv_delay: 144,
    chan_reserve_sat: '0',
    dust_limit_sat: '354',
    max_pending_amt_msat: String((local + remote) * 1000),
    min_htlc_msat: '1',
    max_accepted_htlcs: 483,
  };
  return {
    channels: [
      {
        active: true,
        remote_pubkey: wallet.publicKey,
        channel_point: `${NO_PREIMAGE}:0`,
        chan_id: '1',
        capacity: String(local + remote + unsettled),
        local_balance: String(local),
        remote_balance: String(remote),
        commit_fee: '0',
        unsettled_balance: String(unsettled),
        private: false,
        initiator: true,
        pending_htlcs: [],
        commitment_type: 'ANCHORS',
        local_constraints: constraints,
        remote_constraints: constraints,
        peer_alias: 'simnet',
      },
    ],
  };
}

/** Standard base64 of hex digits. */
export function base64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

function amountJson(amountMsat: Msat | 0): Json {
  return { sat: String(sat(amountMsat)), msat: String(amountMsat) };
}

function sat(amountMsat: number): number {
  return Math.floor(amountMsat / 1000);
}
