import { createECDH } from 'node:crypto';
import { createRequire } from 'node:module';
import bolt11 from 'bolt11';
import { type Msat, msat } from './msat.ts';
import { type Invoice, type Network, NodeError } from './node.ts';

/** What a BOLT 11 string says, its signature and checksum verified. */
export interface DecodedInvoice {
  readonly network: Network;
  /** Absent: the payer chooses. */
  readonly amountMsat?: Msat;
  /** 64 lower-case hex digits. */
  readonly paymentHash: string;
  /** 64 lower-case hex digits: proves to the receiver that the payer read the invoice. */
  readonly paymentSecret: string;
  /** 66 hex digits: the key recovered from the signature. */
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

/** What an invoice was asked for. */
export interface AskedInvoice {
  readonly amountMsat: Msat;
  readonly network: Network;
  /** The node's own key, 66 hex digits; absent: any key may have signed. */
  readonly payee?: string;
  /** Unix seconds. */
  readonly nowSec: number;
  /** The invoice may live no longer than this from now on, seconds (plus a minute for clocks that differ). */
  readonly maxExpirySec?: number;
}

/** What {@link signInvoice} signs. */
export interface InvoiceTerms {
  readonly network: Network;
  /** Absent: the payer chooses. */
  readonly amountMsat?: Msat;
  /** 64 hex digits. */
  readonly paymentHash: string;
  /** 64 hex digits. */
  readonly paymentSecret: string;
  /** At most 639 bytes of UTF-8. Not used when there is a `descriptionHash`. */
  readonly memo: string;
  /** 64 hex digits. */
  readonly descriptionHash?: string;
  readonly timestampSec: number;
  readonly expirySec: number;
}

/** Bytes of UTF-8 that a memo may have (BOLT 11, field `d`: 1,023 words of 5 bits). */
export const MAX_MEMO_BYTES = 639;

/** Characters that we read. BOLT 11 sets no bound; what nodes issue has 200 to 2,000. Decoding costs time in its square. */
const MAX_INVOICE_CHARS = 4096;

/** BOLT 11: seconds, when there is no field `x`. */
const DEFAULT_EXPIRY_SEC = 3600;

/** How far a node's clock may differ from ours, seconds. */
const CLOCK_SKEW_SEC = 60;

/** BOLT 11 asks for 18 blocks where nothing is said; the package would write its old default of 9. */
const MIN_FINAL_CLTV_EXPIRY = 18;

/** The package knows neither regtest's nor signet's object by name, and must be given it to decode `lntbs`. */
const COINS = {
  mainnet: { bech32: 'bc', pubKeyHash: 0x00, scriptHash: 0x05, validWitnessVersions: [0, 1] },
  testnet: { bech32: 'tb', pubKeyHash: 0x6f, scriptHash: 0xc4, validWitnessVersions: [0, 1] },
  signet: { bech32: 'tbs', pubKeyHash: 0x6f, scriptHash: 0xc4, validWitnessVersions: [0, 1] },
  regtest: { bech32: 'bcrt', pubKeyHash: 0x6f, scriptHash: 0xc4, validWitnessVersions: [0, 1] },
} as const satisfies Record<Network, object>;

const NETWORK_OF_PREFIX: Readonly<Record<string, Network>> = {
  bc: 'mainnet',
  tb: 'testnet',
  tbs: 'signet',
  bcrt: 'regtest',
};

const HASH = /^[0-9a-f]{64}$/;
const BECH32_ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';

/**
 * Reads a BOLT 11 invoice and verifies its checksum and signature. Of a field that comes twice the first well-formed one
 * counts, but two payment hashes are refused: payer and receiver must not see different ones.
 * @throws NodeError `bad-invoice`.
 */
export function decodeInvoice(text: string): DecodedInvoice {
  if (typeof text !== 'string' || text.length > MAX_INVOICE_CHARS) {
    throw badInvoice(`it has more than ${MAX_INVOICE_CHARS} characters`);
  }
  const network = networkOf(text);
  const raw = decodeRaw(text, network);
  const hashes = fields(raw.tags, 'payment_hash').filter(isHash);
  const [paymentHash] = hashes;
  if (paymentHash === undefined || hashes.length > 1) throw badInvoice('it needs exactly one payment hash');
  const paymentSecret = fields(raw.tags, 'payment_secret').find(isHash);
  if (paymentSecret === undefined) throw badInvoice('it has no payment secret, so no wallet can pay it');
  const memo = fields(raw.tags, 'description').find((data) => typeof data === 'string');
  const descriptionHash = fields(raw.tags, 'purpose_commit_hash').find(isHash);
  const expirySec = fields(raw.tags, 'expire_time').find(isSeconds) ?? DEFAULT_EXPIRY_SEC;
  return {
    network,
    ...(raw.millisatoshis ? { amountMsat: amountOf(raw.millisatoshis) } : {}),
    paymentHash,
    paymentSecret,
    payee: raw.payeeNodeKey,
    timestampSec: raw.timestamp,
    expirySec,
    expiresAtSec: raw.timestamp + expirySec,
    ...(memo === undefined ? {} : { memo }),
    ...(descriptionHash === undefined ? {} : { descriptionHash }),
  };
}

/**
 * Checks an invoice that a node returned against what it was asked for, before anybody sees it: a node that is wrong or
 * hostile must not make a client pay another hash, amount, network or payee.
 * @throws NodeError `bad-invoice`, naming what differs.
 */
export function checkInvoice(invoice: Invoice, asked: AskedInvoice): DecodedInvoice {
  const decoded = decodeInvoice(invoice.bolt11);
  if (decoded.network !== asked.network) throw differs('network', decoded.network, asked.network);
  if (decoded.paymentHash !== invoice.paymentHash) {
    throw differs('payment hash', decoded.paymentHash, invoice.paymentHash);
  }
  if (decoded.amountMsat !== asked.amountMsat) {
    throw differs('amount in msat', decoded.amountMsat ?? 'none', asked.amountMsat);
  }
  if (invoice.amountMsat !== asked.amountMsat) {
    throw differs('amount in msat (as the node reports it)', invoice.amountMsat, asked.amountMsat);
  }
  if (asked.payee !== undefined && decoded.payee !== asked.payee) {
    throw differs('payee', decoded.payee, asked.payee);
  }
  if (decoded.expiresAtSec !== invoice.expiresAtSec) {
    throw differs('expiry (unix seconds)', decoded.expiresAtSec, invoice.expiresAtSec);
  }
  if (decoded.expiresAtSec <= asked.nowSec) {
    throw badInvoice(
      `it expired ${asked.nowSec - decoded.expiresAtSec} s ago; compare the node's clock with ours`,
    );
  }
  const latestSec = asked.nowSec + (asked.maxExpirySec ?? Number.POSITIVE_INFINITY) + CLOCK_SKEW_SEC;
  if (decoded.expiresAtSec > latestSec) {
    throw badInvoice(
      `it lives ${decoded.expiresAtSec - asked.nowSec} s, longer than the ${asked.maxExpirySec} s asked for`,
    );
  }
  return decoded;
}

/**
 * Signs an invoice as a node of the simulated network does: payment secret, multi-part and onion features, 18 blocks.
 * @param privateKey - 32 bytes, secp256k1
 * @throws NodeError `rejected` when the memo is too long.
 */
export function signInvoice(terms: InvoiceTerms, privateKey: Buffer): string {
  if (Buffer.byteLength(terms.memo) > MAX_MEMO_BYTES) {
    throw new NodeError('rejected', `A memo may have at most ${MAX_MEMO_BYTES} bytes of UTF-8.`);
  }
  const description =
    terms.descriptionHash === undefined
      ? { tagName: 'description', data: terms.memo }
      : { tagName: 'purpose_commit_hash', data: terms.descriptionHash };
  const unsigned = bolt11.encode(
    {
      network: { ...COINS[terms.network], validWitnessVersions: [0, 1] },
      ...(terms.amountMsat ? { millisatoshis: String(terms.amountMsat) } : {}),
      timestamp: terms.timestampSec,
      tags: [
        { tagName: 'payment_hash', data: terms.paymentHash },
        { tagName: 'payment_secret', data: terms.paymentSecret },
        description,
        { tagName: 'expire_time', data: terms.expirySec },
        { tagName: 'min_final_cltv_expiry', data: MIN_FINAL_CLTV_EXPIRY },
        {
          tagName: 'feature_bits',
          data: {
            word_length: 4,
            var_onion_optin: { required: true },
            payment_secret: { required: true },
            basic_mpp: { supported: true },
          },
        },
      ],
    },
    false,
  );
  const signed = bolt11.sign(unsigned, privateKey).paymentRequest;
  if (signed === undefined) throw new NodeError('rejected', 'The invoice could not be signed.');
  return signed;
}

/**
 * The timestamp of an invoice, Unix seconds, read without decoding the rest (a decode costs 130 µs, this costs one).
 * Trust it only after {@link checkInvoice}.
 * @throws NodeError `bad-invoice`.
 */
export function readTimestampSec(text: string): number {
  const start = text.lastIndexOf('1') + 1;
  const words = text.slice(start, start + 7).toLowerCase();
  let seconds = 0;
  for (const word of words) {
    const value = BECH32_ALPHABET.indexOf(word);
    if (value < 0) throw badInvoice('it has no timestamp');
    seconds = seconds * 32 + value;
  }
  if (start === 0 || words.length !== 7) throw badInvoice('it has no timestamp');
  return seconds;
}

/** The public key of a node's private key: 66 hex digits. */
export function publicKeyOf(privateKey: Buffer): string {
  const ecdh = createECDH('secp256k1');
  ecdh.setPrivateKey(privateKey);
  return ecdh.getPublicKey('hex', 'compressed');
}

/**
 * Whether the compiled secp256k1 was loaded. Without it (no prebuilt binary, no compiler) signing and checking an invoice
 * takes ten times as long, and the operator should hear of it at start.
 */
export function hasNativeSecp256k1(): boolean {
  const fromBolt11 = createRequire(createRequire(import.meta.url).resolve('bolt11'));
  try {
    fromBolt11('secp256k1/bindings');
    return true;
  } catch {
    return false;
  }
}

function networkOf(text: string): Network {
  // The amount, when there is one, begins with a digit, and else the separator does: `1`.
  const prefix = /^ln(bcrt|bc|tbs|tb)\d/i.exec(text)?.[1]?.toLowerCase() ?? '';
  const network = NETWORK_OF_PREFIX[prefix];
  if (network === undefined) throw badInvoice('it does not begin with lnbc, lntb, lntbs or lnbcrt');
  return network;
}

type Tags = ReturnType<typeof bolt11.decode>['tags'];

function decodeRaw(text: string, network: Network) {
  try {
    const raw = bolt11.decode(text, { ...COINS[network], validWitnessVersions: [0, 1] });
    const { payeeNodeKey, timestamp } = raw;
    if (payeeNodeKey === undefined || timestamp === undefined) throw new Error('incomplete');
    return { ...raw, payeeNodeKey, timestamp };
  } catch (cause) {
    throw new NodeError('bad-invoice', 'The invoice does not decode: it is damaged, or not BOLT 11.', {
      cause,
    });
  }
}

function fields(tags: Tags, name: string): unknown[] {
  return tags.filter((tag) => tag.tagName === name).map((tag) => tag.data);
}

function isHash(data: unknown): data is string {
  return typeof data === 'string' && HASH.test(data);
}

function isSeconds(data: unknown): data is number {
  return typeof data === 'number' && Number.isSafeInteger(data);
}

function amountOf(millisatoshis: string): Msat {
  try {
    return msat(Number(millisatoshis));
  } catch (cause) {
    throw new NodeError('bad-invoice', 'The invoice asks for more money than there is.', { cause });
  }
}

function badInvoice(why: string): NodeError {
  return new NodeError('bad-invoice', `The invoice is not usable: ${why}.`);
}

function differs(what: string, got: string | number, wanted: string | number): NodeError {
  return new NodeError(
    'bad-invoice',
    `The node's invoice has another ${what} than asked: ${got}, not ${wanted}.`,
  );
}
