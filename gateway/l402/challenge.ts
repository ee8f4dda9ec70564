import { L402Error } from './errors.ts';

/** What a challenge offers. */
export interface ChallengeOffer {
  /** Standard base64, padded. */
  readonly macaroon: string;
  /** BOLT 11. */
  readonly invoice: string;
}

/** One challenge of a `WWW-Authenticate` header. */
export interface ParsedChallenge {
  /** As it was sent; schemes compare without regard to case. */
  readonly scheme: string;
  /** Parameters by lower-case name, in the order in which they were sent. */
  readonly params: ReadonlyMap<string, string>;
  /** The token of a challenge that has one instead of parameters. */
  readonly token68?: string;
}

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const BOLT11 = /^ln[a-z0-9]+$/i;
const PREIMAGE = /^[0-9a-f]{64}$/;

const MAX_CHARS = 65_536;
const MAX_CHALLENGES = 32;
const MAX_PARAMS = 32;

/* Sticky patterns, each read at the scanner's position (RFC 9110, 5.6 and 11.2). */
const BLANKS = /[ \t]*/y;
const SEPARATORS = /[ \t,]*/y;
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/sy;
const EQUALS = /[ \t]*=[ \t]*/y;
/** Only where a list element ends behind it: otherwise `a=b` would be a token with padding. */
const TOKEN68 = /([A-Za-z0-9._~+/-]+=*)(?=[ \t]*(?:,|$))/y;

/**
 * A `WWW-Authenticate` value of the L402 scheme. The order of the keys is part of the form: known clients match them with
 * one pattern, and stop at the specification's order, which begins with `version`.
 * @throws L402Error `bad-challenge` for what would break out of the quotes
 */
export function formatChallenge(offer: ChallengeOffer): string {
  const { macaroon, invoice } = checkedOffer(offer);
  return `L402 macaroon="${macaroon}", invoice="${invoice}", version="0", token="${macaroon}"`;
}

/** The same in the scheme's old name, for clients that know no other. @throws L402Error `bad-challenge` */
export function formatLsatChallenge(offer: ChallengeOffer): string {
  const { macaroon, invoice } = checkedOffer(offer);
  return `LSAT macaroon="${macaroon}", invoice="${invoice}"`;
}

/**
 * The `Authorization` value of a paid macaroon.
 * @param preimageHex - 64 lower-case hex digits
 * @throws L402Error `bad-challenge`
 */
export function formatAuthorization(macaroonBase64: string, preimageHex: string): string {
  if (!BASE64.test(macaroonBase64) || !PREIMAGE.test(preimageHex)) {
    throw new L402Error(
      'bad-challenge',
      'A credential is a base64 macaroon and a preimage of 64 hex digits.',
    );
  }
  return `L402 ${macaroonBase64}:${preimageHex}`;
}

/**
 * Reads `WWW-Authenticate` values (RFC 9110, 11.6.1), several challenges in one value included. Strict: the names of one
 * challenge's parameters must differ, and quotes must close.
 * @throws L402Error `bad-challenge`
 */
export function parseChallenges(values: readonly string[]): ParsedChallenge[] {
  const challenges: ParsedChallenge[] = [];
  let chars = 0;
  for (const value of values) {
    chars += value.length;
    if (chars > MAX_CHARS) throw bad(`it is longer than ${MAX_CHARS} characters`);
    const scanner: Scanner = { text: value, offset: 0 };
    scan(scanner, SEPARATORS);
    while (scanner.offset < value.length) {
      if (challenges.length === MAX_CHALLENGES) throw bad(`it has more than ${MAX_CHALLENGES} challenges`);
      challenges.push(readChallenge(scanner));
    }
  }
  return challenges;
}

function checkedOffer(offer: ChallengeOffer): ChallengeOffer {
  if (!BASE64.test(offer.macaroon) || !BOLT11.test(offer.invoice)) {
    throw new L402Error('bad-challenge', 'A challenge is a base64 macaroon and a BOLT 11 invoice.');
  }
  return offer;
}

interface Scanner {
  readonly text: string;
  offset: number;
}

/** Matches at the current position and moves behind it; the first group, or else the whole match. */
function scan(scanner: Scanner, pattern: RegExp): string | undefined {
  pattern.lastIndex = scanner.offset;
  const match = pattern.exec(scanner.text);
  if (match === null) return undefined;
  scanner.offset = pattern.lastIndex;
  return match[1] ?? match[0];
}

/** Reads one challenge and the separators behind it. */
function readChallenge(scanner: Scanner): ParsedChallenge {
  const scheme = scan(scanner, TOKEN);
  if (scheme === undefined) throw bad('a scheme was expected');
  const blanks = scan(scanner, BLANKS);
  const params = new Map<string, string>();
  if (blanks === '') {
    endElement(scanner);
    return { scheme, params };
  }
  const token68 = startsParam(scanner) ? undefined : scan(scanner, TOKEN68);
  if (token68 !== undefined) {
    endElement(scanner);
    return { scheme, params, token68 };
  }
  while (startsParam(scanner)) {
    if (params.size === MAX_PARAMS) throw bad(`a challenge has more than ${MAX_PARAMS} parameters`);
    readParam(scanner, params);
    endElement(scanner);
  }
  if (params.size === 0) endElement(scanner);
  return { scheme, params };
}

/** Whether `name=value` comes next; `name=` alone is a token with padding. */
function startsParam(scanner: Scanner): boolean {
  const ahead: Scanner = { ...scanner };
  return (
    scan(ahead, TOKEN) !== undefined &&
    scan(ahead, EQUALS) !== undefined &&
    ahead.offset < ahead.text.length &&
    ahead.text[ahead.offset] !== '=' &&
    ahead.text[ahead.offset] !== ','
  );
}

function readParam(scanner: Scanner, params: Map<string, string>): void {
  const name = scan(scanner, TOKEN)?.toLowerCase();
  scan(scanner, EQUALS);
  const quoted = scan(scanner, QUOTED);
  const value = quoted?.replace(/\\(.)/gs, '$1') ?? scan(scanner, TOKEN);
  if (name === undefined || value === undefined) throw bad('the value of a parameter can not be read');
  if (params.has(name)) throw bad('a parameter is repeated');
  params.set(name, value);
}

function endElement(scanner: Scanner): void {
  const separators = scan(scanner, SEPARATORS) ?? '';
  if (scanner.offset < scanner.text.length && !separators.includes(',')) {
    throw bad('a comma was expected');
  }
}

function bad(why: string): L402Error {
  return new L402Error('bad-challenge', `The WWW-Authenticate header can not be read: ${why}.`);
}
