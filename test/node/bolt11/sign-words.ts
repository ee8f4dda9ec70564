import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { EXAMPLE_PRIVATE_KEY } from '../bolt11-examples.ts';

/** Packages below `bolt11`: other implementations than the ones under test. */
const requireOfBolt11 = createRequire(createRequire(import.meta.url).resolve('bolt11'));

/** The `bech32` package. */
export const otherBech32: {
  encode(prefix: string, words: readonly number[], limit: number): string;
  decodeUnsafe(text: string, limit: number): { prefix: string; words: number[] } | undefined;
  toWords(bytes: Uint8Array): number[];
} = requireOfBolt11('bech32');

const secp256k1: {
  ecdsaSign(digest: Uint8Array, key: Uint8Array): { signature: Uint8Array; recid: number };
} = requireOfBolt11('secp256k1');

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** A field: its tag, and its words. */
export type Field = readonly [tag: number, words: readonly number[]];

/** An invoice that is put together word by word, so that it may break every rule but the checksum's. */
export interface Words {
  readonly prefix?: string;
  readonly timestampSec?: number;
  readonly fields?: readonly Field[];
  /** Behind the fields. */
  readonly tail?: readonly number[];
  readonly s?: 'low' | 'high';
  /** Absent: the signature of all that. */
  readonly signature?: Uint8Array;
}

/** Bytes as a field of that tag. */
export function fieldOf(tag: number, bytes: Uint8Array): Field {
  return [tag, otherBech32.toWords(bytes)];
}

/** A hash of 32 equal bytes as a field of that tag. */
export function hashField(tag: number, byte: number): Field {
  return fieldOf(tag, new Uint8Array(32).fill(byte));
}

/** Payment hash, payment secret and memo. */
export const USUAL_FIELDS: readonly Field[] = [hashField(1, 0xa1), hashField(16, 0xb2), [13, []]];

/** Signs with the key of BOLT 11's examples and writes the invoice, its checksum right. */
export function signWords(words: Words): string {
  const { prefix = 'lnbcrt100n', timestampSec = 1_800_000_000, fields = USUAL_FIELDS, tail = [] } = words;
  const stamp = Array.from({ length: 7 }, (_, at) => Math.floor(timestampSec / 32 ** (6 - at)) % 32);
  const tagged = fields.flatMap(([tag, data]) => [tag, data.length >> 5, data.length & 31, ...data]);
  const signed = [...stamp, ...tagged, ...tail];
  const signature = words.signature ?? sign(prefix, signed, words.s ?? 'low');
  return otherBech32.encode(prefix, [...signed, ...otherBech32.toWords(signature)], Number.MAX_SAFE_INTEGER);
}

function sign(prefix: string, words: readonly number[], s: 'low' | 'high'): Uint8Array {
  const bits = words.map((word) => word.toString(2).padStart(5, '0')).join('');
  const bytes = bits.match(/.{1,8}/g)?.map((byte) => Number.parseInt(byte.padEnd(8, '0'), 2)) ?? [];
  const digest = createHash('sha256').update(prefix).update(Uint8Array.from(bytes)).digest();
  const { signature, recid } = secp256k1.ecdsaSign(digest, Buffer.from(EXAMPLE_PRIVATE_KEY, 'hex'));
  if (s === 'low') return Uint8Array.of(...signature, recid);
  const mirrored = ORDER - BigInt(`0x${Buffer.from(signature.subarray(32)).toString('hex')}`);
  const high = Buffer.from(mirrored.toString(16).padStart(64, '0'), 'hex');
  return Uint8Array.of(...signature.subarray(0, 32), ...high, recid ^ 1);
}
