import { L402Error } from './errors.ts';
import { hmacSha256 } from './hmac.ts';

/** Size of a master key. */
export const MASTER_KEY_BYTES = 32;

const ROOT_KEY_DOMAIN = Buffer.from('sluice/root-key/v1');
const FINGERPRINT_DOMAIN = Buffer.from('sluice/key-fingerprint/v1');
const MAX_GENERATION_BYTES = 255;

/**
 * Derives root keys: one for each macaroon, never stored, so that an unpaid challenge costs no storage. A root key is
 * `HMAC-SHA256(masterKey, "sluice/root-key/v1" ‖ uint8 length ‖ generation ‖ identifier)`. The length byte keeps a
 * generation from running into the identifier behind it: no two pairs give the same input.
 *
 * @param masterKey - 32 bytes
 * @param storeGeneration - the random text of the store, 1 to 255 bytes; a store that lost its claims gets a new one,
 *   and with it every macaroon minted before stops holding
 * @returns the root key of a macaroon, by its encoded identifier
 * @throws L402Error `bad-key`
 */
export function rootKeysOf(masterKey: Buffer, storeGeneration: string): (identifier: Buffer) => Buffer {
  const generation = Buffer.from(storeGeneration, 'utf8');
  if (
    generation.length === 0 ||
    generation.length > MAX_GENERATION_BYTES ||
    !storeGeneration.isWellFormed()
  ) {
    throw new L402Error('bad-key', 'The store generation must be a text of 1 to 255 bytes.');
  }
  requireMasterKey(masterKey);
  const prefix = Buffer.concat([ROOT_KEY_DOMAIN, Uint8Array.of(generation.length), generation]);
  return (identifier) => hmacSha256(masterKey, Buffer.concat([prefix, identifier]));
}

/**
 * Names a master key without revealing it, 64 hex digits: the store remembers it, to notice a key that does not belong to
 * it. It is an HMAC under a domain of its own, so it is never a root key.
 * @throws L402Error `bad-key`
 */
export function keyFingerprint(masterKey: Buffer): string {
  requireMasterKey(masterKey);
  return hmacSha256(masterKey, FINGERPRINT_DOMAIN).toString('hex');
}

function requireMasterKey({ length }: Buffer): void {
  if (length === MASTER_KEY_BYTES) return;
  throw new L402Error('bad-key', `A master key has ${MASTER_KEY_BYTES} bytes, this one ${length}.`);
}
