/**
 * Every reason for which the gateway itself answers with an error: a stable code, a status, and what the reader can do.
 * `challenge` codes are answered with 402 and a fresh challenge by send-challenge, never here.
 */
const REGISTRY = {
  'bad-request': 400,
  'bad-target': 400,
  'retry-in-flight': 409,
  'price-changed': 409,
  'no-service': 404,
  'not-found': 404,
  'method-refused': 405,
  'body-too-large': 413,
  'uri-too-long': 414,
  'expectation-refused': 417,
  'misdirected-cookie': 400,
  'session-needs-https': 400,
  'bad-amount': 400,
  'credential-refused': 403,
  'session-refused': 403,
  'too-many-top-ups': 429,
  'idempotency-mismatch': 422,
  'usage-refused': 400,
  'usage-encoded': 415,
  'unknown-model': 404,
  'not-metered': 404,
  'too-many-streams': 429,
  throttled: 429,
  'headers-too-large': 431,
  internal: 500,
  'upstream-refused': 502,
  'upstream-protocol': 502,
  'upstream-unpaced': 502,
  'node-unavailable': 503,
  'node-not-ready': 503,
  'node-wrong-network': 503,
  'no-inbound': 503,
  'store-unavailable': 503,
  'store-mismatch': 503,
  'clock-ahead': 503,
  busy: 503,
  draining: 503,
  'upstream-timeout': 504,
} as const satisfies Record<string, number>;

/** A stable code that programs may branch on; docs/http.md explains each. */
export type GatewayErrorCode = keyof typeof REGISTRY;

/** All codes, with the status of each. */
export const ERROR_STATUSES: Readonly<Record<GatewayErrorCode, number>> = REGISTRY;

/** An answer that the gateway gives in its own name. The message says what failed and what to do; it holds no secret. */
export class GatewayError extends Error {
  readonly code: GatewayErrorCode;
  readonly status: number;
  /** For Retry-After, seconds. */
  readonly retryAfterSec: number | undefined;

  constructor(
    code: GatewayErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly retryAfterSec?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'GatewayError';
    this.code = code;
    this.status = REGISTRY[code];
    this.retryAfterSec = options.retryAfterSec;
  }
}

/** What an error is as an HTTP answer. */
export interface ErrorAnswer {
  readonly status: number;
  /** Flat name, value, name, value. */
  readonly headers: readonly string[];
  /** JSON text. */
  readonly body: string;
}

/**
 * The one place where an error becomes an answer: `{"error":{"code","message"}}`. What is not a GatewayError is a bug and
 * is answered as `internal`, without its text.
 */
export function toErrorAnswer(error: unknown): ErrorAnswer {
  const known =
    error instanceof GatewayError
      ? error
      : new GatewayError('internal', 'The gateway failed; the operator finds the reason in its log.', {
          cause: error,
        });
  const body = `${JSON.stringify({ error: { code: known.code, message: known.message } })}\n`;
  const headers = [
    'Content-Type',
    'application/json; charset=utf-8',
    'Content-Length',
    String(Buffer.byteLength(body)),
    'Cache-Control',
    'no-store',
  ];
  if (known.retryAfterSec !== undefined) headers.push('Retry-After', String(known.retryAfterSec));
  return { status: known.status, headers, body };
}
