import { createECDH } from 'node:crypto';
import bolt11 from 'bolt11';
import type { Msat } from '../msat.ts';
import { type Network, NodeError } from '../node.ts';

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

/** BOLT 11 asks for 18 blocks where nothing is said; the package would write its old default of 9. */
const MIN_FINAL_CLTV_EXPIRY = 18;

/** The package knows neither regtest's nor signet's object by name. */
const COINS = {
  mainnet: { bech32: 'bc', pubKeyHash: 0x00, scriptHash: 0x05, validWitnessVersions: [0, 1] },
  testnet: { bech32: 'tb', pubKeyHash: 0x6f, scriptHash: 0xc4, validWitnessVersions: [0, 1] },
  signet: { bech32: 'tbs', pubKeyHash: 0x6f, scriptHash: 0xc4, validWitnessVersions: [0, 1] },
  regtest: { bech32: 'bcrt', pubKeyHash: 0x6f, scriptHash: 0xc4, validWitnessVersions: [0, 1] },
} as const satisfies Record<Network, object>;

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

/** The public key of a node's private key: 66 hex digits. */
export function publicKeyOf(privateKey: Buffer): string {
  const ecdh = createECDH('secp256k1');
  ecdh.setPrivateKey(privateKey);
  return ecdh.getPublicKey('hex', 'compressed');
}
