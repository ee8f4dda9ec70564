/** One offer to sell access: pay `invoice`, and its preimage completes `macaroon`. */
export interface Challenge {
  /** How the credential must be named when it is sent. */
  readonly scheme: 'L402' | 'LSAT';
  /** As the server wrote it: base64, not decoded. */
  readonly macaroon: string;
  /** BOLT 11, not checked. */
  readonly invoice: string;
}

/** Longest text of `WWW-Authenticate` that is read, characters. The rest is ignored. */
const MAX_TEXT = 65_536;
/** Most challenges read. */
const MAX_CHALLENGES = 32;
/** A macaroon of 8 KB in base64, with room; and the longest invoice that a QR code could show, with room. */
const MAX_MACAROON = 12_288;
const MAX_INVOICE = 8_192;

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
/** Parameter without quotes: everything up to a separator, because base64 holds `/`, `+` and `=`. */
const BARE_VALUE = /[^\s,;"]*/y;
const TOKEN68 = /[A-Za-z0-9\-._~+/]+=*(?=\s*(?:,|$))/y;
const SEPARATORS = /[\s,;]*/y;
const EQUALS = /[ \t]*=[ \t]*/y;

/**
 * Reads the payment challenges of `WWW-Authenticate` (RFC 9110 section 11.6.1; L402 specification). Takes one value or
 * several, each with one challenge or several, quoted or unquoted parameters in any order, and skips other schemes.
 * @param values - the header's values; a `Headers` object joins them with commas, which is fine.
 * @returns every complete L402 or LSAT challenge, in the order of the header; empty when there is none.
 * @example
 * parseChallenges('L402 macaroon="AgEE", invoice="lnbcrt1…"')[0]?.scheme; // 'L402'
 */
export function parseChallenges(values: string | readonly string[] | null): readonly Challenge[] {
  if (values === null) return [];
  const found: Challenge[] = [];
  let left = MAX_TEXT;
  for (const value of typeof values === 'string' ? [values] : values) {
    if (left <= 0) break;
    const text = value.slice(0, left);
    left -= text.length;
    for (const { scheme, parameters } of scan(text)) {
      const challenge = toChallenge(scheme, parameters);
      if (challenge !== undefined && found.length < MAX_CHALLENGES) found.push(challenge);
    }
  }
  return found;
}

/** The challenge to answer: the first L402, else the first LSAT (the same thing under its old name). */
export function chooseChallenge(challenges: readonly Challenge[]): Challenge | undefined {
  return challenges.find((challenge) => challenge.scheme === 'L402') ?? challenges[0];
}

interface RawChallenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** A token followed by `=` is a parameter of the scheme before it; any other token begins a new scheme. */
function scan(text: string): readonly RawChallenge[] {
  const challenges: RawChallenge[] = [];
  let parameters = new Map<string, string>();
  const cursor = new Cursor(text);
  while (challenges.length <= MAX_CHALLENGES) {
    cursor.take(SEPARATORS);
    const token = cursor.take(TOKEN);
    if (token === undefined) break;
    if (challenges.length > 0 && cursor.take(EQUALS) !== undefined) {
      const value = cursor.takeValue();
      if (value === undefined) break;
      const name = token.toLowerCase();
      if (!parameters.has(name)) parameters.set(name, value);
      continue;
    }
    parameters = new Map();
    challenges.push({ scheme: token.toUpperCase(), parameters });
    // `Negotiate YII=`: credentials of another scheme in one word, which must not be taken for a parameter.
    cursor.take(/[ \t]+/y);
    cursor.take(TOKEN68);
  }
  return challenges;
}

class Cursor {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** What a sticky pattern matches here. */
  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text)?.[0];
    if (match !== undefined) this.#at += match.length;
    return match;
  }

  /** A quoted string or a bare value; `undefined` when a quote is never closed. */
  takeValue(): string | undefined {
    if (this.#text[this.#at] !== '"') return this.take(BARE_VALUE);
    let value = '';
    for (let at = this.#at + 1; at < this.#text.length; at += 1) {
      const character = this.#text[at];
      if (character === '"') {
        this.#at = at + 1;
        return value;
      }
      if (character === '\\') at += 1;
      value += this.#text[at] ?? '';
    }
    return undefined;
  }
}

function toChallenge(scheme: string, parameters: ReadonlyMap<string, string>): Challenge | undefined {
  if (scheme !== 'L402' && scheme !== 'LSAT') return undefined;
  // Newer text of the specification calls the macaroon `token`.
  const macaroon = parameters.get('macaroon') ?? parameters.get('token') ?? '';
  const invoice = parameters.get('invoice') ?? '';
  // The macaroon goes back into a header: only the characters of base64 and hex may.
  if (!/^[A-Za-z0-9+/_=-]+$/.test(macaroon) || macaroon.length > MAX_MACAROON) return undefined;
  if (!/^[A-Za-z0-9]+$/.test(invoice) || invoice.length > MAX_INVOICE) return undefined;
  return { scheme, macaroon, invoice };
}
