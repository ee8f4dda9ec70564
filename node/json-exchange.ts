import type { Dispatcher } from 'undici';
import { NodeError } from './node.ts';

/** A complete answer; `body` is JSON, or `undefined` when it was none. */
export interface JsonAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** How long an exchange may take, and how much may come. */
export interface JsonExchangeLimits {
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /** The caller gives up. */
  readonly signal?: AbortSignal | undefined;
}

/** Why we ended an exchange ourselves: its time was `over`, or its caller has `given-up`. */
export class ExchangeCut extends Error {
  readonly reason: 'over' | 'given-up';

  constructor(reason: ExchangeCut['reason']) {
    super(`the exchange was cut: ${reason}`);
    this.reason = reason;
  }
}

/**
 * Sends one request and reads its whole answer. One handler object in place of undici's `request`, whose streams and abort
 * controllers take a third of what a challenge spends on its node.
 * @throws ExchangeCut, NodeError `protocol` for an answer that is too long, and what undici throws
 */
export function exchangeJson(
  dispatcher: Pick<Dispatcher, 'dispatch'>,
  request: Dispatcher.DispatchOptions,
  limits: JsonExchangeLimits,
): Promise<JsonAnswer> {
  return new Promise((resolve, reject) => {
    const exchange = new JsonExchange(limits, resolve, reject);
    if (!exchange.isOver) dispatcher.dispatch(request, exchange);
  });
}

class JsonExchange implements Dispatcher.DispatchHandler {
  readonly #limits: JsonExchangeLimits;
  readonly #resolve: (answer: JsonAnswer) => void;
  readonly #reject: (error: Error) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #giveUp = (): void => this.#cut(new ExchangeCut('given-up'));
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  readonly #chunks: Buffer[] = [];
  #size = 0;
  isOver = false;

  constructor(
    limits: JsonExchangeLimits,
    resolve: (answer: JsonAnswer) => void,
    reject: (error: Error) => void,
  ) {
    this.#limits = limits;
    this.#resolve = resolve;
    this.#reject = reject;
    // It covers the wait for a connection too.
    this.#timer = setTimeout(() => this.#cut(new ExchangeCut('over')), limits.timeoutMs);
    limits.signal?.addEventListener('abort', this.#giveUp, { once: true });
    if (limits.signal?.aborted) this.#giveUp();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Cut while it waited for a connection: nothing was sent yet, and nothing will be.
    if (this.isOver) controller.abort(new ExchangeCut('given-up'));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#size += chunk.length;
    const { maxBytes } = this.#limits;
    if (this.#size <= maxBytes) this.#chunks.push(chunk);
    else this.#cut(new NodeError('protocol', `The node's answer is longer than ${maxBytes} bytes.`));
  }

  onResponseEnd(): void {
    if (!this.#end()) return;
    this.#resolve({ status: this.#status, body: parse(this.#chunks) });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#end()) this.#reject(error);
  }

  #cut(error: Error): void {
    if (!this.#end()) return;
    this.#reject(error);
    this.#controller?.abort(error);
  }

  /** @returns false when it was over already */
  #end(): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    clearTimeout(this.#timer);
    this.#limits.signal?.removeEventListener('abort', this.#giveUp);
    return true;
  }
}

function parse(chunks: readonly Buffer[]): unknown {
  const [first] = chunks;
  const bytes = first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks);
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
