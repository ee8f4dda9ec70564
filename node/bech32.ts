/** A bech32 string taken apart (BIP 173). Its checksum held. */
export interface Bech32 {
  /** What stands before the separator, in lower case. */
  readonly prefix: string;
  /** Words of 5 bits, without those of the checksum. */
  readonly words: Uint8Array;
}

const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const SEPARATOR = '1';
const CHECKSUM_WORDS = 6;
/** What the checksum of a whole string comes to. */
const HELD = 1;
const NO_WORD = 0xff;

/** BIP 173 allows no other characters. Without this, the Kelvin sign would be the `k` that it becomes in lower case. */
const PRINTABLE = /^[\x21-\x7e]+$/;

/** Words by the code of their lower-case character. */
const WORD_OF_CODE = new Uint8Array(128).fill(NO_WORD);
for (const [word, character] of [...ALPHABET].entries()) WORD_OF_CODE[character.charCodeAt(0)] = word;

const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
/** What the five bits that leave the checksum at each step put back into it. */
const FEEDBACK = Int32Array.from({ length: 32 }, (_, top) =>
  GENERATORS.reduce((sum, generator, bit) => ((top >> bit) & 1 ? sum ^ generator : sum), 0),
);

/**
 * Reads a bech32 string of any length: the 90 characters of BIP 173 are for addresses. Upper or lower case, not both.
 * @returns undefined when it is none, or its checksum is wrong
 */
export function decodeBech32(text: string): Bech32 | undefined {
  const separator = text.lastIndexOf(SEPARATOR);
  const length = text.length - separator - 1;
  if (separator < 1 || length < CHECKSUM_WORDS || !PRINTABLE.test(text)) return undefined;
  const lowered = text.toLowerCase();
  if (text !== lowered && text !== text.toUpperCase()) return undefined;

  let checksum = checksumOfPrefix(lowered, separator);
  const words = new Uint8Array(length);
  for (let at = 0; at < length; at += 1) {
    const word = WORD_OF_CODE[lowered.charCodeAt(separator + 1 + at)] ?? NO_WORD;
    if (word === NO_WORD) return undefined;
    words[at] = word;
    checksum = step(checksum, word);
  }
  if (checksum !== HELD) return undefined;
  return { prefix: lowered.slice(0, separator), words: words.subarray(0, -CHECKSUM_WORDS) };
}

function checksumOfPrefix(text: string, end: number): number {
  let checksum = 1;
  for (let at = 0; at < end; at += 1) checksum = step(checksum, text.charCodeAt(at) >> 5);
  checksum = step(checksum, 0);
  for (let at = 0; at < end; at += 1) checksum = step(checksum, text.charCodeAt(at) & 31);
  return checksum;
}

function step(checksum: number, word: number): number {
  return ((checksum & 0x1ffffff) << 5) ^ (FEEDBACK[checksum >>> 25] ?? 0) ^ word;
}

/** The word that a character stands for, in either case; undefined when it is not of bech32's alphabet. */
export function wordOf(character: string): number | undefined {
  const word = WORD_OF_CODE[character.toLowerCase().charCodeAt(0)];
  return word === NO_WORD ? undefined : word;
}

/** Words as a number, the highest first; Infinity and beyond the safe integers when there are many. */
export function wordsToNumber(words: Uint8Array): number {
  let value = 0;
  for (const word of words) value = value * 32 + word;
  return value;
}

/** The whole bytes in words; the bits left over at the end are padding. */
export function wordsToBytes(words: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((words.length * 5) >> 3);
  packWords(words, bytes);
  return bytes;
}

/** Writes words as bytes until they or the bytes end; a last byte that is begun is filled up with zeros. */
export function packWords(words: Uint8Array, bytes: Uint8Array): void {
  let held = 0;
  let bits = 0;
  let at = 0;
  for (const word of words) {
    held = ((held << 5) | word) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at] = held >> bits;
    at += 1;
  }
  if (bits > 0 && at < bytes.length) bytes[at] = held << (8 - bits);
}
