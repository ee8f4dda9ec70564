import { z } from 'zod';
import { type Msat, msat } from '../msat.ts';
import { type Page, type PayRequest, SimnetRefusal, STATUS } from './types.ts';

/*
 * What clients send, read as grpc-gateway's protojson reads it: proto or camel-case names, 64-bit integers as strings or
 * numbers, bytes as base64; an unknown field or a wrong type is InvalidArgument.
 */

const MAX_UINT64 = 2n ** 64n - 1n;

/** Records of one page at most. */
const MAX_PAGE = 10_000;

const int64 = z.union([z.int(), z.string().regex(/^-?\d{1,16}$/)]).transform(Number);
const bytes = z
  .string()
  .max(1024)
  .transform((text) => Buffer.from(text, 'base64').toString('hex'));
const ignored = z.unknown().optional();

const addInvoiceSchema = z.strictObject({
  memo: z.string().default(''),
  r_preimage: bytes.optional(),
  value: int64.default(0),
  value_msat: int64.default(0),
  description_hash: bytes.optional(),
  expiry: int64.default(0),
  is_amp: z.boolean().default(false),
  is_blinded: z.boolean().default(false),
  fallback_addr: ignored,
  cltv_expiry: ignored,
  route_hints: ignored,
  private: ignored,
  r_hash: ignored,
  settled: ignored,
  creation_date: ignored,
  settle_date: ignored,
  payment_request: ignored,
  add_index: ignored,
  settle_index: ignored,
  state: ignored,
  features: ignored,
  blinded_path_config: ignored,
});

const addHoldSchema = z.strictObject({
  memo: z.string().default(''),
  hash: bytes.default(''),
  value: int64.default(0),
  value_msat: int64.default(0),
  description_hash: bytes.optional(),
  expiry: int64.default(0),
  fallback_addr: ignored,
  cltv_expiry: ignored,
  route_hints: ignored,
  private: ignored,
});

const sendPaymentSchema = z.strictObject({
  payment_request: z.string().default(''),
  dest: bytes.default(''),
  payment_hash: bytes.default(''),
  payment_addr: bytes.default(''),
  amt: int64.default(0),
  amt_msat: int64.default(0),
  fee_limit_sat: int64.default(0),
  fee_limit_msat: int64.default(0),
  timeout_seconds: int64.default(0),
  no_inflight_updates: z.boolean().default(false),
  cltv_limit: ignored,
  max_parts: ignored,
  max_shard_size_msat: ignored,
  allow_self_payment: ignored,
  outgoing_chan_ids: ignored,
  last_hop_pubkey: ignored,
  time_pref: ignored,
  cancelable: ignored,
  first_hop_custom_records: ignored,
  final_cltv_delta: ignored,
  dest_features: ignored,
});

const PUBLIC_KEY = /^0[23][0-9a-f]{64}$/;

const cancelSchema = z.strictObject({ payment_hash: bytes.default('') });
const settleSchema = z.strictObject({ preimage: bytes.default('') });

/** LND's expiry of an invoice that asks for none, seconds. */
const DEFAULT_EXPIRY_SEC = 86_400;

/** `POST /v1/invoices`. @throws SimnetRefusal */
export function readAddInvoice(body: unknown) {
  const fields = read(addInvoiceSchema, body);
  if (fields.is_amp || fields.is_blinded) throw unknownError('AMP and blinded invoices are not simulated');
  const { r_preimage: bytesOfPreimage } = fields;
  return {
    ...terms(fields),
    ...(bytesOfPreimage === undefined ? {} : { preimage: preimage(bytesOfPreimage) }),
  };
}

/** `POST /v2/invoices/hodl`. @throws SimnetRefusal */
export function readAddHold(body: unknown) {
  const fields = read(addHoldSchema, body);
  return { ...terms(fields), paymentHash: hash(fields.hash) };
}

/** `POST /v2/invoices/settle`: the preimage, hex. @throws SimnetRefusal */
export function readSettle(body: unknown): string {
  return preimage(read(settleSchema, body).preimage);
}

/** `POST /v2/router/send`: an invoice, or the parts of one. @throws SimnetRefusal */
export function readSendPayment(body: unknown): {
  readonly request: PayRequest;
  readonly inFlightUpdates: boolean;
} {
  const fields = read(sendPaymentSchema, body);
  return { request: toPay(fields), inFlightUpdates: !fields.no_inflight_updates };
}

