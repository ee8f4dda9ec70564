import { isUtf8 } from 'node:buffer';
import { timingSafeEqual } from 'node:crypto';
import { L402Error } from './errors.ts';
import { hmacSha256 } from './hmac.ts';

/** A macaroon with first-party caveats. */
export interface Macaroon {
  /** A hint that the signature does not cover; ours is always {@link LOCATION}. */
  readonly location: string;
  readonly identifier: Buffer;
  /** Well-formed Unicode only: {@link decodeMacaroon} says why. */
  readonly caveats: readonly string[];
  /** 32 bytes. */
  readonly signature: Buffer;
}

/** The location of every macaroon that we mint, as the other L402 servers write it. */
export const LOCATION = 'lsat';

/** A macaroon with more caveats is refused, minted or read. */
export const MAX_CAVEATS = 64;

/** An encoded macaroon of more bytes is refused, written or read. */
export const MAX_MACAROON_BYTES = 8192;

const MAX_TEXT_CHARS = Math.ceil(MAX_MACAROON_BYTES / 3) * 4;
const SIGNATURE_BYTES = 32;
const VERSION = 2;
/** Tags of the V2 binary format. */
const TAG = { end: 0, location: 1, identifier: 2, verificationId: 4, signature: 6 } as const;

const KEY_DOMAIN = Buffer.from('macaroons-key-generator');

/**
 * Mints a macaroon: `k = HMAC-SHA256("macaroons-key-generator", rootKey)`, `sig = HMAC(k, identifier)`, then
 * `sig = HMAC(sig, caveat)` for each caveat.
 * @throws L402Error `macaroon-too-large` over 64 caveats, `bad-macaroon` for a caveat that is not well-formed Unicode
 */
export function mintMacaroon(rootKey: Buffer, identifier: Buffer, caveats: readonly string[]): Macaroon {
  if (caveats.length > MAX_CAVEATS) throw tooManyCaveats();
  let signature = hmacSha256(hmacSha256(KEY_DOMAIN, rootKey), identifier);
  for (const caveat of caveats) signature = hmacSha256(signature, wellFormed(caveat));
  return { location: LOCATION, identifier, caveats: [...caveats], signature };
}

/**
 * Whether a macaroon was minted under this root key and only had caveats appended since. It is minted again and compared
 * in constant time. The signature does not cover the location, so another one than ours is refused here: every bit of a
 * macaroon counts. Read caveats only after this held.
 */
export function holdsSignature(rootKey: Buffer, macaroon: Macaroon): boolean {
  if (macaroon.location !== LOCATION || macaroon.caveats.length > MAX_CAVEATS) return false;
  const expected = mintMacaroon(rootKey, macaroon.identifier, macaroon.caveats).signature;
  return macaroon.signature.length === expected.length && timingSafeEqual(macaroon.signature, expected);
}

/**
 * Writes the V2 binary form: version, location (left out when empty), identifier, caveats, signature.
 * @throws L402Error `macaroon-too-large`, `bad-macaroon`
 */
export function encodeMacaroon(macaroon: Macaroon): Buffer {
  if (macaroon.caveats.length > MAX_CAVEATS) throw tooManyCaveats();
  if (macaroon.signature.length !== SIGNATURE_BYTES) throw bad('its signature must have 32 bytes');
  scratch[0] = VERSION;
  let end = 1;
  if (macaroon.location !== '') end = putField(end, TAG.location, wellFormed(macaroon.location));
  end = putEnd(putField(end, TAG.identifier, macaroon.identifier));
  for (const caveat of macaroon.caveats) end = putEnd(putField(end, TAG.identifier, wellFormed(caveat)));
  end = putField(putEnd(end), TAG.signature, macaroon.signature);
  return Buffer.from(scratch.subarray(0, end));
}

/**
 * Reads the V2 binary form, strictly: every accepted byte string is exactly what {@link encodeMacaroon} writes for the
 * result, so that two byte strings never mean the same macaroon. Therefore it refuses a length that is not a minimal
 * varint, an empty location, fields that are out of order, repeated or unknown, anything behind the signature, and caveats
 * that are not UTF-8 (decoded leniently, several of them would become one text). Third-party caveats are refused too.
 * @throws L402Error `bad-macaroon`, `macaroon-too-large`
 */
export function decodeMacaroon(bytes: Buffer): Macaroon {
  if (bytes.length > MAX_MACAROON_BYTES) throw tooManyBytes();
  if (bytes[0] !== VERSION) throw bad('it is not in the V2 binary form');
  const cursor: Cursor = { bytes, offset: 1 };
  const location = takeOptional(cursor, TAG.location);
  if (location?.length === 0) throw bad('its location is empty instead of absent');
  const identifier = take(cursor, TAG.identifier);
  takeEnd(cursor);
  const caveats: string[] = [];
  while (bytes[cursor.offset] !== TAG.end) {
    if (caveats.length === MAX_CAVEATS) throw tooManyCaveats();
    caveats.push(readText(take(cursor, TAG.identifier)));
    if (bytes[cursor.offset] === TAG.verificationId) throw bad('it has a third-party caveat');
    takeEnd(cursor);
  }
  takeEnd(cursor);
  const signature = take(cursor, TAG.signature);
  if (signature.length !== SIGNATURE_BYTES) throw bad('its signature does not have 32 bytes');
  if (cursor.offset !== bytes.length) throw bad('something follows its signature');
  return {
    location: location === undefined ? '' : readText(location),
    identifier: Buffer.from(identifier),
    caveats,
    signature: Buffer.from(signature),
  };
}

