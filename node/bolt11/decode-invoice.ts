import type { Msat } from '../msat.ts';
import { type Network, NodeError } from '../node.ts';
import { InvoiceFormatError, type InvoiceParts, readParts } from './read-parts.ts';
import { recoverPayee } from './recover-payee.ts';

/** What a BOLT 11 string says, its signature and checksum verified. */
export interface DecodedInvoice {
  readonly network: Network;
  /** Absent: the payer chooses. */
  readonly amountMsat?: Msat;
  /** 64 lower-case hex digits. */
  readonly paymentHash: string;
  /** 64 lower-case hex digits: proves to the receiver that the payer read the invoice. */
  readonly paymentSecret: string;
  /** 66 hex digits: the key that signed. */
  readonly payee: string;
  /** Unix seconds. */
  readonly timestampSec: number;
  readonly expirySec: number;
  /** Unix seconds. */
  readonly expiresAtSec: number;
  readonly memo?: string;
  /** 64 lower-case hex digits. */
  readonly descriptionHash?: string;
}

/** Characters that we read. BOLT 11 sets no bound; what nodes issue has 200 to 2,000. */
const MAX_INVOICE_CHARS = 4096;

/**
 * Reads a BOLT 11 invoice and verifies its checksum and signature. Of a field that comes twice the first well-formed one
 * counts, but two payment hashes are refused: payer and receiver must not see different ones.
 * @throws NodeError `bad-invoice`.
 */
export function decodeInvoice(text: string): DecodedInvoice {
  if (typeof text !== 'string' || text.length > MAX_INVOICE_CHARS) {
    throw new NodeError('bad-invoice', `The invoice has more than ${MAX_INVOICE_CHARS} characters.`);
  }
  try {
    return verify(readParts(text));
  } catch (error) {
    throw error instanceof InvoiceFormatError
      ? new NodeError('bad-invoice', error.message, { cause: error })
      : error;
  }
}

function verify(parts: InvoiceParts): DecodedInvoice {
  const { network, amountMsat, timestampSec, expirySec, expiresAtSec, description, descriptionHash } = parts;
  if (parts.paymentSecret === undefined) {
    throw new InvoiceFormatError('The invoice has no payment secret, so no wallet can pay it.');
  }
  return {
    network,
    ...(amountMsat === undefined ? {} : { amountMsat }),
    paymentHash: hexOf(parts.paymentHash),
    paymentSecret: hexOf(parts.paymentSecret),
    payee: recoverPayee(parts),
    timestampSec,
    expirySec,
    expiresAtSec,
    ...(description === undefined ? {} : { memo: Buffer.from(description).toString('utf8') }),
    ...(descriptionHash === undefined ? {} : { descriptionHash: hexOf(descriptionHash) }),
  };
}

/** By a copy: to share the memory of a short Uint8Array, V8 first moves it out of the heap. */
function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
