import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '../../client/index.ts';
import { listen, makeMacaroon, sha256, type TestNode } from './support.ts';

/** What a hostile or broken gateway answers to a top-up instead. */
export type BendTopUp = (answer: Record<string, unknown>, asked: number) => void;

/** An answer that takes the place of the right one: a status, or `lost` for a connection that is cut after the work was done. */
export type Fault = { readonly status: number; readonly retryAfter?: number } | 'lost';

/** A stream or feed that a test writes into. */
export interface LiveStream {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly account: string;
  event(name: string, data?: object, id?: string): void;
  write(text: string): void;
  end(): void;
  /** Resets the connection. */
  reset(): void;
  readonly closed: Promise<void>;
}

/** A gateway of metered streams in miniature, with the wire forms of the real one. Balances change only when a test says so. */
export interface FakeGateway {
  readonly origin: string;
  readonly node: TestNode;
  /** Balance by account, msat. */
  readonly balances: Map<string, number>;
  readonly streams: LiveStream[];
  readonly feeds: LiveStream[];
  readonly sockets: WebSocket[];
  /** Paths in the order in which they were asked, with the status. */
  readonly log: string[];
  /** What the next requests of a path are answered with. */
  readonly faults: Map<string, Fault[]>;
  /** Tells those who wait for an invoice that it is paid. */
  settle(paymentHash: string): void;
  /** What the next answers about the account say is set aside, msat: it is missing from their balance. */
  readonly setAside: number[];
  /** What a first payment buys, msat. */
  depositMsat: number;
  /** With less than this a request is answered 402, on the account of its credential. */
  leastMsat: number;
  price: string;
  contentType: string;
  hasFeed: boolean;
  /** Whether a paid top-up is credited. */
  credits: boolean;
  validForSec: number;
  bendTopUp: BendTopUp;
  onTopUpAsked: () => void | Promise<void>;
  /** Called before a request for a stream is looked at. */
  onStreamAsked: () => void;
  /** The only account, when there is one. */
  account(): string;
  setBalance(balanceMsat: number): void;
  count(line: string): number;
  close(): Promise<void>;
}

