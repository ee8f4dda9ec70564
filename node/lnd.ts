import { createBackoff } from './backoff.ts';
import { type CircuitChange, createCircuitBreaker } from './circuit-breaker.ts';
import type { ConnectOptions } from './connect.ts';
import { guardHttp } from './guarded-http.ts';
import { createNodeHttp, type NodeHttp } from './http.ts';
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
export interface LndOptions extends Omit<ConnectOptions, 'timeoutMs'> {
  /** REST address, `https://host:8080`. */
  readonly url: string;
  /** Hex. A secret; it is sent and appears nowhere else. */
  readonly macaroon: string;
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
  /** Told when LND is left alone because it does not answer, and when it answers again. It does not throw. */
  readonly onCircuit?: (change: CircuitChange) => void;
  readonly circuit?: Partial<CircuitTiming>;
  /** A clock that never goes back, ms. Default: `performance.now`. */
  readonly monotonicMs?: () => number;
  /** From 0 up to but not including 1. Default: Math.random. */
  readonly random?: () => number;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** When LND is left alone, and for how long. */
export interface CircuitTiming {
  /** So many requests without an answer, one after the other. */
  readonly failures: number;
  /** The first pause, and the longest: each is twice the one before. */
  readonly firstPauseMs: number;
  readonly maxPauseMs: number;
}

/** A restart takes seconds: it must not be slept through. */
const CIRCUIT: CircuitTiming = { failures: 5, firstPauseMs: 500, maxPauseMs: 5_000 };

/**
 * An LND node (0.18 and later) over REST: receives and pays. Connects when first used.
 * @throws NodeError `unreachable` when the URL or the certificate is none.
 */
export function createLndNode(options: LndOptions): LightningNode & Payer {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const nowMs = options.nowMs ?? Date.now;
  const http = openHttp(options, timeoutMs);
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

function openHttp(options: LndOptions, timeoutMs: number): NodeHttp {
  const { url, macaroon, tlsCertPem, rereadTlsCert, readClientCertificate, socksProxy } = options;
  const nowMs = options.monotonicMs ?? (() => performance.now());
  const http = createNodeHttp({
    url,
    headers: { 'grpc-metadata-macaroon': macaroon },
    ...(tlsCertPem === undefined ? {} : { tlsCertPem }),
    ...(rereadTlsCert === undefined ? {} : { rereadTlsCert }),
    ...(readClientCertificate === undefined ? {} : { readClientCertificate }),
    ...(socksProxy === undefined ? {} : { socksProxy }),
    timeoutMs,
    concurrency: options.concurrency ?? 64,
  });
  const random = options.random ?? Math.random;
  const circuit = { ...CIRCUIT, ...options.circuit };
  const breaker = createCircuitBreaker({
    failures: circuit.failures,
    backoff: createBackoff({ firstMs: circuit.firstPauseMs, maxMs: circuit.maxPauseMs, random }),
    nowMs,
    onChange: options.onCircuit ?? (() => {}),
  });
  return guardHttp(http, { breaker, timeoutMs, nowMs });
}