function toPay(fields: z.infer<typeof sendPaymentSchema>): PayRequest {
  const { payment_request: bolt11, dest, payment_hash, payment_addr } = fields;
  const amountMsat = amount(fields.amt, fields.amt_msat);
  const maxFeeMsat = amount(fields.fee_limit_sat, fields.fee_limit_msat);
  if (bolt11 !== '') {
    for (const [name, value] of Object.entries({ dest, payment_hash })) {
      if (value !== '') throw unknownError(`${name} and payment_request cannot appear together`);
    }
    return { bolt11, maxFeeMsat, ...(amountMsat === 0 ? {} : { amountMsat }) };
  }
  if (!PUBLIC_KEY.test(dest))
    throw unknownError('invalid pubkey: neither payment_request nor dest names one');
  if (amountMsat === 0) throw unknownError('amount must be specified');
  return {
    payee: dest,
    paymentHash: hash(payment_hash),
    paymentSecret: hash(payment_addr),
    amountMsat,
    maxFeeMsat,
  };
}

/** `POST /v2/invoices/cancel`: the payment hash, hex. @throws SimnetRefusal */
export function readCancel(body: unknown): string {
  return hash(read(cancelSchema, body).payment_hash);
}

/** A payment hash in a path, hex. @throws SimnetRefusal */
export function readHexHash(text: string): string {
  const other = /[^0-9a-f]/iu.exec(text)?.[0];
  if (other !== undefined) throw unknownError(`encoding/hex: invalid byte: ${goCharacter(other)}`);
  if (text.length % 2 !== 0) throw unknownError('encoding/hex: odd length hex string');
  if (text.length !== 64) {
    throw unknownError(`payment hash must be exactly 32 bytes, is instead ${text.length / 2}`);
  }
  return text.toLowerCase();
}

/** A character as Go's `%#U` writes it. */
function goCharacter(character: string): string {
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  return `U+${code} '${character}'`;
}

/** A payment hash in a path, base64 of either alphabet, padded: grpc-gateway takes no other. @throws SimnetRefusal */
export function readBase64Hash(text: string, parameter: 'payment_hash' | 'r_hash'): string {
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text) || text.length % 4 !== 0) {
    throw invalid(`type mismatch, parameter: ${parameter}, error: illegal base64 data`);
  }
  return hash(Buffer.from(text, 'base64').toString('hex'));
}

/** A page of `GET /v1/invoices` or `GET /v1/payments`. @throws SimnetRefusal */
export function readPage(query: URLSearchParams, limitName: string, defaultLimit: number): Page {
  const limit = readUint(query, limitName);
  return {
    offset: readUint(query, 'index_offset'),
    limit: Math.min(limit === 0 ? defaultLimit : limit, MAX_PAGE),
    order: readFlag(query, 'reversed') ? 'backwards' : 'forwards',
  };
}

/** A whole number in the query; 0 when absent. @throws SimnetRefusal */
export function readUint(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? '0';
  if (!/^\d{1,20}$/.test(text) || BigInt(text) > MAX_UINT64)
    throw invalid(`parsing field "${name}": invalid value`);
  // Nothing here is counted so far.
  return Math.min(Number(text), Number.MAX_SAFE_INTEGER);
}

/** A flag in the query; false when absent. @throws SimnetRefusal */
export function readFlag(query: URLSearchParams, name: string): boolean {
  const text = query.get(name) ?? 'false';
  if (text !== 'true' && text !== 'false') throw invalid(`parsing field "${name}": invalid value`);
  return text === 'true';
}

function read<S extends z.ZodType>(schema: S, body: unknown): z.infer<S> {
  const parsed = schema.safeParse(withProtoNames(body));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where =
    issue?.code === 'unrecognized_keys'
      ? `unknown field "${issue.keys[0]}"`
      : `invalid value for ${issue?.path.join('.')}`;
  throw invalid(`proto: ${where}`);
}

function withProtoNames(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(body).map(([name, value]) => [snake(name), value]));
}

function terms(fields: {
  readonly memo: string;
  readonly value: number;
  readonly value_msat: number;
  readonly expiry: number;
  readonly description_hash?: string | undefined;
}) {
  const { description_hash: descriptionHash } = fields;
  return {
    amountMsat: amount(fields.value, fields.value_msat),
    memo: fields.memo,
    expirySec: fields.expiry <= 0 ? DEFAULT_EXPIRY_SEC : fields.expiry,
    ...(descriptionHash ? { descriptionHash } : {}),
  };
}

function preimage(hex: string): string {
  if (hex.length !== 64) throw unknownError(`invalid preimage length of ${hex.length / 2}, want 32`);
  return hex;
}

function amount(inSat: number, inMsat: number): Msat {
  if (inSat !== 0 && inMsat !== 0) throw unknownError('sat and msat arguments are mutually exclusive');
  try {
    return msat(inSat * 1000 + inMsat);
  } catch {
    throw unknownError(inSat + inMsat < 0 ? 'amount cannot be negative' : 'amount is too large');
  }
}

function hash(hex: string): string {
  if (hex.length !== 64) throw unknownError(`invalid hash length of ${hex.length / 2}, want 32`);
  return hex;
}

function unknownError(message: string): SimnetRefusal {
  return new SimnetRefusal(STATUS.unknown, message);
}

function invalid(message: string): SimnetRefusal {
  return new SimnetRefusal(STATUS.invalidArgument, message);
}
