import type { Msat } from '../node/msat.ts';
import { PaymentError } from './errors.ts';
import type { AccountFollower, Balance } from './follow-account.ts';
import { NOTICES } from './follow-feed.ts';
import type { StreamEnd } from './paid-body.ts';
import { followVisit, type PaidStreamOptions, type StreamSummary, summarize } from './paid-visit.ts';
import { payAndSend } from './pay-and-send.ts';
import type { FetchInput } from './replayable-request.ts';
import type { Shop } from './visit.ts';

/** What is used of a WebSocket: that of a browser and that of the `ws` package have it. */
export interface SocketLike {
  readonly readyState: number;
  send(data: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(
    type: 'close',
    listener: (event: { readonly code: number; readonly reason: string }) => void,
  ): void;
}

/** One handshake to make. */
export interface HandshakeRequest {
  /** `ws:` or `wss:` */
  readonly url: URL;
  /** The same address for plain requests. */
  readonly httpUrl: URL;
  readonly headers: Headers;
  /** The credential; absent at first. */
  readonly authorization: string | undefined;
  readonly protocols: readonly string[];
  readonly signal: AbortSignal | undefined;
  readonly fetch: typeof globalThis.fetch;
  /** To be called with every message from the first on, text as a string, anything else as bytes. */
  readonly onMessage: (data: string | Uint8Array) => void;
}

/** How a handshake ended: an open socket (the response stands for the 101), or what was answered instead. */
export interface Handshake<S extends SocketLike> {
  readonly response: Response;
  readonly socket?: S;
  /** Lets messages come that were held back until now, where a connector can hold them back. */
  readonly flow?: () => void;
}

/** Makes handshakes: `connectWithCookie` in a browser, `connectWithHeader` of `sluice/client/node` in Node. */
export type SocketConnector<S extends SocketLike> = (request: HandshakeRequest) => Promise<Handshake<S>>;

/** How a WebSocket is opened and paid for. */
export interface PaidSocketOptions<S extends SocketLike = SocketLike> extends PaidStreamOptions {
  readonly connect: SocketConnector<S>;
  /** Called with every message, none lost: the first may come with the handshake. */
  readonly onMessage: (data: string | Uint8Array) => void;
  readonly protocols?: readonly string[];
  /** Not in a browser, which can't send any. */
  readonly headers?: NonNullable<RequestInit['headers']>;
  /** Ends the handshake, not the connection. */
  readonly signal?: AbortSignal;
}

/** How a paid WebSocket ended. */
export interface SocketSummary extends StreamSummary {
  readonly code: number;
  readonly reason: string;
}

/** A WebSocket that is paid for as it is used. */
export interface PaidSocket<S extends SocketLike = SocketLike> {
  readonly socket: S;
  /** Resolves when it is closed. `end` is `cut` after the close code 4402: open another one, with the money that came late. */
  readonly done: Promise<SocketSummary>;
  /** What was heard last; `undefined` for what is not charged as it goes. */
  balance(): Balance | undefined;
  /** Adds money now. @throws {@link PaymentError} */
  topUp(amountMsat?: Msat): Promise<void>;
}

/** The server answered the handshake with something else than a WebSocket, and than a request for payment. */
export class SocketRefusedError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`The server answered ${status} and opened no WebSocket.`);
    this.name = 'SocketRefusedError';
    this.status = status;
  }
}

/** Close code of a gateway: the money ran out. */
const PAYMENT_NEEDED = 4402;
/** 1005 stands for a close without a code, as `socket.close()` sends it (RFC 6455 section 7.1.5). */
const CLOSED_NORMALLY: ReadonlySet<number> = new Set([1000, 1005]);
const BROKEN = 1006;
const STATE_CLOSED = 3;
const MAX_NOTICE_CHARACTERS = 1_024;

/**
 * Opens a WebSocket, pays for it, and keeps it paid.
 * @throws {@link PaymentError}, {@link SocketRefusedError}, or what the connector rejects with
 */
