import type { Msat } from './msat.ts';

/** The Bitcoin network that an invoice is for; it decides the invoice's prefix (`lnbc`, `lntb`, `lntbs`, `lnbcrt`). */
export type Network = 'mainnet' | 'testnet' | 'signet' | 'regtest';

/** What a backend can and cannot do; the gateway asks before it relies on any of it. */
export interface NodeCapabilities {
  /** Smallest amount of an invoice, msat. */
  readonly minInvoiceMsat: Msat;
  /** Amounts must be a multiple of this, msat: 1, or 1,000 for a backend that knows whole sats only. */
  readonly precisionMsat: Msat;
  /** An open invoice can be cancelled. */
  readonly cancel: boolean;
  /** {@link LightningNode.settlements} reports payments with a cursor that survives a restart. */
  readonly settlementFeed: boolean;
  /** Nothing here is real money. */
  readonly playMoney: boolean;
}

/** What to ask a node for. */
export interface InvoiceRequest {
  readonly amountMsat: Msat;
  /** Shown to the payer; at most 639 bytes of UTF-8 (BOLT 11, field `d`). */
  readonly memo: string;
  /** SHA-256 of a longer description, 64 lower-case hex digits: the invoice carries it in place of the memo (BOLT 11, field `h`). */
  readonly descriptionHash?: string;
  /** Seconds until the invoice can't be paid any more. */
  readonly expirySec: number;
}

/** An invoice on a payment hash whose preimage the node does not know. */
export interface HoldRequest extends InvoiceRequest {
  /** 64 lower-case hex digits. */
  readonly paymentHash: string;
}

/** An invoice as a node issued it. Not to be trusted before `checkInvoice` of bolt11.ts held. */
export interface Invoice {
  /** The BOLT 11 string. */
  readonly bolt11: string;
  /** 64 lower-case hex digits. */
  readonly paymentHash: string;
  readonly amountMsat: Msat;
  /** Unix seconds. */
  readonly expiresAtSec: number;
}

/** What has become of an invoice. */
export type InvoiceState =
  | { readonly kind: 'open' }
  | {
      readonly kind: 'settled';
      /** 64 hex digits. */
      readonly preimage: string;
      readonly paidMsat: Msat;
      readonly settledAtSec: number;
    }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'expired' };

/**
 * What has become of a hold invoice. `accepted`: a payment has arrived and waits to be settled or cancelled. It stays so when the
 * invoice's time is over; the node gives the money back by itself shortly before the channel would have to be closed for it.
 */
export type HoldState = InvoiceState | { readonly kind: 'accepted'; readonly paidMsat: Msat };

/** One settled invoice, as the feed reports it. */
export interface Settlement {
  /** Position in the feed: grows by at least 1 with each settlement; pass it back to go on after it. */
  readonly cursor: number;
  /** 64 lower-case hex digits. */
  readonly paymentHash: string;
  /** 64 lower-case hex digits. */
  readonly preimage: string;
  /** What its invoice asked for. */
  readonly invoiceMsat: Msat;
  readonly paidMsat: Msat;
  readonly settledAtSec: number;
}

/** One settled invoice, as the node keeps it. */
export interface SettledInvoice {
  /** 64 lower-case hex digits. */
  readonly paymentHash: string;
  readonly memo: string;
  readonly paidMsat: Msat;
  /** Unix seconds. */
  readonly createdAtSec: number;
  /** Unix seconds: when it could not be paid any more. */
  readonly expiresAtSec: number;
  /** Unix seconds. */
  readonly settledAtSec: number;
}

/** Which page of the settled invoices to read. */
export interface SettledQuery {
  /** Invoices made before it are left out, Unix seconds. */
  readonly createdFromSec: number;
  /** `next` of the page before; 0: the newest. */
  readonly before: number;
  /** Invoices looked at for this page, settled or not: a bound, not a promise. */
  readonly limit: number;
}

/** A page of settled invoices, newest page first. */
export interface SettledPage {
  readonly invoices: readonly SettledInvoice[];
  /** Where older ones begin; absent: there are no older ones in the range. */
  readonly next?: number;
}

/** Who and how a node is. */
export interface NodeInfo {
  readonly alias: string;
  /** 66 hex digits: the key that signs this node's invoices. */
  readonly publicKey: string;
  readonly network: Network;
  /** Also when the node may not be asked. */
  readonly synced: boolean;
  /** 0: not known. */
  readonly blockHeight: number;
}

/** What a node could be paid right now, and how it is connected. */
export interface Liquidity {
  /** What the peers of all open channels hold on their side, msat. */
  readonly inboundMsat: Msat;
  /**
   * No payment above this can arrive, however it is split: what the channels that work now can take together, msat. Below it a
   * payment may still find no route.
   */
  readonly largestReceivableMsat: Msat;
  readonly activeChannels: number;
  /** Open, but the peer is away. */
  readonly inactiveChannels: number;
  readonly peers: number;
  readonly blockHeight: number;
  /** Age of the newest block that the node knows, seconds. */
  readonly blockAgeSec: number;
  readonly synced: boolean;
}

/** Bounds on one request to a node. */
export interface NodeCallOptions {
  readonly signal?: AbortSignal;
}