export async function startGateway(node: TestNode, clock: Clock): Promise<FakeGateway> {
  const credited = new Set<string>();
  const waiters = new Map<string, () => void>();
  const mint = (amountMsat: number, account: string) => {
    const { invoice, paymentHash } = node.newInvoice({
      amountMsat,
      createdAtSec: Math.floor(clock.nowMs() / 1000),
    });
    const macaroon = makeMacaroon(paymentHash, [
      'services=live:0',
      'live_capabilities=all',
      `live_valid_until=${Math.floor(clock.nowMs() / 1000) + gateway.validForSec}`,
      `live_account=${account}`,
      `live_credit_msat=${amountMsat}`,
      `live_price=${gateway.price}`,
    ]);
    return { macaroon, invoice, paymentRequest: invoice, paymentHash, amountMsat };
  };
  /** The account of a credential that holds; its payment is credited when it comes for the first time. */
  const present = (authorization: string): string | undefined => {
    const [, macaroon = '', preimage = ''] = /^L402 ([^:]+):([0-9a-f]{64})$/.exec(authorization) ?? [];
    const bytes = Buffer.from(macaroon, 'base64');
    const hash = sha256(preimage);
    const text = bytes.toString('latin1');
    const account = /live_account=([0-9a-f]{64})/.exec(text)?.[1];
    const validUntil = Number(/live_valid_until=(\d+)/.exec(text)?.[1]);
    if (
      account === undefined ||
      !bytes.includes(Buffer.from(hash, 'hex')) ||
      validUntil * 1000 <= clock.nowMs()
    )
      return;
    const amount = Number(/live_credit_msat=(\d+)/.exec(text)?.[1]);
    if (!credited.has(hash) && (gateway.credits || !gateway.balances.has(account))) {
      credited.add(hash);
      gateway.balances.set(account, (gateway.balances.get(account) ?? 0) + amount);
    }
    return account;
  };

  const open = (
    request: IncomingMessage,
    response: ServerResponse,
    account: string,
    list: LiveStream[],
  ): void => {
    response.flushHeaders();
    list.push({
      path: request.url ?? '',
      headers: request.headers,
      account,
      event: (name, data = {}, id) =>
        response.write(
          `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`,
        ),
      write: (text) => response.write(text),
      end: () => response.end(),
      reset: () => response.destroy(),
      closed: new Promise((resolve) => response.once('close', () => resolve())),
    });
  };

  const server = await listen(async (request, response, body) => {
    const path = new URL(request.url ?? '/', 'http://gateway').pathname;
    const json = (status: number, answer: object): void => {
      gateway.log.push(`${request.method} ${path} ${status}`);
      if (fault === 'lost') response.destroy();
      else response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    };
    const fault = gateway.faults.get(path)?.shift();
    if (fault !== undefined && fault !== 'lost') {
      if (fault.retryAfter !== undefined) response.setHeader('retry-after', fault.retryAfter);
      return json(fault.status, { error: { code: 'fault' } });
    }
    const [, hash = ''] = /^\/\.l402\/invoices\/([0-9a-f]{64})$/.exec(path) ?? [];
    if (hash !== '') {
      if (request.url?.endsWith('wait=0')) return json(200, { state: 'open' });
      const waiting = Promise.withResolvers<void>();
      waiters.set(hash, waiting.resolve);
      await waiting.promise;
      return json(200, { state: 'settled', preimage: node.preimageOf(hash) });
    }
    const account = present(request.headers.authorization ?? '');
    if (path.startsWith('/.l402/') && account === undefined)
      return json(403, { error: { code: 'credential-refused' } });
    if (!path.startsWith('/.l402/')) gateway.onStreamAsked();
    const balanceMsat = gateway.balances.get(account ?? '') ?? 0;
    if (path === '/.l402/account') {
      const reservedMsat = gateway.setAside.shift() ?? 0;
      const left = { balanceMsat: balanceMsat - reservedMsat, reservedMsat };
      return json(200, { service: 'live', accountId: account, ...left, liveStreams: 1 });
    }
    if (path === '/.l402/account/events') {
      if (!gateway.hasFeed) return json(404, {});
      gateway.log.push(`GET ${path} 200`);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      return open(request, response, account ?? '', gateway.feeds);
    }
    if (path === '/.l402/topup') {
      await gateway.onTopUpAsked();
      const { amountMsat } = JSON.parse(body);
      const answer: Record<string, unknown> = { ...mint(amountMsat, account ?? ''), balanceMsat };
      gateway.bendTopUp(answer, amountMsat);
      return json(200, answer);
    }
    if (account === undefined || balanceMsat < gateway.leastMsat) {
      const challenge = mint(gateway.depositMsat, account ?? randomBytes(32).toString('hex'));
      response.setHeader(
        'www-authenticate',
        `L402 macaroon="${challenge.macaroon}", invoice="${challenge.invoice}"`,
      );
      return json(402, challenge);
    }
    gateway.log.push(`${request.method} ${path} 200`);
    const { price, contentType } = gateway;
    response.writeHead(200, {
      'content-type': contentType,
      'l402-price': price,
      'l402-balance-msat': String(balanceMsat),
    });
    open(request, response, account, gateway.streams);
  });

  const sockets = new WebSocketServer({ noServer: true });
  server.server.on('upgrade', (request, socket, head) => {
    const account = present(request.headers.authorization ?? '');
    if (account === undefined || gateway.balances.get(account) === 0) {
      const challenge = mint(gateway.depositMsat, randomBytes(32).toString('hex'));
      gateway.log.push('GET /ws 402');
      const { macaroon, invoice } = challenge;
      const body = JSON.stringify(challenge);
      socket.end(
        `HTTP/1.1 402 Payment Required\r\nContent-Length: ${body.length}\r\nConnection: close\r\n` +
          `WWW-Authenticate: L402 macaroon="${macaroon}", invoice="${invoice}"\r\n\r\n${body}`,
      );
      return;
    }
    gateway.log.push('GET /ws 101');
    sockets.handleUpgrade(request, socket, head, (opened) => {
      gateway.sockets.push(opened);
      opened.send('hello');
    });
  });

  const gateway: FakeGateway = {
    origin: server.url,
    node,
    balances: new Map(),
    streams: [],
    feeds: [],
    sockets: [],
    log: [],
    faults: new Map(),
    settle: (paymentHash) => waiters.get(paymentHash)?.(),
    setAside: [],
    depositMsat: 60_000,
    leastMsat: 1,
    price: '100msat/1s',
    contentType: 'text/event-stream',
    hasFeed: true,
    credits: true,
    validForSec: 3_600,
    bendTopUp: () => undefined,
    onTopUpAsked: () => undefined,
    onStreamAsked: () => undefined,
    account: () => [...gateway.balances.keys()][0] ?? '',
    setBalance: (balanceMsat) => gateway.balances.set(gateway.account(), balanceMsat),
    count: (line) => gateway.log.filter((entry) => entry === line).length,
    close: async () => {
      for (const socket of gateway.sockets) socket.terminate();
      await server.close();
    },
  };
  return gateway;
}

/** A clock that stands still until it is moved; whoever sleeps wakes in order. It starts at the time of the machine. */
export interface SteppedClock extends Clock {
  advance(ms: number): Promise<void>;
}

export function steppedClock(): SteppedClock {
  let nowMs = Date.now();
  const sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>();
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    nowMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const wake = (): void => {
          sleepers.delete(sleeper);
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        const sleeper = { atMs: nowMs + ms, wake };
        if (signal?.aborted === true) return resolve();
        signal?.addEventListener('abort', wake, { once: true });
        sleepers.add(sleeper);
      }),
    advance: async (ms) => {
      const endMs = nowMs + ms;
      for (;;) {
        await turns();
        const next = [...sleepers].sort((a, b) => a.atMs - b.atMs)[0];
        if (next === undefined || next.atMs > endMs) break;
        nowMs = Math.max(nowMs, next.atMs);
        next.wake();
      }
      nowMs = endMs;
      await turns();
    },
  };
}

/** Waits for something that real sockets bring about. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 10_000;
  while (performance.now() < endMs) {
    if (holds()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`it never came to be: ${what}`);
}

/** Waits until nothing has been asked of a gateway for a while: of turns, and of time, for what waits on another thread. */
export async function quiet(gateway: FakeGateway): Promise<void> {
  let length = -1;
  let sinceMs = performance.now();
  for (let still = 0; still < 150 || performance.now() - sinceMs < 30; still += 1) {
    if (gateway.log.length !== length) {
      still = 0;
      sinceMs = performance.now();
    }
    length = gateway.log.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
