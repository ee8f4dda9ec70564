import { PaymentError } from './errors.ts';
import { readChunks } from './read-chunks.ts';

/** What `fetch` takes first. Its name, `RequestInfo`, is known only to programs that have the types of a browser. */
export type FetchInput = Parameters<typeof globalThis.fetch>[0];

/** A request that can be sent several times and is the same each time. */
export interface ReplayableRequest {
  readonly url: URL;
  readonly method: string;
  readonly headers: Headers;
  /** Everything else for `fetch`, with the body. */
  readonly settings: RequestInit;
  readonly signal: AbortSignal | undefined;
  /** Sending it twice does no more than sending it once (RFC 9110 section 9.2.2). */
  readonly idempotent: boolean;
}

/** The longest body that is kept in memory so that it can be sent again, unless it is said otherwise, bytes. */
export const MAX_REPLAY_BYTES = 16 * 1024 * 1024;

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

/**
 * Takes the arguments of `fetch` and makes a request of them that can be sent again. A stream is read into memory,
 * up to `maxBodyBytes`.
 * @throws {@link PaymentError} `not-replayable`
 */
export async function toReplayableRequest(
  input: FetchInput,
  init: RequestInit,
  maxBodyBytes: number,
): Promise<ReplayableRequest> {
  const base = input instanceof Request ? { ...settingsOf(input), ...init } : { ...init };
  const url = new URL(input instanceof Request ? input.url : String(input), globalThis.location?.href);
  const method = (base.method ?? 'GET').toUpperCase();
  const headers = new Headers(base.headers);
  const given = init.body ?? (input instanceof Request ? input.body : null);
  const { body, contentType } = await toReplayableBody(given, maxBodyBytes);
  if (contentType !== undefined && !headers.has('content-type')) headers.set('content-type', contentType);
  const { body: _, headers: __, signal, ...settings } = base;
  return {
    url,
    method,
    headers,
    settings: { ...settings, ...(body === undefined ? {} : { body }) },
    signal: signal ?? undefined,
    idempotent: IDEMPOTENT.has(method),
  };
}

/**
 * The same request at the place to which it was redirected, where the price was named. Paying there for a request with
 * a body is refused: a redirect may have changed the method and dropped the body.
 * @throws {@link PaymentError} `not-replayable`
 */
export function followRedirect(request: ReplayableRequest, response: Response): ReplayableRequest {
  if (!response.redirected || response.url === '') return request;
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw new PaymentError(
      'not-replayable',
      'The request was redirected and then asked for payment. Nothing was paid; send it to the final URL directly.',
    );
  }
  const url = new URL(response.url);
  const headers = new Headers(request.headers);
  // As `fetch` does when it follows a redirect to another origin; Authorization is refused before.
  if (url.origin !== request.url.origin)
    for (const name of ['cookie', 'proxy-authorization', 'host']) headers.delete(name);
  return { ...request, url, headers };
}

function settingsOf(request: Request): RequestInit {
  const { method, headers, redirect, credentials, mode, cache, referrer, referrerPolicy, integrity } =
    request;
  return {
    method,
    headers,
    redirect,
    credentials,
    // A request that navigates can't be made by a program.
    ...(mode === 'navigate' ? {} : { mode }),
    cache,
    referrer,
    referrerPolicy,
    integrity,
    keepalive: request.keepalive,
    signal: request.signal,
  };
}

interface ReplayableBody {
  readonly body?: BodyInit;
  readonly contentType?: string;
}

async function toReplayableBody(body: BodyInit | null, maxBytes: number): Promise<ReplayableBody> {
  if (body === null) return {};
  if (typeof body === 'string' || body instanceof URLSearchParams || body instanceof Blob) return { body };
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return { body };
  // A form is encoded here, once: it would get a new boundary each time, and a repeat must be the same to the byte.
  const encoded = new Response(body);
  const contentType = body instanceof FormData ? encoded.headers.get('content-type') : null;
  const bytes = await readAll(encoded.body, maxBytes);
  return { body: bytes, ...(contentType === null ? {} : { contentType }) };
}

async function readAll(stream: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<BodyInit> {
  const chunks: BlobPart[] = [];
  let length = 0;
  for await (const chunk of readChunks(stream)) {
    length += chunk.length;
    if (length > maxBytes) {
      throw new PaymentError(
        'not-replayable',
        `The body is a stream of more than ${maxBytes} bytes, which can't be sent again after paying. Nothing was sent or paid; ` +
          'give it as a string, Blob or bytes, or raise maxReplayBytes.',
      );
    }
    chunks.push(chunk.slice());
  }
  return new Blob(chunks);
}
