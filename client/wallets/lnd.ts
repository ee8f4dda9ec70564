import { msat } from '../../node/msat.ts';
import { type Network, NodeError, type PaymentRecord, type PaymentState } from '../../node/node.ts';
import { decodeInvoice } from '../invoice.ts';
import { readChunks } from '../read-chunks.ts';
import type { FullWallet } from '../wallet.ts';

/** Sends one request to the node: the global `fetch`, or one that trusts the node's own certificate. */
export type WalletFetch = (url: string, init: RequestInit) => Promise<Response>;

/** How to reach an LND node, or anything that speaks its REST API. */
export interface LndWalletOptions {
  /** `https://127.0.0.1:8080` */
  readonly url: string;
  /** Hex. It needs the rights offchain:read and offchain:write, and info:read for the network. */
  readonly macaroon: string;
  readonly fetch?: WalletFetch;
  /** Bound on questions, ms (paying has its own). Default 10,000. */
  readonly timeoutMs?: number;
}

const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;

/**
 * A wallet over LND's REST API (`/v2/router/send`, `/v2/router/track`, `/v1/payments`, `/v1/balance/channels`,
 * `/v1/getinfo`). Runs in a browser where the node allows it (`restcors`).
 * @throws NodeError from every method; it never carries the macaroon.
 * @example
 * const wallet = createLndWallet({ url: 'https://127.0.0.1:8080', macaroon: process.env.LND_MACAROON ?? '' });
 */
export function createLndWallet(options: LndWalletOptions): FullWallet {
  const call = createCaller(options);
  let network: Network | undefined;
  const lookupPayment = async (paymentHash: string): Promise<PaymentState | undefined> => {
    try {
      return await firstState(call, `/v2/router/track/${hexToBase64Url(paymentHash)}`);
    } catch (error) {
      if (error instanceof LndAnswerError && error.grpcCode === NOT_FOUND) return undefined;
      throw error;
    }
  };
  return {
    lookupPayment,
    payInvoice: async (bolt11, { maxFeeMsat, timeoutMs, signal }) => {
      const body = {
        payment_request: bolt11,
        fee_limit_msat: String(maxFeeMsat),
        timeout_seconds: Math.max(1, Math.ceil(timeoutMs / 1000)),
        no_inflight_updates: true,
      };
      try {
        return await finalState(call, body, timeoutMs, signal);
      } catch (error) {
        if (!(error instanceof LndAnswerError) || error.grpcCode !== ALREADY_EXISTS) throw error;
        return (await lookupPayment(decodeInvoice(bolt11).paymentHash)) ?? { kind: 'in-flight' };
      }
    },
    balanceMsat: async () => {
      const answer = await readOnce(call, '/v1/balance/channels');
      return toAmount(fieldOf(fieldOf(answer, 'local_balance'), 'msat') ?? '0');
    },
    history: async (limit) => {
      const query = `include_incomplete=true&reversed=true&max_payments=${limit}`;
      const payments = fieldOf(await readOnce(call, `/v1/payments?${query}`), 'payments');
      const records = (Array.isArray(payments) ? payments : []).map(toPaymentRecord);
      return records.sort((a, b) => b.createdAtSec - a.createdAtSec).slice(0, limit);
    },
    network: async () => {
      network ??= toNetwork(await readOnce(call, '/v1/getinfo'));
      return network;
    },
    close: async () => undefined,
  };
}

/** What LND said in place of an answer, with the gRPC code that tells what it means. */
class LndAnswerError extends NodeError {
  readonly grpcCode: number;

  constructor(grpcCode: number, status: number, message: string) {
    const text = message.slice(0, 200);
    const isUnauthorized = status === 401 || status === 403 || /macaroon|permission denied/i.test(text);
    const isNotReady =
      status === 503 || /wallet locked|starting|not yet ready|still in the process/i.test(text);
    const code = isUnauthorized ? 'unauthorized' : isNotReady ? 'not-ready' : 'rejected';
    // The words of LND about a macaroon may hold parts of it.
    super(
      code,
      isUnauthorized ? 'The node refused the macaroon or its rights.' : `The node refused: ${text}`,
    );
    this.grpcCode = grpcCode;
  }
}

/** Sends a request and gives each line of JSON of the answer. */
type Caller = (path: string, init: CallInit) => AsyncGenerator<unknown>;

