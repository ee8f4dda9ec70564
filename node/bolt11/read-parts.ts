import { decodeBech32, wordsToBytes, wordsToNumber } from '../bech32.ts';
import { type Msat, msat } from '../msat.ts';
import type { Network } from '../node.ts';

/** An invoice taken apart as BOLT 11 says. Its checksum held; its signature was not looked at. */
export interface InvoiceParts {
  readonly network: Network;
  /** Absent: the payer chooses. */
  readonly amountMsat?: Msat;
  /** Unix seconds. */
  readonly timestampSec: number;
  readonly expirySec: number;
  /** Unix seconds, within what a Date can hold. */
  readonly expiresAtSec: number;
  /** 32 bytes. */
  readonly paymentHash: Uint8Array;
  /** 32 bytes. */
  readonly paymentSecret: Uint8Array | undefined;
  /** What should be UTF-8. */
  readonly description: Uint8Array | undefined;
  /** 32 bytes. */
  readonly descriptionHash: Uint8Array | undefined;
  /** 33 bytes: the key that must have signed. */
  readonly payee: Uint8Array | undefined;
  /** What the signature covers: the prefix, and the words behind it up to the signature. */
  readonly signed: { readonly prefix: string; readonly words: Uint8Array };
  /** 65 bytes: r, s and the number that tells which key it recovers. */
  readonly signature: Uint8Array;
}

/** A text that is not an invoice of BOLT 11. */
export class InvoiceFormatError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'InvoiceFormatError';
  }
}

const NETWORKS: Readonly<Record<string, Network>> = {
  bc: 'mainnet',
  tb: 'testnet',
  tbs: 'signet',
  bcrt: 'regtest',
};

/** No 0 in front, and no more digits than 90,000 BTC have in `p`: what is dearer is no safe integer of msat. */
const PREFIX = /^ln(bcrt|bc|tbs|tb)(?:([1-9]\d{0,17})([munp]?))?$/;

/** Msat in one unit. `p` is a tenth of a msat: its last digit is looked at by itself. */
const MSAT_PER_UNIT: Readonly<Record<string, number>> = { '': 1e11, m: 1e8, u: 1e5, n: 100, p: 1 };

const TIMESTAMP_WORDS = 7;
/** 64 bytes of signature and one of recovery. */
const SIGNATURE_WORDS = 104;
/** 32 bytes, and 4 bits of padding. */
const HASH_WORDS = 52;
/** 33 bytes, and 1 bit of padding. */
const KEY_WORDS = 53;
const TAG = { paymentHash: 1, expiry: 6, description: 13, paymentSecret: 16, payee: 19, descriptionHash: 23 };

/** BOLT 11: seconds, when there is no field `x`. */
const DEFAULT_EXPIRY_SEC = 3600;

/** The end of time of a Date, Unix seconds: an expiry is written as one. */
const LAST_DATE_SEC = 8_640_000_000_000;

/**
 * Takes an invoice apart. Unknown fields, and hashes and keys of another length, are skipped; of a field that comes twice the first
 * counts, but two payment hashes are refused: payer and receiver must not see different ones. Pure, and runs in a browser. It takes
 * time in proportion to the text, whose length its caller bounds.
 * @throws InvoiceFormatError
 */
export function readParts(text: string): InvoiceParts {
  const decoded = decodeBech32(text);
  if (decoded === undefined) throw refused('is not bech32, or its checksum is wrong');
  const { prefix, words } = decoded;
  const { network, amountMsat } = readPrefix(prefix);
  const signedWords = words.length - SIGNATURE_WORDS;
  if (signedWords < TIMESTAMP_WORDS) throw refused('is cut short');

  const fields = readFields(words.subarray(TIMESTAMP_WORDS, signedWords));
  if (fields.paymentHash === undefined) throw refused('needs exactly one payment hash');
  const timestampSec = wordsToNumber(words.subarray(0, TIMESTAMP_WORDS));
  const expirySec = fields.expirySec ?? DEFAULT_EXPIRY_SEC;
  const expiresAtSec = timestampSec + expirySec;
  if (expiresAtSec > LAST_DATE_SEC) throw refused('lives longer than time is counted');
  return {
    network,
    ...(amountMsat === undefined ? {} : { amountMsat }),
    timestampSec,
    expirySec,
    expiresAtSec,
    paymentHash: fields.paymentHash,
    paymentSecret: fields.paymentSecret,
    description: fields.description,
    descriptionHash: fields.descriptionHash,
    payee: fields.payee,
    signed: { prefix, words: words.subarray(0, signedWords) },
    signature: wordsToBytes(words.subarray(signedWords)),
  };
}

function readPrefix(prefix: string): { network: Network; amountMsat: Msat | undefined } {
  const [, currency = '', digits, unit = ''] = PREFIX.exec(prefix) ?? [];
  const network = NETWORKS[currency];
  if (network === undefined) {
    throw refused('does not begin with lnbc, lntb, lntbs or lnbcrt and a whole amount of msat, or none');
  }
  return { network, amountMsat: digits === undefined ? undefined : toMsat(digits, unit) };
}

/** Exact: a product that is rounded is no safe integer, and neither is a factor of one that is. */
function toMsat(digits: string, unit: string): Msat {
  if (unit === 'p' && !digits.endsWith('0')) throw refused('asks for a part of a msat');
  const units = Number(unit === 'p' ? digits.slice(0, -1) : digits);
  const amountMsat = units * (MSAT_PER_UNIT[unit] ?? Number.NaN);
  if (!Number.isSafeInteger(amountMsat)) throw refused('asks for more money than there is');
  return msat(amountMsat);
}

interface Fields {
  paymentHash?: Uint8Array;
  paymentSecret?: Uint8Array;
  description?: Uint8Array;
  descriptionHash?: Uint8Array;
  payee?: Uint8Array;
  expirySec?: number;
}

/** Each field is its tag, a length of two words, and so many words. */
function readFields(words: Uint8Array): Fields {
  const fields: Fields = {};
  let at = 0;
  while (at < words.length) {
    const start = at + 3;
    // A length that is cut short itself ends beyond the words, too.
    const end = start + (words[at + 1] ?? 0) * 32 + (words[at + 2] ?? 0);
    if (end > words.length) throw refused('has a field that is cut short');
    readField(fields, words[at] ?? 0, words.subarray(start, end));
    at = end;
  }
  return fields;
}

function readField(fields: Fields, tag: number, data: Uint8Array): void {
  const { length } = data;
  if (tag === TAG.description) fields.description ??= wordsToBytes(data);
  else if (tag === TAG.expiry) fields.expirySec ??= wordsToNumber(data);
  else if (tag === TAG.payee && length === KEY_WORDS) fields.payee ??= wordsToBytes(data);
  else if (length !== HASH_WORDS) return;
  else if (tag === TAG.paymentSecret) fields.paymentSecret ??= wordsToBytes(data);
  else if (tag === TAG.descriptionHash) fields.descriptionHash ??= wordsToBytes(data);
  else if (tag === TAG.paymentHash) {
    if (fields.paymentHash !== undefined) throw refused('needs exactly one payment hash');
    fields.paymentHash = wordsToBytes(data);
  }
}

function refused(why: string): InvoiceFormatError {
  return new InvoiceFormatError(`The invoice ${why}.`);
}
