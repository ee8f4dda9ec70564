import { type AuthEntry, splitAuthList } from './auth-list.ts';
import { MAX_MACAROON_BYTES } from './macaroon.ts';

/** One payment credential as it was sent; nothing of it has been verified. */
export interface CredentialCandidate {
  /** Texts for `macaroonFromText`. One that holds, with its payment's preimage, is enough; the others may be for other services. */
  readonly macaroons: readonly string[];
  /** 64 lower-case hex digits; absent when it can only stand in a `preimage=` caveat. Without either, nothing was paid. */
  readonly preimage?: string;
  /**
   * Macaroons and preimage as they were sent: equal keys mean equal macaroons and preimages, whatever the scheme was. It is
   * a secret: hash it before it is kept.
   */
  readonly cacheKey: string;
}

/** What {@link readCredentials} found in a request. */
export interface CredentialReading {
  /** In the order in which they were sent, {@link MAX_CREDENTIALS} at most. */
  readonly candidates: readonly CredentialCandidate[];
  /** Something was meant as a payment credential and can't be one: why, in words that name no value. */
  readonly malformed?: string;
}

/** Where a service lets the credential stand beside `Authorization`. */
export interface CredentialOptions {
  /** A header that carries nothing else; lower case. */
  readonly credentialHeader?: string | undefined;
}

/** Bounds what one request can make us verify: four candidates, and four macaroons in all. */
export const MAX_CREDENTIALS = 4;

/**
 * How the base64 of every macaroon of an L402 server begins: V2, location `lsat`, an identifier of 66 bytes. It tells our
 * credentials in `Bearer`, `Basic` and bare forms from the upstream's own.
 */
const MACAROON_START = 'AgEEbHNhdAJC';
/** The same in hex, up to the location: LND's own macaroons travel in `Grpc-Metadata-Macaroon` too, and are not ours. */
const HEX_MACAROON_START = '0201046c736174';
/** A Basic value that is shorter can't hold a credential and is not decoded. */
const MIN_BASIC_CHARS = 200;
const PREIMAGE = /^[0-9a-fA-F]{64}$/;
const HEX = /^(?:[0-9a-fA-F]{2})+$/;

const NOTHING: CredentialReading = Object.freeze({ candidates: Object.freeze([]) });

/**
 * Finds the payment credentials of a request: `L402` and `LSAT` values, `Bearer` and `Basic` (password) values of the form
 * `<macaroon>:<preimage>`, the service's own credential header, the hex headers of Aperture's gRPC client, and a query
 * token. Never throws; its work is linear in the size of the headers.
 *
 * @param rawHeaders - name, value, name, value, as Node gives them: `headers` drops a second `Authorization`
 * @param options.queryToken - the decoded `?t=`, only when the service opted in
 */
export function readCredentials(
  rawHeaders: readonly string[],
  options: CredentialOptions & { readonly queryToken?: string | undefined } = {},
): CredentialReading {
  let found: Found | undefined;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const place = placeOf(rawHeaders[index] ?? '', options);
    if (place === undefined) continue;
    found ??= newFound();
    readValue(place, rawHeaders[index + 1] ?? '', found);
  }
  if (options.queryToken !== undefined && options.queryToken !== '') {
    found ??= newFound();
    // Form decoding turns the plus signs of standard base64 into blanks.
    readParts(options.queryToken.replaceAll(' ', '+').split(','), found);
  }
  if (found === undefined) return NOTHING;
  const { candidates, malformed } = found;
  return malformed === undefined ? { candidates } : { candidates, malformed };
}

/**
 * Where in `rawHeaders` the only header stands in which a credential may be: the index of its name; -1 when there is none, or more
 * than one.
 */
export function onlyCredentialHeader(rawHeaders: readonly string[], options: CredentialOptions = {}): number {
  let at = -1;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    if (placeOf(rawHeaders[index] ?? '', options) === undefined) continue;
    if (at !== -1) return -1;
    at = index;
  }
  return at;
}

/**
 * What of a request header may be forwarded to the upstream: the value itself when it holds no payment credential,
 * `undefined` when it holds nothing else, and the rest when both stand in one value. Removes what {@link readCredentials}
 * finds, broken credentials too, and those of the `Payment` scheme.
 */
export function withoutCredentials(
  name: string,
  value: string,
  options: CredentialOptions = {},
): string | undefined {
  const place = placeOf(name, options);
  if (place === undefined) return value;
  if (place === 'own') return undefined;
  if (place === 'hex') return isHexCredential(value) ? undefined : value;
  const entries = splitAuthList(value);
  const kept = entries.filter((entry) => entry.scheme !== 'payment' && paymentParts(entry) === undefined);
  if (kept.length === entries.length) return value;
  return kept.length === 0 ? undefined : kept.map((entry) => entry.text).join(', ');
}

