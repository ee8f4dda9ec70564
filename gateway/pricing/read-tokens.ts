import { type Decimal, readDecimal, timesDecimal } from './decimal.ts';
import { PriceError } from './price-error.ts';

/** One piece of a price or an amount. */
export interface Token {
  readonly kind: 'number' | 'word' | 'sign';
  readonly text: string;
}

/** Where a reader stands in its tokens. */
export interface Cursor {
  readonly tokens: readonly Token[];
  at: number;
}

const MAX_TEXT = 200;
const TOKEN = /\s*(?:(\d[\d.,_]*)|([a-zA-Z]+(?:-[a-zA-Z]+)*)|(\S))/gy;

/** Cuts a text of at most 200 characters into numbers, words and single signs. @throws PriceError when it is longer. */
export function readTokens(text: string): Cursor {
  if (text.length > MAX_TEXT) throw new PriceError('this is longer than any price', '10 sat');
  const tokens: Token[] = [];
  for (const [, number, word, sign] of text.matchAll(TOKEN)) {
    if (number !== undefined) tokens.push({ kind: 'number', text: number });
    else if (word !== undefined) tokens.push({ kind: 'word', text: word });
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign });
  }
  return { tokens, at: 0 };
}

/** The next token's text in lower case when it is a word or a sign, else ''. */
export function peekWord(cursor: Cursor): string {
  const token = cursor.tokens[cursor.at];
  return token === undefined || token.kind === 'number' ? '' : token.text.toLowerCase();
}

/** True when every token was read. */
export function atEnd(cursor: Cursor): boolean {
  return cursor.at >= cursor.tokens.length;
}

/**
 * Reads a number with its multiplier: `10`, `0.5`, `1k`, `2M`; `undefined` when no number comes next.
 * @throws PriceError for commas, several points, and the ambiguous `m`.
 */
export function readNumber(cursor: Cursor): Decimal | undefined {
  const token = cursor.tokens[cursor.at];
  if (token?.kind !== 'number') return undefined;
  const value = readDecimal(token.text);
  if (value === undefined) {
    const digits = token.text.replace(/[,_]/g, '').replace(/\.(?=.*\.)|\.$/g, '');
    const legal = readDecimal(digits) === undefined ? '10' : digits;
    const { tokens, at } = cursor;
    throw new PriceError(
      'a number has digits and at most one decimal point, nothing else',
      joinTokens([...tokens.slice(0, at), { kind: 'number', text: legal }, ...tokens.slice(at + 1)]),
    );
  }
  cursor.at++;
  return timesDecimal(value, readMultiplier(cursor));
}

/** `k` and `M` multiply only when another word follows, so that `10m` stays ten minutes. */
function readMultiplier(cursor: Cursor): bigint {
  const letter = cursor.tokens[cursor.at];
  const next = cursor.tokens[cursor.at + 1];
  if (letter?.kind !== 'word' || letter.text.length !== 1 || next?.kind !== 'word') return 1n;
  if (letter.text === 'm') {
    const { tokens, at } = cursor;
    throw new PriceError(
      'a small m may mean thousandths, minutes or millions; millions are a capital M',
      joinTokens([...tokens.slice(0, at), { kind: 'word', text: 'M' }, ...tokens.slice(at + 1)]),
    );
  }
  const factor = { k: 1_000n, K: 1_000n, M: 1_000_000n }[letter.text];
  if (factor === undefined) return 1n;
  cursor.at++;
  return factor;
}

/** Tokens as a person would write them. */
function joinTokens(tokens: readonly Token[]): string {
  let text = '';
  let previous: Token | undefined;
  for (const token of tokens) {
    const tight =
      previous === undefined ||
      previous.kind === 'sign' ||
      token.kind === 'sign' ||
      (previous.kind === 'number' && /^[kKMsmh]$/.test(token.text));
    text += tight ? token.text : ` ${token.text}`;
    previous = token;
  }
  return text;
}