interface CallInit {
  readonly body?: Readonly<Record<string, unknown>>;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

function createCaller(options: LndWalletOptions): Caller {
  const base = options.url.replace(/\/+$/, '');
  const fetch: WalletFetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
  return async function* call(path, { body, timeoutMs, signal }) {
    const timeout = AbortSignal.timeout(timeoutMs ?? options.timeoutMs ?? 10_000);
    const init: RequestInit = {
      method: body === undefined ? 'GET' : 'POST',
      headers: { 'grpc-metadata-macaroon': options.macaroon, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      // A redirect would carry the macaroon to another address.
      redirect: 'error',
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    };
    try {
      const response = await fetch(`${base}${path}`, init);
      for await (const line of readLines(response)) yield readAnswer(line, response.status);
    } catch (cause) {
      if (cause instanceof NodeError) throw cause;
      if (timeout.aborted)
        throw new NodeError('timeout', `The node at ${base} did not answer in time.`, { cause });
      throw new NodeError('unreachable', `The node at ${base} can't be reached${reasonOf(cause)}.`, {
        cause,
      });
    }
  };
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
}

async function* readLines(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let text = '';
  let length = 0;
  for await (const chunk of readChunks(response.body)) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new NodeError('protocol', 'The answer of the node is too long.');
    const lines = (text + decoder.decode(chunk, { stream: true })).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') yield line;
  }
  if (text.trim() !== '') yield text;
}

function readAnswer(line: string, status: number): unknown {
  let answer: unknown;
  try {
    answer = JSON.parse(line);
  } catch {
    throw new NodeError(
      'protocol',
      `The node answered ${status} and not with JSON. Is this the REST address of LND?`,
    );
  }
  const problem = fieldOf(answer, 'error');
  if (status === 200 && problem === undefined) return answer;
  // A stream reports `{"error":{"code","message"}}`, a single answer `{"code","message"}`.
  const source = typeof problem === 'object' && problem !== null ? problem : answer;
  const code = fieldOf(source, 'grpc_code') ?? fieldOf(source, 'code');
  throw new LndAnswerError(
    Number(code ?? 0),
    status,
    String(fieldOf(source, 'message') ?? problem ?? status),
  );
}

async function readOnce(call: Caller, path: string): Promise<unknown> {
  for await (const answer of call(path, {})) return answer;
  throw new NodeError('protocol', 'The node gave an empty answer.');
}

async function firstState(call: Caller, path: string): Promise<PaymentState> {
  return toState(fieldOf(await readOnce(call, path), 'result'));
}

/** Waits for the last update of a payment; what is not final when the time is over or the stream ends is in flight. */
async function finalState(
  call: Caller,
  body: Readonly<Record<string, unknown>>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<PaymentState> {
  try {
    for await (const update of call('/v2/router/send', { body, timeoutMs, ...(signal ? { signal } : {}) })) {
      const state = toState(fieldOf(update, 'result'));
      if (state.kind !== 'in-flight') return state;
    }
  } catch (error) {
    if (!(error instanceof NodeError) || error.code !== 'timeout') throw error;
  }
  return { kind: 'in-flight' };
}

const FAILURES: Readonly<Record<string, string>> = {
  FAILURE_REASON_TIMEOUT: 'no route was found in time',
  FAILURE_REASON_NO_ROUTE: 'no route within the fee limit',
  FAILURE_REASON_INCORRECT_PAYMENT_DETAILS: 'the payee refused the payment details',
  FAILURE_REASON_INSUFFICIENT_BALANCE: 'insufficient balance',
  FAILURE_REASON_CANCELED: 'it was cancelled',
};

function toState(payment: unknown): PaymentState {
  const status = fieldOf(payment, 'status');
  if (status === 'SUCCEEDED') {
    const preimage = fieldOf(payment, 'payment_preimage');
    if (typeof preimage !== 'string' || !/^[0-9a-fA-F]{64}$/.test(preimage)) {
      throw new NodeError('protocol', 'The node reports a payment without its preimage.');
    }
    return {
      kind: 'succeeded',
      preimage: preimage.toLowerCase(),
      amountMsat: toAmount(fieldOf(payment, 'value_msat')),
      feeMsat: toAmount(fieldOf(payment, 'fee_msat')),
    };
  }
  if (status === 'FAILED') {
    const reason = String(fieldOf(payment, 'failure_reason') ?? '');
    return { kind: 'failed', reason: FAILURES[reason] ?? 'the node gave no reason' };
  }
  if (status === 'IN_FLIGHT' || status === 'INITIATED') return { kind: 'in-flight' };
  throw new NodeError('protocol', 'The node reports a payment in a state that is not known here.');
}

function toPaymentRecord(payment: unknown): PaymentRecord {
  const state = fieldOf(payment, 'status');
  const nanoseconds = Number(fieldOf(payment, 'creation_time_ns') ?? 0);
  const seconds = Number(fieldOf(payment, 'creation_date') ?? 0);
  return {
    paymentHash: String(fieldOf(payment, 'payment_hash') ?? ''),
    amountMsat: toAmount(fieldOf(payment, 'value_msat') ?? '0'),
    feeMsat: toAmount(fieldOf(payment, 'fee_msat') ?? '0'),
    memo: readMemo(fieldOf(payment, 'payment_request')),
    createdAtSec: Math.floor(nanoseconds / 1e9) || seconds || 0,
    state: state === 'SUCCEEDED' ? 'succeeded' : state === 'FAILED' ? 'failed' : 'in-flight',
  };
}

function readMemo(bolt11: unknown): string {
  if (typeof bolt11 !== 'string' || bolt11 === '') return '';
  try {
    return decodeInvoice(bolt11).description;
  } catch {
    return '';
  }
}

function toNetwork(info: unknown): Network {
  const chains = fieldOf(info, 'chains');
  const name = fieldOf(Array.isArray(chains) ? chains[0] : undefined, 'network');
  if (name === 'mainnet' || name === 'testnet' || name === 'signet' || name === 'regtest') return name;
  throw new NodeError('wrong-network', `The node is on a network that is not known here: ${String(name)}.`);
}

function toAmount(value: unknown): ReturnType<typeof msat> {
  try {
    return msat(Number(value));
  } catch (cause) {
    throw new NodeError('protocol', 'The node reports an amount that is not a number of msat.', { cause });
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function hexToBase64Url(hex: string): string {
  const binary = (hex.match(/../g) ?? [])
    .map((pair) => String.fromCharCode(Number.parseInt(pair, 16)))
    .join('');
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_');
}
