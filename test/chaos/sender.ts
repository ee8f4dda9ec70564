import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { type Books, type Intent, type Sent, type SentEnd, termsOfMacaroon } from './books.ts';
import type { Stretch } from './bounds-together.ts';
import type { Random } from './random.ts';
import { EVENT_EVERY_MS, UPSTREAM_MARK } from './upstream.ts';

/** One request of one client. */
export interface Outgoing {
  readonly id: string;
  /** With its query. */
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
  /** To this gateway and no other; absent: as a load balancer would choose. */
  readonly gateway?: number;
  readonly intent?: Intent;
}

/** An answer whose head has come. */
export interface Incoming {
  readonly sent: Sent;
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** What comes of the body. Throws when it breaks off. */
  chunks(): AsyncGenerator<Uint8Array>;
  /** The whole body; `undefined` when it broke off. */
  text(): Promise<string | undefined>;
  /** The client goes away. */
  leave(): void;
}

/** Sends requests of one client to the gateways, and writes down what came of each. */
export interface Sender {
  /** @throws NoAnswer when nothing came, or nobody was there */
  send(outgoing: Outgoing): Promise<Incoming>;
  /** The same as a `fetch`, for the client library. The origin of a URL does not count. */
  readonly fetch: typeof globalThis.fetch;
}

/** What a sender works with. */
export interface SenderOptions {
  readonly client: number;
  /** Addresses of the gateways. */
  readonly gateways: readonly string[];
  readonly books: Books;
  readonly random: Random;
  /** ms of the run, monotonic. */
  readonly nowMs: () => number;
}

/** No head of an answer came. */
export class NoAnswer extends Error {
  /** `nobody`: the request reached no gateway, so that nothing can have happened. */
  readonly why: 'nobody' | 'lost';

  constructor(why: 'nobody' | 'lost', cause: unknown) {
    super(why === 'nobody' ? 'no gateway took the request' : 'the answer was lost', { cause });
    this.name = 'NoAnswer';
    this.why = why;
  }
}

/** Much longer than anything is frozen, and than a stream is held, ms. */
const SILENCE_MS = 60_000;
const ROUNDS = 20;
const ROUND_PAUSE_MS = 150;
/** Within this, what comes is a stream that runs. */
const RUNNING_GAP_MS = EVENT_EVERY_MS * 4;
/** The gateway says it inside of a stream of events. */
const HELD_NOTICE = 'payment-need-topup';

/** Makes a {@link Sender}. */
export function createSender(options: SenderOptions): Sender {
  const send = async (outgoing: Outgoing): Promise<Incoming> => {
    const { gateways, random } = options;
    const first = outgoing.gateway ?? random.between(0, gateways.length - 1);
    const reachable = outgoing.gateway === undefined ? gateways.length : 1;
    for (let tries = 0; ; tries += 1) {
      const gateway = (first + (tries % reachable)) % gateways.length;
      try {
        return await sendOnce(options, outgoing, gateway);
      } catch (error) {
        if (!isRefused(error)) throw error;
        if (tries >= ROUNDS * reachable) throw new NoAnswer('nobody', error);
        if ((tries + 1) % reachable === 0) await wait(ROUND_PAUSE_MS);
      }
    }
  };
  return { send, fetch: fetchOver(send) };
}

/** Nothing listened: a load balancer goes on with the next one. */
function isRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
}

async function sendOnce(options: SenderOptions, outgoing: Outgoing, gateway: number): Promise<Incoming> {
  const { client, books, nowMs } = options;
  const { headers = {}, method = 'GET', body, path } = outgoing;
  const url = `${options.gateways[gateway]}${path}`;
  const sent = newSent(options, outgoing, gateway);
  const request = http.request(url, {
    method,
    agent: false,
    headers: {
      ...headers,
      'x-forwarded-for': `10.${(client >> 16) & 255}.${(client >> 8) & 255}.${client & 255}`,
      ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
    },
  });
  const leaving = { flag: false };
  const leave = (): void => {
    leaving.flag = true;
    request.destroy();
  };
  const { signal } = outgoing;
  signal?.addEventListener('abort', leave, { once: true });
  if (signal?.aborted) leave();
  request.setTimeout(SILENCE_MS, () => request.destroy(new Error('nothing came for too long')));
  request.end(body);
  try {
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    books.sent.push(sent);
    request.on('error', () => {});
    return follow(sent, response, nowMs, leaving, leave);
  } catch (error) {
    signal?.removeEventListener('abort', leave);
    if (isRefused(error)) throw error;
    books.sent.push(sent);
    sent.endedAtMs = nowMs();
    sent.end = leaving.flag ? 'left' : 'none';
    if (signal?.aborted) throw signal.reason;
    throw new NoAnswer('lost', error);
  }
}