/**
 * Invoices that take a payment and hold it until its receiver decides: {@link HoldInvoices.settle} takes the money,
 * {@link LightningNode.cancelInvoice} gives it back. Every method rejects with {@link NodeError} and with nothing else.
 */
export interface HoldInvoices {
  /** `rejected` when there is an invoice on that hash already. */
  create(request: HoldRequest, options?: NodeCallOptions): Promise<Invoice>;
  /** `undefined` when the node does not know the hash. */
  lookup(paymentHash: string, options?: NodeCallOptions): Promise<HoldState | undefined>;
  /**
   * Takes the held payment of the invoice on this preimage's hash, and shows the payer the preimage; again, it changes nothing.
   * `rejected` when nothing is held there: unpaid, cancelled, or no such invoice.
   */
  settle(preimage: string, options?: NodeCallOptions): Promise<void>;
  /**
   * The state now, then each next one, up to the last (settled, cancelled or expired) or until `signal` aborts. Of a hash that
   * the node does not know, nothing until it does. Ends by throwing NodeError when the connection is lost.
   */
  states(paymentHash: string, signal: AbortSignal): AsyncIterable<HoldState>;
}

/** The port that receives money. Every method rejects with {@link NodeError} and with nothing else. */
export interface LightningNode {
  readonly capabilities: NodeCapabilities;
  info(options?: NodeCallOptions): Promise<NodeInfo>;
  createInvoice(request: InvoiceRequest, options?: NodeCallOptions): Promise<Invoice>;
  /** `undefined` when the node does not know the hash. */
  lookupInvoice(paymentHash: string, options?: NodeCallOptions): Promise<InvoiceState | undefined>;
  /**
   * Cancels an open invoice, and one whose payment is held: the payer gets that back. Does nothing when it is settled, gone or
   * the node can't.
   */
  cancelInvoice(paymentHash: string, options?: NodeCallOptions): Promise<void>;
  /**
   * Settlements strictly after `cursor` (0: from the beginning), in order, then new ones as they happen, until `signal`
   * aborts. Ends by throwing NodeError when the connection is lost: the caller asks again from its last cursor.
   */
  settlements(cursor: number, signal: AbortSignal): AsyncIterable<Settlement>;
  /** Lists settled invoices back in time, for reconciliation; absent: the backend can't list them. */
  settledInvoices?(query: SettledQuery, options?: NodeCallOptions): Promise<SettledPage>;
  /** What can be received now. Absent, or rejecting: the node can't tell, and nothing may be refused for that. */
  receivable?(options?: NodeCallOptions): Promise<Liquidity>;
  /** Absent: the backend has no hold invoices. */
  readonly hold?: HoldInvoices;
  close(): Promise<void>;
}

/** What became of a payment that a wallet made. */
export type PaymentState =
  | { readonly kind: 'in-flight' }
  | {
      readonly kind: 'succeeded';
      /** 64 lower-case hex digits. */
      readonly preimage: string;
      readonly amountMsat: Msat;
      readonly feeMsat: Msat;
    }
  | {
      readonly kind: 'failed';
      /** Why, in words for a person (`no route`, `insufficient balance`, `invoice expired` …). */
      readonly reason: string;
    };

/** One line of a wallet's history. */
export interface PaymentRecord {
  readonly paymentHash: string;
  readonly amountMsat: Msat;
  readonly feeMsat: Msat;
  readonly memo: string;
  readonly createdAtSec: number;
  readonly state: PaymentState['kind'];
}

/** Limits on one payment. */
export interface PayOptions {
  readonly maxFeeMsat: Msat;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** The port that pays. */
export interface Payer {
  /**
   * Pays an invoice and waits for a final state. Resolves to `in-flight` when the time ran out: the payment may still
   * succeed, so look it up before paying anything again.
   * @throws NodeError
   */
  payInvoice(bolt11: string, options: PayOptions): Promise<PaymentState>;
  /** `undefined` when this wallet never tried to pay that hash. @throws NodeError */
  lookupPayment(paymentHash: string): Promise<PaymentState | undefined>;
  /** What can be spent now, msat. @throws NodeError */
  balanceMsat(): Promise<Msat>;
  /** The newest `limit` payments, newest first. @throws NodeError */
  history(limit: number): Promise<readonly PaymentRecord[]>;
  close(): Promise<void>;
}

/** Why a node did not do what was asked. */
export type NodeErrorCode =
  /** Refused, reset, DNS, TLS: nobody answered. */
  | 'unreachable'
  /** It answered too late; what was asked may or may not have happened. */
  | 'timeout'
  /** Locked, starting, not synced. */
  | 'not-ready'
  /** The macaroon, rune or password is wrong or lacks a right. */
  | 'unauthorized'
  /** It understood and refused (amount too small, memo too long …). */
  | 'rejected'
  /** Its answer does not have the documented form. */
  | 'protocol'
  /** It serves another network than the configured one. */
  | 'wrong-network'
  /** An invoice it returned has another hash, amount, network, payee, description or expiry than was asked. */
  | 'bad-invoice'
  /** Our own bound on requests under way is reached. */
  | 'busy';

/** The only error that a {@link LightningNode} or {@link Payer} rejects with. Never carries a macaroon, preimage or key. */
export class NodeError extends Error {
  readonly code: NodeErrorCode;

  constructor(code: NodeErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'NodeError';
    this.code = code;
  }
}
