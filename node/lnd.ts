import { createNodeHttp } from './http.ts';
import { settlements } from './lnd/feed.ts';
import { createHoldInvoices } from './lnd/hold.ts';
import { createIdentity } from './lnd/identity.ts';
import { receivable } from './lnd/liquidity.ts';
import { balanceMsat, history, lookupPayment, payInvoice } from './lnd/pay.ts';
import { cancelInvoice, createInvoice, lookupInvoice } from './lnd/receive.ts';
import { settledInvoices } from './lnd/settled-invoices.ts';
import { msat } from './msat.ts';
import type { LightningNode, Network, Payer } from './node.ts';

/** How to reach an LND node. */
export interface LndOptions {
  /** REST address, `https://host:8080`. */
  readonly url: string;
  /** Hex. A secret; it is sent and appears nowhere else. */
  readonly macaroon: string;
  /** LND's `tls.cert`; absent: the certificate must be known to the system. */
  readonly tlsCertPem?: string;
  /** The certificate as it is now, asked for when LND shows another one than before. May throw. */
  readonly rereadTlsCert?: () => string;
  /** Absent: whatever network the node is on. */
  readonly network?: Network;
  /** Bound on one request, ms. Default 10,000. */
  readonly timeoutMs?: number;
  /** Requests under way at once. Default 64. */
  readonly concurrency?: number;
  /** The node at `url` is a simulated network. */
  readonly playMoney?: boolean;
  /** Invoices carry hints at channels that are not announced (`private`), so that they can be paid. Default false. */
  readonly privateHints?: boolean;
  /** Our clock. Default: the system's. */
  readonly nowMs?: () => number;
}

/**
 * An LND node (0.18 and later) over REST: receives and pays. Connects when first used.
 * @throws NodeError `unreachable` when the URL or the certificate is none.
 */
export function createLndNode(options: LndOptions): LightningNode & Payer {
  const timeoutMs = options.timeoutMs ?? 10_000;
  const nowMs = options.nowMs ?? Date.now;
  const http = createNodeHttp({
    url: options.url,
    headers: { 'grpc-metadata-macaroon': options.macaroon },
    ...(options.tlsCertPem === undefined ? {} : { tlsCertPem: options.tlsCertPem }),
    ...(options.rereadTlsCert === undefined ? {} : { rereadTlsCert: options.rereadTlsCert }),
    timeoutMs,
    concurrency: options.concurrency ?? 64,
  });
  const style = { private: options.privateHints ?? false };
  const nowSec = () => Math.floor(nowMs() / 1000);
  const identity = createIdentity(http, options.network);
  return {
    capabilities: {
      minInvoiceMsat: msat(1),
      precisionMsat: msat(1),
      cancel: true,
      settlementFeed: true,
      playMoney: options.playMoney ?? false,
    },
    info: (call) => identity(call?.signal),
    createInvoice: (request, call) => createInvoice(http, style, request, call?.signal),
    lookupInvoice: (paymentHash, call) => lookupInvoice(http, paymentHash, nowSec(), call?.signal),
    cancelInvoice: (paymentHash, call) => cancelInvoice(http, paymentHash, call?.signal),
    settlements: (cursor, signal) => settlements(http, cursor, signal),
    settledInvoices: (query, call) => settledInvoices(http, query, call?.signal),
    receivable: (call) => receivable(http, nowSec(), call?.signal),
    hold: createHoldInvoices(http, style, nowSec),
    payInvoice: (bolt11, pay) => payInvoice(http, bolt11, pay, timeoutMs),
    lookupPayment: (paymentHash) => lookupPayment(http, paymentHash, timeoutMs),
    balanceMsat: () => balanceMsat(http),
    history: (limit) => history(http, limit),
    close: () => http.close(),
  };
}