function newSent({ client, nowMs }: SenderOptions, outgoing: Outgoing, gateway: number): Sent {
  const headers = outgoing.headers ?? {};
  const { accountId, paymentHash } = termsOfMacaroon(macaroonOf(headers['authorization'] ?? ''));
  return {
    client,
    gateway,
    accountId,
    paymentHash,
    id: outgoing.id,
    service: outgoing.path.split('/')[1] ?? '',
    idempotencyKey: headers['idempotency-key'],
    intent: outgoing.intent ?? 'honest',
    sentAtMs: nowMs(),
    headAtMs: Number.POSITIVE_INFINITY,
    endedAtMs: Number.POSITIVE_INFINITY,
    status: undefined,
    fromUpstream: false,
    end: 'none',
    bytes: 0,
    wantedBytes: Number(new URL(outgoing.path, 'http://shop').searchParams.get('bytes') ?? 0),
    expectedBytes: 0,
    runs: [],
    holds: [],
  };
}

/** The macaroon of an Authorization value. */
function macaroonOf(authorization: string): string {
  return /^\S+ ([^:]+):/.exec(authorization)?.[1] ?? '';
}

function follow(
  sent: Sent,
  response: IncomingMessage,
  nowMs: () => number,
  leaving: { readonly flag: boolean },
  leave: () => void,
): Incoming {
  sent.status = response.statusCode ?? 0;
  sent.fromUpstream = response.headers[UPSTREAM_MARK] !== undefined;
  sent.expectedBytes = Number(response.headers['content-length'] ?? 0);
  const gaps = gapsOf(sent, nowMs);
  response.on('error', () => {});
  const closed = new Promise<void>((resolve) => {
    response.once('close', () => {
      sent.endedAtMs = nowMs();
      gaps.ended();
      sent.end = endOf(response, leaving.flag);
      resolve();
    });
  });
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response) {
        gaps.came(chunk);
        sent.bytes += chunk.length;
        yield chunk;
      }
    } finally {
      if (!response.complete) leave();
      await closed;
    }
  }
  return {
    sent,
    status: sent.status,
    headers: response.headers,
    chunks,
    leave,
    async text() {
      const parts: Uint8Array[] = [];
      try {
        for await (const chunk of chunks()) parts.push(chunk);
        return Buffer.concat(parts).toString('utf8');
      } catch {
        return undefined;
      }
    },
  };
}

/** Measures what lies between the pieces of an answer, whose head has just come. */
function gapsOf(sent: Sent, nowMs: () => number): { came(chunk: Buffer): void; ended(): void } {
  let lastMs = nowMs();
  let isHeld = false;
  sent.headAtMs = lastMs;
  const ended = (): void => {
    const gap = [lastMs, nowMs()] as const;
    const gapMs = gap[1] - lastMs;
    lastMs = gap[1];
    if (isHeld) sent.holds.push(gap);
    else if (gapMs <= RUNNING_GAP_MS) lengthen(sent.runs, gap);
  };
  return {
    ended,
    came(chunk) {
      ended();
      isHeld = chunk.includes(HELD_NOTICE);
    },
  };
}

/** Adds a stretch that begins where the last one ended, or later. */
function lengthen(stretches: Stretch[], [fromMs, toMs]: Stretch): void {
  const last = stretches.at(-1);
  if (last?.[1] === fromMs) stretches[stretches.length - 1] = [last[0], toMs];
  else stretches.push([fromMs, toMs]);
}

function endOf(response: IncomingMessage, isLeaving: boolean): SentEnd {
  if (response.complete) return 'whole';
  return isLeaving ? 'left' : 'broken';
}

/** `fetch` as the client library calls it: a URL, and an init with plain text as its body. */
function fetchOver(send: Sender['send']): typeof globalThis.fetch {
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : String(input));
    const { body } = init;
    const incoming = await send({
      id: url.pathname.split('/').at(-1) ?? '',
      path: `${url.pathname}${url.search}`,
      method: init.method ?? 'GET',
      headers: Object.fromEntries(new Headers(init.headers)),
      ...(typeof body === 'string' ? { body } : {}),
      ...(init.signal == null ? {} : { signal: init.signal }),
    });
    const response = new Response(bodyOf(incoming), {
      status: incoming.status,
      headers: headersOf(incoming.headers),
    });
    Object.defineProperty(response, 'url', { value: url.href });
    return response;
  };
}

function bodyOf({ chunks, leave }: Incoming): ReadableStream<Uint8Array> {
  const parts = chunks();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await parts.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        leave();
        await parts.return(undefined).catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

function headersOf(headers: http.IncomingHttpHeaders): Headers {
  const copy = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) copy.append(name, one);
  }
  return copy;
}
