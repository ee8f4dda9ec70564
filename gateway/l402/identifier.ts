import { L402Error } from './errors.ts';

/** What a macaroon's identifier holds: the invoice that pays for it, and an id of its own. */
export interface Identifier {
  /** 64 lower-case hex digits. */
  readonly paymentHash: string;
  /** 64 lower-case hex digits. */
  readonly tokenId: string;
}

/** Size of an encoded identifier: version (2), payment hash (32), token id (32). */
export const IDENTIFIER_BYTES = 66;

const VERSION = 0;
const HEX_32_BYTES = /^[0-9a-f]{64}$/;

/** `uint16be 0 ‖ payment_hash[32] ‖ token_id[32]` (L402, macaroon identifier). @throws L402Error `bad-identifier` */
export function encodeIdentifier(id: Identifier): Buffer {
  if (!HEX_32_BYTES.test(id.paymentHash) || !HEX_32_BYTES.test(id.tokenId)) {
    throw new L402Error('bad-identifier', 'Payment hash and token id must be 64 lower-case hex digits each.');
  }
  const bytes = Buffer.allocUnsafe(IDENTIFIER_BYTES);
  bytes.writeUInt16BE(VERSION, 0);
  bytes.write(id.paymentHash, 2, 'hex');
  bytes.write(id.tokenId, 34, 'hex');
  return bytes;
}

/** Reads what {@link encodeIdentifier} wrote. @throws L402Error `bad-identifier` */
export function decodeIdentifier(bytes: Buffer): Identifier {
  if (bytes.length !== IDENTIFIER_BYTES) {
    throw new L402Error(
      'bad-identifier',
      `The macaroon's identifier has ${bytes.length} bytes, not ${IDENTIFIER_BYTES}.`,
    );
  }
  const version = bytes.readUInt16BE(0);
  if (version !== VERSION) {
    throw new L402Error(
      'bad-identifier',
      `The macaroon's identifier has version ${version}, not ${VERSION}.`,
    );
  }
  return { paymentHash: bytes.toString('hex', 2, 34), tokenId: bytes.toString('hex', 34, 66) };
}
