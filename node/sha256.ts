import { hash } from 'node:crypto';

/**
 * SHA-256, 32 bytes. By way of a text of one character a byte: a digest that is asked for as a Buffer gets memory of its own outside of
 * the heap from Node, in three times the time.
 */
export function sha256(bytes: Uint8Array): Buffer {
  return Buffer.from(hash('sha256', bytes, 'binary'), 'binary');
}

/** The payment hash of a preimage (BOLT 11, field `p`), both in hex. Not for a comparison that must take the same time whatever differs. */
export function paymentHashOf(preimage: string): string {
  return sha256(Buffer.from(preimage, 'hex')).toString('hex');
}
