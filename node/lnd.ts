import { createBackoff } from './backoff.ts';
import { type CircuitChange, createCircuitBreaker } from './circuit-breaker.ts';
import type { ConnectOptions } from './connect.ts';
import { createNodeGrpc, type NodeGrpc } from './grpc.ts';
import { type GuardOptions, guardGrpc, guardHttp } from './guard-node.ts';
import { createNodeHttp, type NodeHttp } from './http.ts';
import { settlements } from './lnd/feed.ts';
import { addInvoice, reachGrpc } from './lnd/grpc.ts';
import { createHoldInvoices } from './lnd/hold.ts';
import { createIdentity } from './lnd/identity.ts';
import { receivable } from './lnd/liquidity.ts';
import { balanceMsat, history, lookupPayment, payInvoice } from './lnd/pay.ts';
import { cancelInvoice, createInvoice, lookupInvoice } from './lnd/receive.ts';
import { settledInvoices } from './lnd/settled-invoices.ts';
import { msat } from './msat.ts';
import type { LightningNode, Network, NodeInfo, Payer } from './node.ts';

/** How to reach an LND node. */
export interface LndOptions extends Omit<ConnectOptions, 'timeoutMs'> {
  /** REST address, `https://host:8080`. */
  readonly url: string;
  /** gRPC address, `https://host:10009`: invoices are made there, hold invoices not. Absent: over REST, as everything else. */
  readonly grpcUrl?: string;
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
 * An LND node (0.18 and later) over REST: receives and pays. With `grpcUrl` it makes invoices over gRPC, which costs LND a fifth less.
 * Connects when first used.
 * @throws NodeError `unreachable` when a URL or the certificate is none.
 */
export function createLndNode(options: LndOptions): LightningNode & Payer {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const nowMs = options.nowMs ?? Date.now;
  const nextGuard = prepareGuards(options, timeoutMs);
  const restGuard = nextGuard();
  const http = openHttp(options, timeoutMs, restGuard);
  const { grpcUrl } = options;
  const grpc = grpcUrl === undefined ? undefined : openGrpc(options, grpcUrl, timeoutMs, nextGuard());
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
    info: (call) => askBoth(identity(call?.signal), grpc && reachGrpc(grpc, call?.signal)),
    async createInvoice(request, call) {
      if (grpc === undefined) return await createInvoice(http, style, request, call?.signal);
      // What is sold while REST is away could not be seen to be paid.
      restGuard.breaker.refuseWhileOpen();
      return await addInvoice(grpc, style, request, call?.signal);
    },
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
    async close() {
      await Promise.all([http.close(), grpc?.close()]);
    },
  };
}

/** A node that can't be asked for invoices is not there; what REST says of it comes first. */
async function askBoth(rest: Promise<NodeInfo>, grpc: Promise<void> | undefined): Promise<NodeInfo> {
  const [info, reached] = await Promise.allSettled([rest, grpc]);
  if (info.status === 'rejected') throw info.reason;
  if (reached.status === 'rejected') throw reached.reason;
  return info.value;
}

const DEFAULT_CONCURRENCY = 64;

function openHttp(options: LndOptions, timeoutMs: number, guard: GuardOptions): NodeHttp {
  const { url, macaroon, concurrency = DEFAULT_CONCURRENCY } = options;
  const headers = { 'grpc-metadata-macaroon': macaroon };
  return guardHttp(createNodeHttp({ ...waysOf(options, timeoutMs), url, headers, concurrency }), guard);
}

function openGrpc(options: LndOptions, url: string, timeoutMs: number, guard: GuardOptions): NodeGrpc {
  const { macaroon, concurrency = DEFAULT_CONCURRENCY } = options;
  const metadata = { macaroon };
  return guardGrpc(
    createNodeGrpc({ ...waysOf(options, timeoutMs), url, metadata, concurrency, nowMs: guard.nowMs }),
    guard,
  );
}

function waysOf(options: LndOptions, timeoutMs: number): ConnectOptions {
  const { tlsCertPem, rereadTlsCert, readClientCertificate, socksProxy } = options;
  return {
    timeoutMs,
    ...(tlsCertPem === undefined ? {} : { tlsCertPem }),
    ...(rereadTlsCert === undefined ? {} : { rereadTlsCert }),
    ...(readClientCertificate === undefined ? {} : { readClientCertificate }),
    ...(socksProxy === undefined ? {} : { socksProxy }),
  };
}

/** What guards each address of the node. Told of all of them together: it answers again when each of them does. */
function prepareGuards(options: LndOptions, timeoutMs: number): () => GuardOptions {
  const { onCircuit = () => {}, random = Math.random } = options;
  const nowMs = options.monotonicMs ?? (() => performance.now());
  const circuit = { ...CIRCUIT, ...options.circuit };
  let open = 0;
  const onChange = (change: CircuitChange): void => {
    open += change.kind === 'opened' ? 1 : -1;
    if (change.kind === 'opened' || open === 0) onCircuit(change);
  };
  return () => ({
    breaker: createCircuitBreaker({
      failures: circuit.failures,
      backoff: createBackoff({ firstMs: circuit.firstPauseMs, maxMs: circuit.maxPauseMs, random }),
      nowMs,
      onChange,
    }),
    timeoutMs,
    nowMs,
  });
}
