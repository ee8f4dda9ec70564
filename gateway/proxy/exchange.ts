import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import { bindToClient, type ClientBound, unbindFromClient } from './client-connection.ts';
import { discardBody } from './discard-body.ts';
import type { ForwardExchange, ForwardOutcome } from './forward-types.ts';
import { overrideHeaders, responseHeaders } from './headers.ts';
import type { RequestBody } from './request-body.ts';
import { resetClient } from './reset-client.ts';
import { ResponseWriter } from './response-writer.ts';
import { NO_PLACE } from './roster.ts';
import type { Swept } from './sweep.ts';
import type { Upstreams } from './upstream.ts';
import { failurePhase, UpstreamTimeout } from './upstream-failure.ts';

/** Why we ourselves end the upstream's part; its text is seen by nobody. */
const STOP = new Error('the exchange is over');

type Handler = Dispatcher.DispatchHandler;
type Controller = Dispatcher.DispatchController;

/**
 * One request on its way: the handler that undici calls, the thing that ends with its client, and the thing that is swept for
 * timeouts, in one object, because one object a request is what the budget of this path allows.
 *
 * It settles exactly once. Whatever settles it also ends the other side: a gone client aborts the upstream, a broken upstream
 * resets the client.
 */
export class Exchange implements Handler, ClientBound, Swept {
  place = NO_PLACE;
  readonly #exchange: ForwardExchange;
  readonly #upstreams: Upstreams;
  readonly #socket: Duplex;
  readonly #settle: (outcome: ForwardOutcome) => void;
  readonly #reject: (error: unknown) => void;
  #body: RequestBody | undefined;
  #controller: Controller | undefined;
  #writer: ResponseWriter | undefined;
  #status: number | undefined;
  #settled = false;
  #retried = false;
  /** A byte of a response came: the request can't be sent once more. */
  #answered = false;
  /** The sweep at the upstream's last sign of life. */
  #aliveAt: number;

  constructor(
    upstreams: Upstreams,
    exchange: ForwardExchange,
    settle: (outcome: ForwardOutcome) => void,
    reject: (error: unknown) => void,
  ) {
    this.#upstreams = upstreams;
    this.#exchange = exchange;
    this.#socket = exchange.req.socket;
    this.#settle = settle;
    this.#reject = reject;
    this.#aliveAt = upstreams.sweep.tick;
  }

