import type { Msat } from '../msat.ts';
import type { Network } from '../node.ts';

/** How the simulated network behaves. May be changed at run time with {@link Simnet.configure}. */
export interface SimnetSettings {
  /** Each payment is in flight for so long, ms. */
  readonly latencyMs: number;
  /** Share of payments that find no route, 0 to 1. */
  readonly failureRate: number;
  /** Routing fee that the payer pays, in millionths of the amount. */
  readonly feePpm: number;
  /** Routing fee of each payment, msat. */
  readonly baseFeeMsat: Msat;
  /** The nodes answer nobody: every call is refused as if nothing listened. */
  readonly offline: boolean;
}

/** What is injected, so that tests are deterministic. */
export interface SimnetOptions extends Partial<SimnetSettings> {
  readonly nowMs: () => number;
  /** SQLite file for wallets, settled invoices and payments; absent: memory only. */
  readonly file?: string;
  readonly network?: 'regtest';
  /** Random bytes for keys and macaroons. */
  readonly randomBytes?: (size: number) => Buffer;
  /** A number from 0 up to but not including 1, drawn for each payment against `failureRate`. */
  readonly randomFraction?: () => number;
  /** Waits; rejects when the signal aborts. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>;
  /** Unpaid invoices kept at once, over all wallets (about 250 bytes each). Default 250,000. */
  readonly maxOpenInvoices?: number;
}

/** What a new wallet starts with. */
export interface WalletFunds {
  /** What it can spend. */
  readonly balanceMsat: Msat;
  /** What it can receive. */
  readonly inboundMsat: Msat;
}

/** The simulated Lightning network: nodes with a wallet each, by name. All play money. */
export interface Simnet {
  readonly network: Network;
  readonly settings: SimnetSettings;
  configure(change: Partial<SimnetSettings>): void;
  /** The wallet of that name; made, with these or the default funds, when there is none. */
  wallet(name: string, funds?: WalletFunds): SimnetWallet;
  /** The wallet that a macaroon (hex) gives the right to act as. */
  walletByMacaroon(macaroon: string): SimnetWallet | undefined;
  walletNames(): readonly string[];
  /** Aborts when the network closes. */
  readonly closing: AbortSignal;
  /** Unpaid invoices in memory. */
  openInvoices(): number;
  /** Drops payments in flight (their money never moved), wakes everybody who waits, closes the file. */
  close(): void;
}

/** `accepted`: paid, and held until its receiver settles or cancels it. */
export type SimnetInvoiceState = 'open' | 'accepted' | 'settled' | 'cancelled' | 'expired';

/** An invoice as its receiver sees it. */
export interface SimnetInvoice {
  /** Name of the receiving wallet. */
  readonly wallet: string;
  /** Counts this wallet's invoices; grows, with gaps after a restart. */
  readonly addIndex: number;
  /** Counts this wallet's settlements from 1; 0 when not settled. */
  readonly settleIndex: number;
  readonly paymentHash: string;
  /** 0: the payer chooses. */
  readonly amountMsat: Msat;
  readonly memo: string;
  readonly descriptionHash?: string;
  readonly createdSec: number;
  readonly expirySec: number;
  readonly state: SimnetInvoiceState;
  /** Only of a settled invoice. */
  readonly preimage?: string;
  readonly paidMsat: Msat;
  /** 0 when not settled. */
  readonly settledSec: number;
}

/** An invoice with the two parts that are signed again when somebody asks for them. */
export interface SignedInvoice extends SimnetInvoice {
  readonly bolt11: string;
  readonly paymentSecret: string;
}

/** What to put on a new invoice. */
export interface NewInvoice {
  readonly amountMsat: Msat;
  readonly memo: string;
  readonly expirySec: number;
  readonly descriptionHash?: string;
  /** 64 hex digits, chosen by the receiver; absent: the node makes one. */
  readonly preimage?: string;
  /** 64 hex digits: a hold invoice, whose preimage is not known here. */
  readonly paymentHash?: string;
}

/** Why a payment failed, in LND's words (`lnrpc.PaymentFailureReason`). */
export type FailureReason =
  | 'FAILURE_REASON_NONE'
  | 'FAILURE_REASON_TIMEOUT'
  | 'FAILURE_REASON_NO_ROUTE'
  | 'FAILURE_REASON_ERROR'
  | 'FAILURE_REASON_INCORRECT_PAYMENT_DETAILS'
  | 'FAILURE_REASON_INSUFFICIENT_BALANCE';

