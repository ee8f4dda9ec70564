import { bech32 } from '@scure/base';
import { type Msat, msat } from '../node/msat.ts';
import type { Network } from '../node/node.ts';

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

/** An invoice that is not BOLT 11. */
export class InvoiceFormatError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'InvoiceFormatError';
  }
}

/** BOLT 11 gives no bound; this is more than a QR code holds. */
const MAX_LENGTH = 8_192;
const PREFIX = /^ln(bcrt|bc|tbs|tb)(?:(\d{1,18})([munp])?)?$/;
const NETWORKS: Readonly<Record<string, Network>> = {
  bc: 'mainnet',
  tb: 'testnet',
  tbs: 'signet',
  bcrt: 'regtest',
};
/** Tenths of a msat in one unit: `p` is a tenth of a msat. */
const TENTHS: Readonly<Record<string, bigint>> = {
  '': 1_000_000_000_000n,
  m: 1_000_000_000n,
  u: 1_000_000n,
  n: 1_000n,
  p: 1n,
};
const TIMESTAMP_WORDS = 7;
/** 64 bytes of signature and one of recovery, in words of 5 bits. */
const SIGNATURE_WORDS = 104;
const HASH_WORDS = 52;
const TAG_PAYMENT_HASH = 1;
const TAG_EXPIRY = 6;
const TAG_DESCRIPTION = 13;
const DEFAULT_EXPIRY_SEC = 3_600;

/**
 * Decodes a BOLT 11 invoice: checksum, network, amount, payment hash, expiry, description. It does not check the
 * signature: the wallet that pays does. Runs in a browser.
 * @throws {@link InvoiceFormatError}
 * @example
 * decodeInvoice('lnbcrt100n1p…').amountMsat; // 10000
 */
export function decodeInvoice(bolt11: string): DecodedInvoice {
  if (bolt11.length > MAX_LENGTH) throw new InvoiceFormatError('The invoice is too long to be one.');
  const { prefix, words } = decodeBech32(bolt11);
  const [, currency = '', digits, unit = ''] = PREFIX.exec(prefix) ?? [];
  const network = NETWORKS[currency];
  if (network === undefined)
    throw new InvoiceFormatError('The invoice is not for a Bitcoin network known here.');
  if (words.length < TIMESTAMP_WORDS + SIGNATURE_WORDS)
    throw new InvoiceFormatError('The invoice is cut short.');

  const createdAtSec = wordsToNumber(words.slice(0, TIMESTAMP_WORDS));
  const tags = readTags(words.slice(TIMESTAMP_WORDS, -SIGNATURE_WORDS));
  if (tags.paymentHash === undefined) throw new InvoiceFormatError('The invoice has no payment hash.');
  const expiresAtSec = createdAtSec + (tags.expirySec ?? DEFAULT_EXPIRY_SEC);
  return {
    network,
    ...(digits === undefined ? {} : { amountMsat: toMsat(digits, unit) }),
    paymentHash: tags.paymentHash,
    createdAtSec,
    expiresAtSec: Number.isSafeInteger(expiresAtSec) ? expiresAtSec : Number.MAX_SAFE_INTEGER,
    description: tags.description ?? '',
  };
}

function decodeBech32(bolt11: string): { prefix: string; words: readonly number[] } {
  try {
    return bech32.decode(bolt11 as `${string}1${string}`, false);
  } catch (cause) {
    throw new InvoiceFormatError('The invoice is not bech32, or its checksum is wrong.', { cause });
  }
}

function toMsat(digits: string, unit: string): Msat {
  const tenths = BigInt(digits) * (TENTHS[unit] ?? 0n);
  if (digits.startsWith('0')) throw new InvoiceFormatError('The amount of the invoice begins with a zero.');
  if (tenths % 10n !== 0n) throw new InvoiceFormatError('The amount of the invoice is not whole msat.');
  try {
    return msat(Number(tenths / 10n));
  } catch (cause) {
    throw new InvoiceFormatError('The amount of the invoice is more than there is.', { cause });
  }
}

interface Tags {
  paymentHash?: string;
  expirySec?: number;
  description?: string;
}

/** The first field of a kind counts; fields of an unexpected length or an unknown kind are skipped, as BOLT 11 demands. */
function readTags(words: readonly number[]): Tags {
  const tags: Tags = {};
  let at = 0;
  while (at < words.length) {
    const length = (words[at + 1] ?? 0) * 32 + (words[at + 2] ?? 0);
    const data = words.slice(at + 3, at + 3 + length);
    if (at + 3 + length > words.length) throw new InvoiceFormatError('A field of the invoice is cut short.');
    readTag(tags, words[at] ?? 0, data);
    at += 3 + length;
  }
  return tags;
}

function readTag(tags: Tags, kind: number, data: readonly number[]): void {
  if (kind === TAG_PAYMENT_HASH && data.length === HASH_WORDS) {
    tags.paymentHash ??= Array.from(wordsToBytes(data), (byte) => byte.toString(16).padStart(2, '0')).join(
      '',
    );
  } else if (kind === TAG_EXPIRY) {
    tags.expirySec ??= wordsToNumber(data);
  } else if (kind === TAG_DESCRIPTION) {
    tags.description ??= new TextDecoder().decode(wordsToBytes(data));
  }
}

function wordsToNumber(words: readonly number[]): number {
  let value = 0;
  for (const word of words) value = Math.min(value * 32 + word, Number.MAX_SAFE_INTEGER);
  return value;
}

/** Whole bytes; the bits left over at the end are padding. */
function wordsToBytes(words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(Math.floor((words.length * 5) / 8));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const word of words) {
    held = ((held << 5) | word) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at] = (held >> bits) & 0xff;
      at += 1;
    }
  }
  return bytes;
}