/** Whether a request header holds a payment credential, whole or broken, so that it must not be forwarded as it is. */
export function isCredentialHeader(name: string, value: string, options: CredentialOptions = {}): boolean {
  return withoutCredentials(name, value, options) !== value;
}

interface Found {
  readonly candidates: CredentialCandidate[];
  macaroonCount: number;
  malformed: string | undefined;
}

function newFound(): Found {
  return { candidates: [], macaroonCount: 0, malformed: undefined };
}

/** Which of the headers that can hold a credential this is. Lengths are compared first: it runs for every header. */
function placeOf(name: string, options: CredentialOptions): 'authorization' | 'own' | 'hex' | undefined {
  const own = options.credentialHeader;
  switch (name.length) {
    case 13:
      if (name.toLowerCase() === 'authorization') return 'authorization';
      break;
    case 8:
    case 22: {
      const lower = name.toLowerCase();
      if (lower !== own && (lower === 'macaroon' || lower === 'grpc-metadata-macaroon')) return 'hex';
      break;
    }
  }
  return own !== undefined && name.length === own.length && name.toLowerCase() === own ? 'own' : undefined;
}

function readValue(place: 'authorization' | 'own' | 'hex', value: string, found: Found): void {
  if (place === 'hex') {
    readHex(value, found);
    return;
  }
  for (const entry of splitAuthList(value)) {
    if (entry.scheme === 'payment') continue;
    const parts = paymentParts(entry) ?? (place === 'own' ? entry.parts : undefined);
    if (parts !== undefined) readParts(parts, found);
  }
}

/** The parts of an entry that is a payment credential of ours, in any scheme; `undefined` when it is not one. */
function paymentParts(entry: AuthEntry): readonly string[] | undefined {
  if (entry.scheme === 'l402' || entry.scheme === 'lsat') return entry.parts;
  if (entry.scheme === 'basic') return basicParts(entry.parts[0] ?? '');
  if (entry.parts.some((part) => part.startsWith(MACAROON_START))) return entry.parts;
  // A blank inside a broken credential makes its first half look like a scheme.
  return entry.text.startsWith(MACAROON_START) ? [entry.text] : undefined;
}

/** The password of a Basic value, or all of it when the macaroon is the user name and the preimage the password. */
function basicParts(base64: string): readonly string[] | undefined {
  if (base64.length < MIN_BASIC_CHARS) return undefined;
  const pair = Buffer.from(base64, 'base64').toString('latin1');
  const credential = pair.startsWith(MACAROON_START) ? pair : pair.slice(pair.indexOf(':') + 1);
  return credential.startsWith(MACAROON_START) ? credential.split(',') : undefined;
}

/** Macaroons up to a part with a colon, which ends one credential with its preimage. */
function readParts(parts: readonly string[], found: Found): void {
  let macaroons: string[] = [];
  for (const part of parts) {
    const colon = part.indexOf(':');
    macaroons.push(colon === -1 ? part : part.slice(0, colon));
    if (colon === -1) continue;
    const sent = part.slice(colon + 1);
    if (PREIMAGE.test(sent)) addCandidate(macaroons, sent, found);
    else found.malformed ??= 'the preimage behind the macaroon is not 64 hex digits';
    macaroons = [];
  }
  if (macaroons.length > 0) addCandidate(macaroons, undefined, found);
}

function readHex(value: string, found: Found): void {
  if (!isHexCredential(value)) return;
  const hex = value.trim();
  if (hex.length > 2 * MAX_MACAROON_BYTES || !HEX.test(hex)) {
    found.malformed ??= 'the macaroon in its own header is too long, or not hex';
    return;
  }
  addCandidate([Buffer.from(hex, 'hex').toString('base64')], undefined, found);
}

function isHexCredential(value: string): boolean {
  return value.trimStart().slice(0, HEX_MACAROON_START.length).toLowerCase() === HEX_MACAROON_START;
}

function addCandidate(macaroons: readonly string[], preimage: string | undefined, found: Found): void {
  if (macaroons.includes('')) {
    found.malformed ??= 'a macaroon is missing';
    return;
  }
  if (found.macaroonCount + macaroons.length > MAX_CREDENTIALS) {
    found.malformed ??= `a request may carry at most ${MAX_CREDENTIALS} macaroons`;
    return;
  }
  found.macaroonCount += macaroons.length;
  const list = macaroons.join(',');
  found.candidates.push(
    preimage === undefined
      ? { macaroons, cacheKey: list }
      : { macaroons, preimage: preimage.toLowerCase(), cacheKey: `${list}:${preimage}` },
  );
}