/** A payment as its payer sees it. */
export interface SimnetPayment {
  /** Name of the paying wallet. */
  readonly wallet: string;
  /** Counts this wallet's payments. */
  readonly index: number;
  readonly paymentHash: string;
  readonly bolt11: string;
  readonly memo: string;
  readonly amountMsat: Msat;
  readonly feeMsat: Msat;
  readonly createdMs: number;
  readonly state: 'in-flight' | 'succeeded' | 'failed';
  /** Only of a payment that succeeded. */
  readonly preimage?: string;
  readonly failure: FailureReason;
}

/** An invoice to pay. */
export interface PayInvoice {
  readonly bolt11: string;
  readonly maxFeeMsat: Msat;
  /** For an invoice without an amount, or to overpay one (at most twice its amount, as BOLT 4 allows). */
  readonly amountMsat?: Msat;
}

/** An invoice to pay, by its parts and without the invoice itself: with LND the way to pay more than it asks for. */
export interface PayParts {
  /** 66 hex digits. */
  readonly payee: string;
  readonly paymentHash: string;
  readonly paymentSecret: string;
  readonly amountMsat: Msat;
  readonly maxFeeMsat: Msat;
}

/** What to pay. */
export type PayRequest = PayInvoice | PayParts;

/** Which records of a wallet to list, as LND pages them. */
export interface Page {
  /** Exclusive; 0: from the first, or, backwards, from the last. */
  readonly offset: number;
  readonly limit: number;
  readonly order: 'forwards' | 'backwards';
}

/** Something happened to an invoice of this wallet; or the network's settings changed, or it closes. */
export type SimnetEvent =
  | { readonly kind: 'added' | 'settled'; readonly invoice: SignedInvoice }
  | { readonly kind: 'accepted' | 'cancelled'; readonly invoice: SimnetInvoice }
  | { readonly kind: 'network' };

/** One node of the network and the money in it. Every method but `pay`'s outcome is synchronous. */
export interface SimnetWallet {
  readonly name: string;
  /** 66 hex digits. */
  readonly publicKey: string;
  /** Hex: the right to act as this wallet. A secret. */
  readonly macaroon: string;
  balanceMsat(): Msat;
  /** Set aside for payments in flight. */
  inFlightMsat(): Msat;
  inboundMsat(): Msat;
  /** @throws SimnetRefusal */
  addInvoice(invoice: NewInvoice): SignedInvoice;
  invoice(paymentHash: string): SimnetInvoice | undefined;
  signed(invoice: SimnetInvoice): SignedInvoice;
  /** Always in ascending add index. */
  invoices(page: Page): readonly SimnetInvoice[];
  /** Gives back a payment that is held. @throws SimnetRefusal when it is settled or unknown. */
  cancelInvoice(paymentHash: string): void;
  /** Takes the payment that is held on this preimage's hash. @throws SimnetRefusal when none is. */
  settleInvoice(preimage: string): void;
  /** Settled invoices after an index, ascending. */
  settledAfter(settleIndex: number, limit: number): readonly SimnetInvoice[];
  settleIndex(): number;
  /** Calls back soon after each event, until the returned function is called. */
  listen(listener: (event: SimnetEvent) => void): () => void;
  /** Starts a payment. @throws SimnetRefusal when it is refused before anything was tried. */
  pay(request: PayRequest): SimnetPayment;
  payment(paymentHash: string): SimnetPayment | undefined;
  /** The payment when it is final; `undefined` when this wallet never tried it, or the network was closed. */
  finalPayment(paymentHash: string): Promise<SimnetPayment | undefined>;
  /** Always in ascending index. */
  payments(page: Page): readonly SimnetPayment[];
}

/** gRPC status codes that the network answers with. */
export const STATUS = {
  unknown: 2,
  invalidArgument: 3,
  notFound: 5,
  alreadyExists: 6,
  exhausted: 8,
} as const;

/** The network understood and refused; code and message are those that LND gives. */
export class SimnetRefusal extends Error {
  /** gRPC status code. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'SimnetRefusal';
    this.status = status;
  }
}
