import { hash } from 'node:crypto';

/**
 * SHA-256, 32 bytes. By way of a text of one character a byte: a digest that is asked for as a Buffer gets memory of its own outside of
 * the heap from Node, in three times the time.
 */
export function sha256(bytes: Uint8Array): Buffer {
  return Buffer.from(hash('sha256', bytes, 'binary'), 'binary');
}