/** {@link encodeMacaroon} as standard, padded base64. @throws L402Error `macaroon-too-large`, `bad-macaroon` */
export function macaroonToBase64(macaroon: Macaroon): string {
  return encodeMacaroon(macaroon).toString('base64');
}

/**
 * Reads a macaroon from standard or url-safe base64, padded or not; the two alphabets don't mix, padding is complete or
 * absent, unused bits are zero, and there is no space.
 * @throws L402Error `bad-base64`, `bad-macaroon`, `macaroon-too-large`
 */
export function macaroonFromText(text: string): Macaroon {
  if (text.length > MAX_TEXT_CHARS) throw tooManyBytes();
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = padding === 0 ? text : text.slice(0, -padding);
  const bytes = Buffer.from(digits, 'base64');
  // Node skips what is not base64, so the strict check is to write it again.
  const exact = unpadded(bytes.toString('base64')) === digits || bytes.toString('base64url') === digits;
  if (!exact || (padding > 0 && text.length % 4 !== 0)) {
    throw new L402Error('bad-base64', 'The macaroon is neither standard nor url-safe base64.');
  }
  return decodeMacaroon(bytes);
}

/** Where a macaroon is written before its size is known. */
const scratch = Buffer.alloc(MAX_MACAROON_BYTES);

interface Cursor {
  readonly bytes: Buffer;
  offset: number;
}

/** Writes one field into {@link scratch}. @returns the offset behind it */
function putField(start: number, tag: number, data: Buffer): number {
  const { length } = data;
  const long = length < 0x80 ? 0 : 1;
  const end = start + 2 + long + length;
  if (end > MAX_MACAROON_BYTES) throw tooManyBytes();
  scratch[start] = tag;
  scratch[start + 1] = long === 0 ? length : (length & 0x7f) | 0x80;
  if (long === 1) scratch[start + 2] = length >> 7;
  scratch.set(data, end - length);
  return end;
}

function putEnd(start: number): number {
  if (start === MAX_MACAROON_BYTES) throw tooManyBytes();
  scratch[start] = TAG.end;
  return start + 1;
}

function take(cursor: Cursor, tag: number): Buffer {
  const data = takeOptional(cursor, tag);
  if (data === undefined) throw bad('a field is missing, repeated or unknown');
  return data;
}

function takeOptional(cursor: Cursor, tag: number): Buffer | undefined {
  if (cursor.bytes[cursor.offset] !== tag) return undefined;
  cursor.offset += 1;
  const length = takeLength(cursor);
  const start = cursor.offset;
  if (length > cursor.bytes.length - start) throw bad('it ends inside a field');
  cursor.offset = start + length;
  return cursor.bytes.subarray(start, cursor.offset);
}

function takeEnd(cursor: Cursor): void {
  if (cursor.bytes[cursor.offset] !== TAG.end) throw bad('a field is missing, repeated or unknown');
  cursor.offset += 1;
}

/** A minimal varint of one or two bytes: no field of a macaroon of 8 KB needs a third. */
function takeLength(cursor: Cursor): number {
  const low = takeByte(cursor);
  if (low < 0x80) return low;
  const high = takeByte(cursor);
  if (high === 0 || high >= 0x80) throw bad('the length of a field is not a minimal number');
  return (high << 7) | (low & 0x7f);
}

function takeByte(cursor: Cursor): number {
  const byte = cursor.bytes[cursor.offset];
  if (byte === undefined) throw bad('it ends inside a field');
  cursor.offset += 1;
  return byte;
}

function readText(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw bad('a caveat or the location is not UTF-8');
  return bytes.toString('utf8');
}

function wellFormed(value: string): Buffer {
  // A lone surrogate would be written as U+FFFD, and then two different texts would be the same bytes.
  if (!value.isWellFormed()) throw bad('a caveat or the location is not well-formed Unicode');
  return Buffer.from(value, 'utf8');
}

function unpadded(base64: string): string {
  const end = base64.indexOf('=');
  return end === -1 ? base64 : base64.slice(0, end);
}

function bad(why: string): L402Error {
  return new L402Error('bad-macaroon', `This is no macaroon that can be used: ${why}.`);
}

function tooManyCaveats(): L402Error {
  return new L402Error('macaroon-too-large', `A macaroon has at most ${MAX_CAVEATS} caveats.`);
}

function tooManyBytes(): L402Error {
  return new L402Error('macaroon-too-large', `A macaroon has at most ${MAX_MACAROON_BYTES} bytes.`);
}