  /** Sends the request. @param body - undefined when it has none or it was read already */
  start(body: RequestBody | undefined): void {
    this.#body = body;
    if (!bindToClient(this.#socket, this)) {
      // Gone already; or it has so much under way that it can't be a client that reads its answers.
      resetClient(this.#socket);
      this.clientClosed();
      return;
    }
    this.#upstreams.sweep.add(this);
    this.#dispatch();
  }

  #dispatch(): void {
    const { origin, path, method, headers, timeouts } = this.#exchange;
    const body = this.#body ?? this.#exchange.body ?? null;
    this.#upstreams
      .pool(origin, timeouts.connectMs)
      .dispatch({ origin, path, method, headers: headers as string[], body }, this);
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    this.#aliveAt = this.#upstreams.sweep.tick;
    if (this.#settled) controller.abort(STOP);
  }

  onBodySent(): void {
    this.#aliveAt = this.#upstreams.sweep.tick;
  }

  onResponseStarted(): void {
    this.#answered = true;
  }

  onResponseStart(controller: Controller, status: number, _headers: unknown, reason?: string): void {
    if (this.#settled) return;
    this.#aliveAt = this.#upstreams.sweep.tick;
    const raw = rawList(controller.rawHeaders);
    if (status < 200) {
      writeInformation(this.#exchange.res, status, responseHeaders(raw));
      return;
    }
    const headers = responseHeaders(raw);
    const extra = this.#askCaller(status, headers);
    if (extra === undefined) return;
    if (extra === 'discard') {
      this.#finish({ kind: 'discarded', status });
      return;
    }
    this.#status = status;
    this.#open(controller, status, overrideHeaders(headers, extra), reason);
  }

  /** `undefined` when the caller's own code failed: that is a bug of ours, not a fault of the upstream. */
  #askCaller(status: number, headers: readonly string[]): readonly string[] | 'discard' | undefined {
    try {
      return this.#exchange.onHead(status, headers);
    } catch (error) {
      this.#release();
      this.#reject(error);
      return undefined;
    }
  }

  #open(controller: Controller, status: number, headers: string[], reason: string | undefined): void {
    const { res, tap } = this.#exchange;
    const phrase = plainReason(status, reason);
    try {
      if (phrase === undefined) res.writeHead(status, headers);
      else res.writeHead(status, phrase, headers);
    } catch (error) {
      // Node refuses a head that can't be written as HTTP; nothing left the gateway.
      this.#status = undefined;
      this.#finish({
        kind: 'upstream-failed',
        phase: 'protocol',
        beforeFirstByte: true,
        error: asError(error),
      });
      return;
    }
    const writer = new ResponseWriter(res, controller, tap, {
      finished: () => this.#responded(true),
      cut: () => this.#broken('tap'),
      ended: () => this.#stopUpstream(),
    });
    this.#writer = writer;
    writer.open(status, headers);
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    this.#aliveAt = this.#upstreams.sweep.tick;
    if (!this.#settled) this.#writer?.chunk(chunk);
  }

  onResponseEnd(controller: Controller): void {
    if (!this.#settled) this.#writer?.end(rawList(controller.rawTrailers));
  }

  onResponseError(_controller: Controller, error: Error): void {
    if (this.#settled || this.#writer?.ending) return;
    if (this.#writer !== undefined) {
      this.#broken('upstream');
      return;
    }
    if (this.#mayRetry(error)) {
      this.#retried = true;
      this.#controller = undefined;
      // Not from inside the parser that just failed.
      process.nextTick(() => {
        if (!this.#settled) this.#dispatch();
      });
      return;
    }
    const phase = failurePhase(error, this.#controller !== undefined);
    this.#finish({ kind: 'upstream-failed', phase, beforeFirstByte: true, error });
  }

  /**
   * An idle connection that the upstream closes just as a request is written on it fails that request through nobody's fault. A
   * safe request without a body is sent once more (RFC 9110, 9.2.2).
   */
  #mayRetry(error: Error): boolean {
    const { method, body } = this.#exchange;
    return (
      !this.#retried &&
      !this.#answered &&
      this.#controller !== undefined &&
      this.#body === undefined &&
      (body === undefined || body.length === 0) &&
      (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') &&
      failurePhase(error, true) === 'reset'
    );
  }

  /** The client's connection closed. */
  clientClosed(): void {
    if (this.#settled) return;
    if (this.#writer?.ending) {
      this.#responded(false);
      return;
    }
    const when = this.#status === undefined ? 'before-head' : 'after-head';
    this.#finish({ kind: 'client-gone', when, status: this.#status, bytesSent: this.#writer?.bytes ?? 0 });
  }

  /** The request's body went over its bound. */
  bodyTooLarge(): void {
    if (this.#settled) return;
    const begun = this.#writer !== undefined;
    this.#finish({ kind: 'body-too-large', when: begun ? 'reset' : 'cut' });
    if (begun) resetClient(this.#socket);
  }

  sweep(tick: number): void {
    if (this.#settled || this.#writer?.waitsForClient || this.#body?.waitsForClient) return;
    const { headersMs, idleMs } = this.#exchange.timeouts;
    const uploading = this.#body !== undefined && !this.#body.readableEnded;
    const limitMs = this.#writer !== undefined || uploading ? idleMs : headersMs;
    if (limitMs === 0 || (tick - this.#aliveAt) * this.#upstreams.sweep.intervalMs <= limitMs) return;
    if (this.#writer !== undefined) this.#broken('upstream-timeout');
    else
      this.#finish({
        kind: 'upstream-failed',
        phase: 'timeout',
        beforeFirstByte: true,
        error: new UpstreamTimeout(limitMs),
      });
  }

  #responded(delivered: boolean): void {
    this.#finish({
      kind: 'responded',
      status: this.#status ?? 0,
      bytesSent: this.#writer?.bytes ?? 0,
      delivered,
    });
  }

  #broken(by: 'upstream' | 'upstream-timeout' | 'tap'): void {
    if (this.#settled) return;
    this.#finish({ kind: 'broken', status: this.#status ?? 0, bytesSent: this.#writer?.bytes ?? 0, by });
    resetClient(this.#socket);
  }

  #finish(outcome: ForwardOutcome): void {
    if (this.#settled) return;
    this.#release();
    this.#settle(outcome);
  }

  /** Unties everything and ends the upstream's part, unless that is over. */
  #release(): void {
    this.#settled = true;
    unbindFromClient(this.#socket, this);
    this.#upstreams.sweep.delete(this);
    this.#writer?.close();
    this.#stopUpstream();
  }

  #stopUpstream(): void {
    if (this.#writer?.upstreamDone !== true) this.#controller?.abort(STOP);
    if (this.#body === undefined) return;
    this.#body.destroy();
    // An answer may overtake its request's body; the client must be able to read it, and then to go on.
    discardBody(this.#exchange.req);
  }
}

type RawHeaders = Dispatcher.DispatchController['rawHeaders'];

/** undici hands over a flat list; its types allow an object too. */
function rawList(raw: RawHeaders): readonly (Buffer | string)[] {
  return Array.isArray(raw) ? raw : [];
}

/** The upstream's own reason phrase, when it has one that can be written. */
function plainReason(status: number, reason: string | undefined): string | undefined {
  if (reason === undefined || reason === STATUS_CODES[status]) return undefined;
  return /^[\t\x20-\x7e]*$/.test(reason) ? reason : undefined;
}

/** Passes an interim response on (103 Early Hints); HTTP/1.0 has none (RFC 9110, 15.2). */
function writeInformation(res: ServerResponse, status: number, headers: string[]): void {
  if (res.req.httpVersionMinor === 0 || res.headersSent) return;
  try {
    res.writeInformation(status, headers);
  } catch {
    // An interim response that can't be written is only a hint less.
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
