import { InvoiceFormatError, readParts } from '../node/bolt11/read-parts.ts';
import type { Msat } from '../node/msat.ts';
import type { Network } from '../node/node.ts';

export { InvoiceFormatError } from '../node/bolt11/read-parts.ts';

/** What a payer must know about an invoice before it pays. */
export interface DecodedInvoice {
  readonly network: Network;
  /** Absent when the payer may choose the amount. */
  readonly amountMsat?: Msat;
  /** 64 lower-case hex digits. */
  readonly paymentHash: string;
  /** Unix seconds. */
  readonly createdAtSec: number;
  /** Unix seconds. */
  readonly expiresAtSec: number;
  /** Empty when the invoice only commits to the hash of one. */
  readonly description: string;
}

/** BOLT 11 gives no bound; this is more than a QR code holds. */
const MAX_LENGTH = 8_192;

/**
 * Decodes a BOLT 11 invoice: checksum, network, amount, payment hash, expiry, description. It does not check the
 * signature: the wallet that pays does. Runs in a browser.
 * @throws {@link InvoiceFormatError}
 * @example
 * decodeInvoice('lnbcrt100n1p…').amountMsat; // 10000
 */
export function decodeInvoice(bolt11: string): DecodedInvoice {
  if (bolt11.length > MAX_LENGTH) throw new InvoiceFormatError('The invoice is too long to be one.');
  const { network, amountMsat, paymentHash, timestampSec, expiresAtSec, description } = readParts(bolt11);
  return {
    network,
    ...(amountMsat === undefined ? {} : { amountMsat }),
    paymentHash: Array.from(paymentHash, (byte) => byte.toString(16).padStart(2, '0')).join(''),
    createdAtSec: timestampSec,
    expiresAtSec,
    description: new TextDecoder().decode(description),
  };
}
