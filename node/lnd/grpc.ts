import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { GrpcAnswer, NodeGrpc } from '../grpc.ts';
import { type Invoice, type InvoiceRequest, NodeError } from '../node.ts';
import { MAX_PAYMENT_REQUEST_CHARS, toNodeError } from './answers.ts';
import { type InvoiceStyle, type InvoiceTerms, termsOf, toIssued } from './receive.ts';

/*
 * What LND is asked over gRPC (lnrpc protos of v0.21): invoices, which cost it a fifth less than over REST, and whether anybody is there.
 */

/** Fields of `lnrpc.Invoice` that an invoice is asked for with. */
const MEMO = 1;
const DESCRIPTION_HASH = 10;
const EXPIRY = 11;
const PRIVATE = 15;
const VALUE_MSAT = 23;

/** Fields of `lnrpc.AddInvoiceResponse`. */
const R_HASH = 1;
const PAYMENT_REQUEST = 2;

const HASH_BYTES = 32;

/** `lnrpc.Lightning/AddInvoice`. What comes back is not to be trusted before `checkInvoice`. @throws NodeError */
export async function addInvoice(
  grpc: NodeGrpc,
  style: InvoiceStyle,
  request: InvoiceRequest,
  signal: AbortSignal | undefined,
): Promise<Invoice> {
  const message = writeInvoice(termsOf(request, style));
  const answer = await grpc.call({ path: '/lnrpc.Lightning/AddInvoice', message, signal });
  const { paymentRequest, paymentHash } = readAdded(messageOf(answer, 'a new invoice'));
  return toIssued(paymentRequest, paymentHash, request);
}

/** `lnrpc.State/GetState`, which LND tells anybody in every state: whether its gRPC interface is there. @throws NodeError */
export async function reachGrpc(grpc: NodeGrpc, signal: AbortSignal | undefined): Promise<void> {
  const answer = await grpc.call({ path: '/lnrpc.State/GetState', message: new Uint8Array(), signal });
  messageOf(answer, 'its state');
}

function messageOf({ httpStatus, status, message }: GrpcAnswer, what: string): Uint8Array {
  if (message !== undefined) return message;
  throw toNodeError(status, httpStatus, what);
}

function writeInvoice(terms: InvoiceTerms): Uint8Array {
  const { memo, amountMsat, expirySec, descriptionHash } = terms;
  const writer = new BinaryWriter();
  writer.tag(MEMO, WireType.LengthDelimited).string(memo);
  if (descriptionHash !== undefined) {
    writer.tag(DESCRIPTION_HASH, WireType.LengthDelimited).bytes(descriptionHash);
  }
  writer.tag(EXPIRY, WireType.Varint).int64(expirySec);
  if (terms.private) writer.tag(PRIVATE, WireType.Varint).bool(true);
  writer.tag(VALUE_MSAT, WireType.Varint).int64(amountMsat);
  return writer.finish();
}

interface AddedInvoice {
  readonly paymentHash: string;
  readonly paymentRequest: string;
}

/**
 * Reads `lnrpc.AddInvoiceResponse`.
 * @throws NodeError `protocol` when it is damaged or lacks something
 */
export function readAdded(message: Uint8Array): AddedInvoice {
  try {
    return readFields(message);
  } catch (cause) {
    throw new NodeError('protocol', "LND's answer to a new invoice has not the documented form.", { cause });
  }
}

function readFields(message: Uint8Array): AddedInvoice {
  let hash = new Uint8Array();
  let paymentRequest = '';
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === R_HASH && type === WireType.LengthDelimited) hash = new Uint8Array(reader.bytes());
    else if (field === PAYMENT_REQUEST && type === WireType.LengthDelimited) paymentRequest = reader.string();
    else reader.skip(type, field);
  }
  if (hash.length !== HASH_BYTES) throw new RangeError('r_hash is no hash');
  if (paymentRequest.length < 1 || paymentRequest.length > MAX_PAYMENT_REQUEST_CHARS) {
    throw new RangeError('payment_request is missing or too long');
  }
  return { paymentHash: Buffer.from(hash).toString('hex'), paymentRequest };
}
