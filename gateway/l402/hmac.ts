import { sha256 } from '../../node/sha256.ts';

/** A block of SHA-256, and the longest key that needs no hash of its own. */
const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/**
 * HMAC-SHA256 (RFC 2104), out of two one-shot hashes. Node's `createHmac` makes three objects for each HMAC, which takes longer than
 * hashing; a macaroon is a chain of eight.
 * @param key - up to 64 bytes: all keys here are digests or shorter
 * @returns 32 bytes
 */
export function hmacSha256(key: Uint8Array, message: Uint8Array): Buffer {
  if (key.length > BLOCK_BYTES) throw new RangeError(`an HMAC key here has at most ${BLOCK_BYTES} bytes`);
  const inner = Buffer.allocUnsafe(BLOCK_BYTES + message.length);
  const outer = Buffer.allocUnsafe(BLOCK_BYTES + DIGEST_BYTES);
  for (let at = 0; at < BLOCK_BYTES; at += 1) {
    const byte = key[at] ?? 0;
    inner[at] = byte ^ INNER_PAD;
    outer[at] = byte ^ OUTER_PAD;
  }
  inner.set(message, BLOCK_BYTES);
  outer.set(sha256(inner), BLOCK_BYTES);
  return sha256(outer);
}
