import { z } from 'zod';
import { type Msat, msat, ZERO_MSAT } from '../msat.ts';
import { NodeError, type NodeErrorCode } from '../node.ts';
import { BAKE_LINE } from './macaroon-rights.ts';
import { remedyOf } from './remedies.ts';

/*
 * The parts of LND's REST answers that we read (lnrpc protos of v0.21 through protojson: 64-bit integers as strings, bytes
 * as standard base64). Everything else in them is ignored.
 */

export const int64 = z
  .union([z.string().regex(/^-?\d{1,20}$/), z.int()])
  .transform(Number)
  .refine(Number.isSafeInteger);
export const amount = int64.refine((value) => value >= 0).transform((value): Msat => msat(value));
export const hash = z
  .string()
  .transform((text) => Buffer.from(text, 'base64'))
  .refine((bytes) => bytes.length === 32)
  .transform((bytes) => bytes.toString('hex'));
const hex64 = z.string().regex(/^[0-9a-f]{64}$/);

/** More than any invoice that LND makes has. */
export const MAX_PAYMENT_REQUEST_CHARS = 8192;
const paymentRequest = z.string().min(1).max(MAX_PAYMENT_REQUEST_CHARS);
export const addInvoiceAnswer = z.object({ r_hash: hash, payment_request: paymentRequest });
export const addHoldAnswer = z.object({ payment_request: paymentRequest });

const settledInvoice = z.object({
  state: z.literal('SETTLED'),
  r_hash: hash,
  r_preimage: hash,
  value_msat: amount,
  amt_paid_msat: amount,
  settle_date: int64,
  settle_index: int64,
});

/** An AMP invoice stays open and settles many times, each with a hash of its own: not ours. */
export const ampLine = z.object({ result: z.object({ is_amp: z.literal(true) }) });

const unsettledInvoice = z.object({
  state: z.enum(['OPEN', 'ACCEPTED', 'CANCELED']),
  creation_date: int64,
  expiry: int64,
  amt_paid_msat: amount.default(ZERO_MSAT),
});

export const invoiceAnswer = z.discriminatedUnion('state', [settledInvoice, unsettledInvoice]);

export type InvoiceAnswer = z.infer<typeof invoiceAnswer>;

/** An invoice as the subscription to one invoice sends it. */
export const invoiceLine = z.object({ result: invoiceAnswer });

/** The newest invoice, whatever has become of it. */
export const newestInvoice = z.object({
  invoices: z
    .array(
      z.object({
        payment_request: z.string().max(MAX_PAYMENT_REQUEST_CHARS),
        is_blinded: z.boolean().default(false),
      }),
    )
    .max(1),
});

/** A settled invoice, as the subscription sends it. */
export const settledLine = z.object({ result: settledInvoice });

/** What tells that an invoice in a list is settled, and where in the feed. */
export const invoicePage = z.object({
  invoices: z.array(z.object({ state: z.string(), settle_index: int64 }).loose()),
  last_index_offset: int64,
});

export const paymentAnswer = z.object({
  payment_hash: hex64,
  status: z.enum(['UNKNOWN', 'INITIATED', 'IN_FLIGHT', 'SUCCEEDED', 'FAILED']),
  payment_preimage: z.string(),
  value_msat: amount,
  fee_msat: amount,
  failure_reason: z.string(),
  payment_request: z.string(),
  creation_time_ns: z.string().regex(/^\d{1,20}$/),
});

export type PaymentAnswer = z.infer<typeof paymentAnswer>;

export const paymentLine = z.object({ result: paymentAnswer });

export const paymentsAnswer = z.object({ payments: z.array(paymentAnswer) });

export const infoAnswer = z.object({
  identity_pubkey: z.string().regex(/^0[23][0-9a-f]{64}$/),
  alias: z.string(),
  block_height: z.int(),
  synced_to_chain: z.boolean(),
  chains: z.array(z.object({ network: z.string() })).min(1),
});

export const walletState = z.object({ state: z.string() });

export const balanceAnswer = z.object({ local_balance: z.object({ msat: amount }) });

