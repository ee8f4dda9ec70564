/**
 * What a macaroon says about itself. A client can't check the signature, so this steers which stored token is tried
 * first and never how much is paid.
 */
export interface MacaroonTerms {
  /** 64 lower-case hex digits, when the identifier has the form of the L402 specification. */
  readonly paymentHash?: string;
  /** Name of the service. */
  readonly service?: string;
  /** Unix seconds. */
  readonly validUntilSec?: number;
  /** What the payment credits, msat; 0 for a pass. */
  readonly creditMsat?: number;
  /** The price in the canonical form of a Sluice gateway: `10000msat/call`, `100msat/1s`. */
  readonly price?: string;
  /** The account that it spends from. */
  readonly account?: string;
}

const MAX_BYTES = 8_192;
const MAX_CAVEATS = 64;
const END = 0;
const LOCATION = 1;
const IDENTIFIER = 2;
const VERSION_2 = 2;
/** `uint16 0 ‖ payment hash ‖ token id`. */
const IDENTIFIER_BYTES = 66;

/**
 * Reads the terms of a V2 macaroon in base64 or base64url (wire form: libmacaroons version 2). Unknown or broken forms
 * have no terms: the macaroon is the server's business, and goes back to it unread.
 */
export function readMacaroonTerms(macaroon: string): MacaroonTerms {
  try {
    return toTerms(readPackets(fromBase64(macaroon)));
  } catch {
    return {};
  }
}

/**
 * Whether what was bought serves more than the one request it was bought for: passes, bundles, deposits, and everything
 * of which nothing is known. Only a credit that is spent by one call is not shared.
 */
export function isShared(terms: MacaroonTerms): boolean {
  return (callsOf(terms) ?? 2) >= 2;
}

/** How many calls the payment buys at a price for a call or a bundle of calls; `undefined` for everything else, and for a pass. */
export function callsOf({ price, creditMsat }: MacaroonTerms): number | undefined {
  const [, amount, calls = '1'] =
    /^(\d{1,16}) ?msat(?:(?:\/| for )(?:(\d{1,9}) ?)?calls?)?$/.exec(price ?? '') ?? [];
  if (amount === undefined || creditMsat === undefined || creditMsat === 0) return undefined;
  if (Number(amount) === 0 || Number(calls) === 0) return undefined;
  return Math.floor((creditMsat * Number(calls)) / Number(amount));
}

interface Packets {
  readonly identifier: Uint8Array;
  readonly caveats: readonly string[];
}

function fromBase64(text: string): Uint8Array {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  if (binary.length > MAX_BYTES) throw new RangeError('too long');
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

function readPackets(bytes: Uint8Array): Packets {
  let at = 1;
  if (bytes[0] !== VERSION_2) throw new RangeError('not version 2');
  const readVarint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[at];
      if (byte === undefined) throw new RangeError('cut short');
      at += 1;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('number too long');
  };
  const readField = (kind: number): Uint8Array | undefined => {
    if (bytes[at] !== kind) return undefined;
    at += 1;
    const length = readVarint();
    if (at + length > bytes.length) throw new RangeError('cut short');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const readEnd = (): void => {
    if (bytes[at] !== END) throw new RangeError('field not expected');
    at += 1;
  };

  readField(LOCATION);
  const identifier = readField(IDENTIFIER);
  if (identifier === undefined) throw new RangeError('no identifier');
  readEnd();
  const caveats: string[] = [];
  while (bytes[at] !== END && caveats.length < MAX_CAVEATS) {
    readField(LOCATION);
    caveats.push(new TextDecoder().decode(readField(IDENTIFIER)));
    readEnd();
  }
  return { identifier, caveats };
}

function toTerms({ identifier, caveats }: Packets): MacaroonTerms {
  const service = readCaveat(caveats, 'services')?.split(':')[0];
  const validUntilSec = toCount(readCaveat(caveats, `${service}_valid_until`));
  const creditMsat = toCount(readCaveat(caveats, `${service}_credit_msat`));
  const price = readCaveat(caveats, `${service}_price`);
  const account = readCaveat(caveats, `${service}_account`);
  const hasHash = identifier.length === IDENTIFIER_BYTES && identifier[0] === 0 && identifier[1] === 0;
  return {
    ...(hasHash ? { paymentHash: toHex(identifier.subarray(2, 34)) } : {}),
    ...(service === undefined || service === '' ? {} : { service }),
    ...(validUntilSec === undefined ? {} : { validUntilSec }),
    ...(creditMsat === undefined ? {} : { creditMsat }),
    ...(price === undefined ? {} : { price }),
    ...(account === undefined ? {} : { account }),
  };
}

function readCaveat(caveats: readonly string[], condition: string): string | undefined {
  const start = `${condition}=`;
  return caveats.find((caveat) => caveat.startsWith(start))?.slice(start.length);
}

function toCount(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
