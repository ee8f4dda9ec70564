import { createRequire } from 'node:module';
import secp256k1 from 'secp256k1';
import { packWords } from '../bech32.ts';
import { sha256 } from '../sha256.ts';
import { InvoiceFormatError, type InvoiceParts } from './read-parts.ts';

const SIGNATURE_BYTES = 64;
const MAX_RECOVERY = 3;

/**
 * Verifies the signature of an invoice: against the key that the invoice names (field `n`), which takes a low s; and otherwise by
 * recovering the key, which takes either s (BOLT 11, "Requirements" of the tagged fields).
 * @returns who signed: a compressed key, 66 hex digits
 * @throws InvoiceFormatError
 */
export function recoverPayee({ signed, signature, payee }: InvoiceParts): string {
  const digest = digestOf(signed.prefix, signed.words);
  const recovery = signature[SIGNATURE_BYTES] ?? Number.NaN;
  const signer = recovery <= MAX_RECOVERY ? signerOf(digest, signature, recovery, payee) : undefined;
  if (signer === undefined) throw new InvoiceFormatError('The invoice has a signature that does not hold.');
  return Buffer.from(signer).toString('hex');
}

/** SHA-256 of the prefix and the bits behind it, filled up to whole bytes. */
function digestOf(prefix: string, words: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(prefix.length + Math.ceil((words.length * 5) / 8));
  bytes.write(prefix, 'latin1');
  packWords(words, bytes.subarray(prefix.length));
  return sha256(bytes);
}

function signerOf(
  digest: Uint8Array,
  signature: Uint8Array,
  recovery: number,
  payee: Uint8Array | undefined,
): Uint8Array | undefined {
  const rs = signature.subarray(0, SIGNATURE_BYTES);
  try {
    if (payee === undefined) return secp256k1.ecdsaRecover(rs, recovery, digest);
    return secp256k1.ecdsaVerify(rs, digest, payee) ? payee : undefined;
  } catch {
    // No signature, no key, or no point of the curve comes from them.
    return undefined;
  }
}

/**
 * Whether the compiled secp256k1 was loaded. Without it (no prebuilt binary, no compiler) signing and checking an invoice
 * takes ten times as long, and the operator should hear of it at start.
 */
export function hasNativeSecp256k1(): boolean {
  try {
    createRequire(import.meta.url)('secp256k1/bindings');
    return true;
  } catch {
    return false;
  }
}
