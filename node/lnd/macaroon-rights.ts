/*
 * What an LND macaroon may do stands in it, in the clear: its identifier is a version byte and a protobuf message of
 * go-macaroon-bakery (`MacaroonId { nonce = 1; storageId = 2; ops = 3 }`, `Op { entity = 1; actions = 2 }`), inside the
 * binary macaroon format V2 (type, length and data of each field; libmacaroons, format.txt).
 */

/** The rights without which nothing can be sold. */
const NEEDED = ['invoices:read', 'invoices:write'] as const;

/** The rights without which the gateway can't see whether the node is synced, and how much it can receive. */
const HELPFUL = ['info:read', 'offchain:read'] as const;

/** Rights that move money, or make more rights, and that selling does not need. */
const DANGEROUS =
  /^(offchain:write|onchain:write|peers:write|info:write|macaroon:\w+|signer:\w+|message:write)$/;

/** The one line that makes a macaroon with all of these, and no more. */
export const BAKE_LINE = `lncli bakemacaroon --save_to sluice.macaroon ${[...HELPFUL, ...NEEDED].sort().join(' ')}`;

/** What a macaroon has too little of, and too much. */
export interface MacaroonReview {
  /** Nothing can be sold without. */
  readonly missing: readonly string[];
  /** Sync and liquidity can't be seen without. */
  readonly blind: readonly string[];
  /** Not needed, and would let a thief of the macaroon take money or make more rights. */
  readonly dangerous: readonly string[];
}

/** Compares a macaroon with what selling needs; `undefined` when it can't be read: LND decides then. */
export function reviewMacaroon(hex: string): MacaroonReview | undefined {
  const rights = readMacaroonRights(hex);
  if (rights === undefined) return undefined;
  // Rights to single methods are listed by their paths; which of them are enough is not ours to say.
  const byMethod = rights.some((right) => right.startsWith('uri:'));
  const without = (wanted: readonly string[]): readonly string[] =>
    byMethod ? [] : wanted.filter((right) => !rights.includes(right));
  return {
    missing: without(NEEDED),
    blind: without(HELPFUL),
    dangerous: rights.filter((right) => DANGEROUS.test(right)),
  };
}

/** What a person should know of a macaroon when the gateway starts; none of it contains the macaroon. */
export function macaroonWarnings(hex: string): readonly string[] {
  const review = reviewMacaroon(hex);
  if (review === undefined) return [];
  const { missing, blind, dangerous } = review;
  const warnings: string[] = [];
  if (missing.length > 0) {
    warnings.push(
      `the macaroon lacks ${missing.join(', ')}: nothing can be sold. This makes one: ${BAKE_LINE}`,
    );
  } else if (blind.length > 0) {
    warnings.push(
      `the macaroon lacks ${blind.join(', ')}: whether the node is synced, or how much it can receive, is not watched. ${BAKE_LINE}`,
    );
  }
  if (dangerous.length > 0) {
    warnings.push(
      `the macaroon may do more than selling needs (${dangerous.join(', ')}): who steals it takes the money. This makes a smaller one: ${BAKE_LINE}`,
    );
  }
  return warnings;
}

/** The rights of an LND macaroon, `entity:action` each; `undefined` when it is none. */
export function readMacaroonRights(hex: string): readonly string[] | undefined {
  try {
    const identifier = readIdentifier(Buffer.from(hex, 'hex'));
    if (identifier?.[0] !== BAKERY_VERSION) return undefined;
    const rights = readFields(identifier.subarray(1))
      .filter(({ field }) => field === OPS)
      .flatMap(({ data }) => readOperation(data));
    return [...new Set(rights)];
  } catch {
    return undefined;
  }
}

/** When the earliest `time-before` of a macaroon ends it, Unix seconds; `undefined`: it has none, or can't be read. */
export function readMacaroonExpirySec(hex: string): number | undefined {
  try {
    const ends = readCaveats(Buffer.from(hex, 'hex'))
      .map((caveat) => /^time-before (\S{1,64})$/.exec(caveat)?.[1])
      .map((date) => Date.parse(date ?? ''))
      .filter((ms) => !Number.isNaN(ms));
    return ends.length === 0 ? undefined : Math.floor(Math.min(...ends) / 1000);
  } catch {
    return undefined;
  }
}

const FORMAT_V2 = 2;
const END_OF_SECTION = 0;
const FIELD_LOCATION = 1;
const FIELD_IDENTIFIER = 2;
const BAKERY_VERSION = 3;
const OPS = 3;
const ENTITY = 1;
const ACTION = 2;
/** Fields of one message at most: LND's own admin macaroon has about twenty. */
const MAX_FIELDS = 500;

function readIdentifier(macaroon: Buffer): Buffer | undefined {
  if (macaroon[0] !== FORMAT_V2) return undefined;
  let at = 1;
  for (const wanted of [FIELD_LOCATION, FIELD_IDENTIFIER]) {
    const { value: type, next } = readVarint(macaroon, at);
    if (type !== wanted) continue;
    const { data, next: end } = readBytes(macaroon, next);
    if (type === FIELD_IDENTIFIER) return data;
    at = end;
  }
  return undefined;
}

/** The caveats of a macaroon: after the section of location and identifier one section each, until an empty one. */
function readCaveats(macaroon: Buffer): readonly string[] {
  if (macaroon[0] !== FORMAT_V2) return [];
  const caveats: string[] = [];
  let at = 1;
  let sections = 0;
  let isEmpty = true;
  for (let fields = 0; fields < MAX_FIELDS; fields += 1) {
    const { value: type, next } = readVarint(macaroon, at);
    at = next;
    if (type === END_OF_SECTION) {
      if (isEmpty) break;
      sections += 1;
      isEmpty = true;
      continue;
    }
    const { data, next: end } = readBytes(macaroon, next);
    if (sections > 0 && type === FIELD_IDENTIFIER) caveats.push(data.toString('utf8'));
    isEmpty = false;
    at = end;
  }
  return caveats;
}

function readOperation(message: Buffer): string[] {
  const fields = readFields(message);
  const entity = fields.find(({ field }) => field === ENTITY)?.data.toString('utf8') ?? '';
  return fields
    .filter(({ field }) => field === ACTION)
    .map(({ data }) => `${entity}:${data.toString('utf8')}`);
}

/** The length-delimited fields of a protobuf message. @throws RangeError for any other */
function readFields(message: Buffer): { readonly field: number; readonly data: Buffer }[] {
  const fields: { field: number; data: Buffer }[] = [];
  for (let at = 0; at < message.length && fields.length < MAX_FIELDS; ) {
    const { value: tag, next } = readVarint(message, at);
    if ((tag & 7) !== 2) throw new RangeError('not a length-delimited field');
    const { data, next: end } = readBytes(message, next);
    fields.push({ field: tag >> 3, data });
    at = end;
  }
  return fields;
}

function readBytes(bytes: Buffer, at: number): { readonly data: Buffer; readonly next: number } {
  const { value: length, next } = readVarint(bytes, at);
  const end = next + length;
  if (end > bytes.length) throw new RangeError('cut off');
  return { data: bytes.subarray(next, end), next: end };
}

function readVarint(bytes: Buffer, at: number): { readonly value: number; readonly next: number } {
  let value = 0;
  for (let index = 0; index < 4; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) break;
    value |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) return { value, next: at + index + 1 };
  }
  throw new RangeError('no varint');
}