export async function openPaidSocket<S extends SocketLike>(
  shop: Shop,
  target: string | URL,
  options: PaidSocketOptions<S>,
): Promise<PaidSocket<S>> {
  const beganMs = shop.clock.nowMs();
  const { url, httpUrl } = toUrls(target);
  const { connect, protocols = [], signal } = options;
  let socket: S | undefined;
  let flow: (() => void) | undefined;
  const inbox = createInbox(options.onMessage);
  // A handshake is a GET: everything that holds for a paid request holds for it too.
  const handshake = async (_: FetchInput, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    const authorization = headers.get('authorization') ?? undefined;
    headers.delete('authorization');
    const made = await connect({
      url,
      httpUrl,
      headers,
      authorization,
      protocols,
      signal,
      fetch: shop.fetch,
      onMessage: inbox.take,
    });
    socket = made.socket;
    flow = made.flow;
    return made.response;
  };
  const headers = new Headers(options.headers);
  const request = { url: httpUrl, method: 'GET', headers, settings: {}, signal, idempotent: true };
  const paying = payAndSend({ ...shop, fetch: handshake }, request);
  const visited = await paying.catch((error: unknown) => {
    // Nobody would be left to end it, and it would be charged on.
    socket?.close();
    throw error;
  });
  if (socket === undefined) {
    await visited.response.body?.cancel().catch(() => undefined);
    throw new SocketRefusedError(visited.response.status);
  }
  const follower = followVisit(shop, httpUrl, visited, options);
  const { promise: done, resolve } = Promise.withResolvers<SocketSummary>();
  const onClose = ({ code, reason }: { readonly code: number; readonly reason: string }): void => {
    const end: StreamEnd =
      code === PAYMENT_NEEDED ? 'cut' : CLOSED_NORMALLY.has(code) ? 'complete' : 'failed';
    const elapsedMs = shop.clock.nowMs() - beganMs;
    void conclude(shop, visited, follower, { end, bytes: inbox.bytes(), elapsedMs }).then((summary) =>
      resolve({ ...summary, code, reason }),
    );
  };
  // It may have closed while its handshake was written down.
  if (socket.readyState === STATE_CLOSED) onClose({ code: BROKEN, reason: '' });
  else socket.addEventListener('close', onClose);
  inbox.open(follower);
  flow?.();
  return {
    socket,
    done,
    balance: () => follower?.balance(),
    topUp: async (amountMsat) => {
      if (follower === undefined) {
        throw new PaymentError(
          'top-up-refused',
          'This connection is not charged as it is used: there is nothing to top up.',
        );
      }
      await follower.topUp(amountMsat);
    },
  };
}

/** A top-up that was under way at the cut is waited for: whoever connects again then has its money. */
async function conclude(
  shop: Shop,
  visited: Parameters<typeof summarize>[1],
  follower: AccountFollower | undefined,
  seen: Parameters<typeof summarize>[3],
): Promise<StreamSummary> {
  if (seen.end === 'cut') await follower?.settled();
  return summarize(shop, visited, follower, seen);
}

function toUrls(target: string | URL): { readonly url: URL; readonly httpUrl: URL } {
  const url = new URL(target, globalThis.location?.href);
  url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'wss:' : 'ws:';
  url.hash = '';
  const httpUrl = new URL(url);
  httpUrl.protocol = url.protocol === 'wss:' ? 'https:' : 'http:';
  return { url, httpUrl };
}

interface Inbox {
  take(data: string | Uint8Array): void;
  /** Passes on what came before, and from now on everything. */
  open(follower: AccountFollower | undefined): void;
  bytes(): number;
}

/** Messages wait until the handshake is written down and its account is followed. */
function createInbox(onMessage: (data: string | Uint8Array) => void): Inbox {
  let waiting: (string | Uint8Array)[] | undefined = [];
  let heard: AccountFollower | undefined;
  let bytes = 0;
  const pass = (data: string | Uint8Array): void => {
    if (typeof data === 'string' && data.length <= MAX_NOTICE_CHARACTERS) hearNotice(data, heard);
    onMessage(data);
  };
  return {
    take: (data) => {
      bytes += data.length;
      if (waiting === undefined) pass(data);
      else waiting.push(data);
    },
    open: (follower) => {
      heard = follower;
      const first = waiting ?? [];
      waiting = undefined;
      for (const data of first) pass(data);
    },
    bytes: () => bytes,
  };
}

function hearNotice(text: string, follower: AccountFollower | undefined): void {
  const type = /"type"\s*:\s*"([a-z-]{1,32})"/.exec(text)?.[1] ?? '';
  const notice = Object.hasOwn(NOTICES, type) ? NOTICES[type] : undefined;
  if (notice !== undefined) follower?.hear(notice);
}