const status = z.object({ code: z.int(), message: z.string() });
const errorAnswer = z.union([status, z.object({ error: status }).transform(({ error }) => error)]);

/** A gRPC status as LND's REST proxy writes it. */
export type LndStatus = z.infer<typeof status>;

/** gRPC status codes that mean something to us. */
export const GRPC = {
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  unavailable: 14,
  unauthenticated: 16,
};

/** Reads an answer. @throws NodeError `protocol` when it has another form. */
export function readAnswer<S extends z.ZodType>(schema: S, body: unknown, what: string): z.infer<S> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues[0]?.path.join('.') || 'the whole';
  throw new NodeError('protocol', `LND's answer to ${what} has not the documented form (${where}).`, {
    cause: parsed.error,
  });
}

/** One line of a streaming answer. @throws NodeError `protocol` when it is not JSON. */
export function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new NodeError('protocol', 'LND sent a line that is not JSON.', { cause });
  }
}

/** The error in an answer, of one message or of a stream; `undefined` when it is none. */
export function readError(body: unknown): LndStatus | undefined {
  const parsed = errorAnswer.safeParse(body);
  return parsed.success ? parsed.data : undefined;
}

/** Texts of LND that say that it is locked or not up yet (rpcperms/interceptor.go, server.go). */
const NOT_READY =
  /wallet locked|wallet not created|waiting to start|in the process of starting|not yet ready|still syncing|unknown service/i;

/** Texts that say that the macaroon is wrong or lacks a right (macaroons/service.go, macaroon-bakery, go-macaroon). */
const UNAUTHORIZED =
  /macaroon|permission denied|verification failed|cannot determine data format|invalid ID|unmarshal v\d|odd length hex|invalid byte/i;

/** An error of LND as ours. */
export function toNodeError(error: LndStatus | undefined, httpStatus: number, what: string): NodeError {
  if (error === undefined) {
    return httpStatus >= 500 && httpStatus !== 500
      ? new NodeError('not-ready', `LND did not answer ${what} (HTTP ${httpStatus}).`)
      : new NodeError(
          'protocol',
          `LND's answer to ${what} is not LND's (HTTP ${httpStatus}); is the URL right?`,
        );
  }
  return new NodeError(codeOf(error), explain(codeOf(error), error, what));
}

function codeOf({ code, message }: LndStatus): NodeErrorCode {
  if (code === GRPC.permissionDenied || code === GRPC.unauthenticated || UNAUTHORIZED.test(message)) {
    return 'unauthorized';
  }
  if (code === GRPC.deadlineExceeded) return 'timeout';
  // Until its wallet is unlocked LND serves only a few paths, and answers the others with `Not Found`.
  if (code === GRPC.unavailable || code === GRPC.notFound || NOT_READY.test(message)) return 'not-ready';
  return 'rejected';
}

function explain(code: NodeErrorCode, error: LndStatus, what: string): string {
  const text = printable(error.message);
  if (code === 'unauthorized') return explainRefusal(error.message, what);
  if (code === 'not-ready')
    return remedyOf(text) ?? `LND is starting, and not ready for ${what}: ${text}. Wait.`;
  if (code === 'timeout') return `LND did not finish ${what} in time.`;
  return `LND refused ${what}: ${text}.`;
}

/** A macaroon of another node, and one that lacks a right, are mended differently. */
function explainRefusal(message: string, what: string): string {
  if (/permission denied/i.test(message)) {
    return `The macaroon does not allow ${what}. This makes one that may sell (add offchain:write for a wallet that pays): ${BAKE_LINE}`;
  }
  if (/root key|signature mismatch/i.test(message)) {
    return `LND does not know the macaroon: it is of another node, or was revoked. This makes one: ${BAKE_LINE}`;
  }
  return `LND refused the macaroon for ${what}; this makes one that may sell: ${BAKE_LINE}`;
}

/** At most a line of plain characters: what a peer sends must not write control characters or secrets into our log. */
export function printable(text: string): string {
  return text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .replace(/[0-9a-f]{64,}/gi, '…')
    .slice(0, 200);
}
