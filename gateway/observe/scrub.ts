import { IncomingMessage } from 'node:http';

/*
 * Nothing that opens a door or moves money may reach a log: macaroons, preimages, keys, credentials. Callers take care not
 * to log them; this is the net under the callers. It would rather hide too much than too little.
 */

const REDACTED = '[redacted]';
const MAX_DEPTH = 6;
const MAX_ENTRIES = 64;
const MAX_STRING = 4096;

/** Property and header names whose values are never shown, compared without `-`, `_` and case. */
const SECRET_NAMES =
  /authorization|cookie|macaroon|preimage|secret|password|passwd|passphrase|apikey|privatekey|masterkey|rootkey|seed|mnemonic|credential|^key$|^keys$|^pre$|^token$|accesstoken|admintoken|authtoken|^rune$|^t$/;

/** Names under which 64 hex digits are an identifier, wanted whole to search by. */
const IDENTIFIER_NAMES = /^(paymenthash|hash|account|accountid|publickey|payee|generation|fingerprint)$/;

const HEX_IDENTIFIER = /^[0-9a-f]{64,66}$/i;

const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED],
  [/\b(authorization["']?\s*[=:]\s*["']?)[^\r\n"']+/gi, `$1${REDACTED}`],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9+/_=.~:,-]{8,}/gi, `$1 ${REDACTED}`],
  // These schemes are also words of our messages ("L402 challenge", "Payment required"): only what no word looks like.
  [/\b(L402|LSAT|Payment|Token|Rune)\s+(?=\S{20}|\S*[0-9+/=_])[A-Za-z0-9+/_=.~:,-]{8,}/gi, `$1 ${REDACTED}`],
  [/\b(macaroon|preimage|token|secret|password)(["']?\s*[=:]\s*["']?)[^\s"',;&]+/gi, `$1$2${REDACTED}`],
  [/([?&](?:t|key|api_key|apikey|auth|rune|credential)=)[^&#\s"']+/gi, `$1${REDACTED}`],
  [/:\/\/[^/\s@"']+@/g, `://${REDACTED}@`],
  // Macaroons by what they begin with: V2 and V1 in base64 (also url-safe), V2 in hex.
  [/(AgE|MDAx)[A-Za-z0-9+/_-]{24,}={0,2}/g, REDACTED],
  [/0201[0-9a-f]{48,}/gi, REDACTED],
  // 32 bytes in base64: a preimage or key as node APIs write it.
  [/(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{43}=/g, REDACTED],
  // 32 bytes or more in hex may be a preimage. Eight digits are enough to find a hash again and tell nobody a preimage.
  [/([0-9a-f]{8})[0-9a-f]{56,}/gi, '$1…'],
];

/** A text without the credentials, preimages and keys in it, cut to 4,096 characters. */
export function scrubText(text: string): string {
  // Bounded before the patterns run, or a log line of megabytes would block the process.
  let scrubbed = text.length > MAX_STRING ? `${text.slice(0, MAX_STRING)}…` : text;
  for (const [pattern, replacement] of PATTERNS) scrubbed = scrubbed.replace(pattern, replacement);
  return scrubbed;
}

/** A path for an access log: without its query, and scrubbed when it is long enough to hide anything. */
export function scrubPath(target: string): string {
  const end = target.search(/[?#]/);
  const path = end === -1 ? target : target.slice(0, end);
  return path.length < 32 ? path : scrubText(path);
}

/** A plain copy of any value, fit for a log: bounded, without cycles, without secrets. Never throws. */
export function scrub(value: unknown): unknown {
  return copy(value, '', 0, new Set());
}

/** The same for the fields of a log line. */
export function scrubFields(fields: object): Record<string, unknown> {
  return copyEntries(fields, 0, new Set());
}

function copy(value: unknown, name: string, depth: number, above: Set<object>): unknown {
  if (isSecretName(name) && value !== undefined && value !== null && typeof value !== 'boolean')
    return REDACTED;
  if (typeof value === 'string') return isIdentifier(name, value) ? value : scrubText(value);
  if (typeof value === 'bigint') return `${value}`;
  if (typeof value !== 'object' || value === null) {
    return typeof value === 'function' || typeof value === 'symbol' ? `[${typeof value}]` : value;
  }
  if (above.has(value)) return '[circular]';
  if (depth >= MAX_DEPTH) return '[…]';
  above.add(value);
  try {
    return copyObject(value, depth + 1, above);
  } catch {
    // A getter or a proxy that throws must not take the request down with it.
    return '[unreadable]';
  } finally {
    above.delete(value);
  }
}

function copyObject(value: object, depth: number, above: Set<object>): unknown {
  if (value instanceof Error) return copyError(value, depth, above);
  if (value instanceof IncomingMessage) return copyRequest(value, depth, above);
  // Bytes may be a key, and are of no use in a log anyway.
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (value instanceof Date || value instanceof URL) return scrubText(String(value));
  if (Array.isArray(value)) return copyList(value, depth, above);
  if (value instanceof Map || value instanceof Headers) {
    return copyEntries(Object.fromEntries([...value].slice(0, MAX_ENTRIES)), depth, above);
  }
  if (value instanceof Set) return copyList([...value].slice(0, MAX_ENTRIES), depth, above);
  return copyEntries(value, depth, above);
}

function copyEntries(value: object, depth: number, above: Set<object>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  let left = MAX_ENTRIES;
  for (const name of Object.keys(value)) {
    if (left === 0) {
      result['…'] = 'more';
      break;
    }
    left -= 1;
    result[scrubText(name)] = copy(Reflect.get(value, name), name, depth, above);
  }
  return result;
}

/** Raw headers come as name, value, name, value: what follows a secret name is as secret as under it. */
function copyList(values: readonly unknown[], depth: number, above: Set<object>): unknown[] {
  const result: unknown[] = [];
  for (const [index, value] of values.slice(0, MAX_ENTRIES).entries()) {
    const before = values[index - 1];
    const name = typeof before === 'string' && before.length < 64 && isSecretName(before) ? before : '';
    result.push(copy(value, name, depth, above));
  }
  return result;
}

function copyError(error: Error, depth: number, above: Set<object>): Record<string, unknown> {
  return {
    type: scrubText(error.name),
    message: scrubText(error.message),
    stack: scrubText(error.stack ?? ''),
    ...(error.cause === undefined ? {} : { cause: copy(error.cause, 'cause', depth, above) }),
    ...copyEntries(error, depth, above),
  };
}

function copyRequest(request: IncomingMessage, depth: number, above: Set<object>): Record<string, unknown> {
  return {
    method: request.method,
    url: scrubText(request.url ?? ''),
    httpVersion: request.httpVersion,
    remoteAddress: request.socket?.remoteAddress,
    headers: copyEntries(request.headers, depth, above),
  };
}

function isSecretName(name: string): boolean {
  if (name === '') return false;
  const plain = name.toLowerCase().replaceAll(/[-_]/g, '');
  // A file's name is not its content, and an operator needs it to mend a path.
  return SECRET_NAMES.test(plain) && !/(file|path|name|count|bytes)$/.test(plain);
}

function isIdentifier(name: string, value: string): boolean {
  return HEX_IDENTIFIER.test(value) && IDENTIFIER_NAMES.test(name.toLowerCase().replaceAll(/[-_]/g, ''));
}
