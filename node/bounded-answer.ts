import { NodeError } from './node.ts';

/** How long an exchange may take, and how much may come. */
export interface ExchangeLimits {
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

/** Whoever waits for an answer, and how to stop what brings it. */
export interface Waiting<T> {
  resolve(answer: T): void;
  reject(error: Error): void;
  /** Called once at most, when no more of the answer is wanted; perhaps before anything was asked. */
  abort(error: Error): void;
}

/** The answer to one request: it comes in pieces, within its limits, and is settled once. */
export class BoundedAnswer<T> {
  readonly #maxBytes: number;
  readonly #timer: NodeJS.Timeout;
  readonly #giveUp = (): void => this.cut(new ExchangeCut('given-up'));
  #signal: AbortSignal | undefined;
  /** `undefined` when it is over: streams live on for a while, and must not hold on to the whole request that waited. */
  #waiting: Waiting<T> | undefined;
  #chunks: Buffer[] = [];
  #size = 0;

  /** The time runs from here on: it covers the wait for a connection too. */
  constructor(limits: ExchangeLimits, waiting: Waiting<T>) {
    this.#maxBytes = limits.maxBytes;
    this.#signal = limits.signal;
    this.#waiting = waiting;
    this.#timer = setTimeout(() => this.cut(new ExchangeCut('over')), limits.timeoutMs);
    limits.signal?.addEventListener('abort', this.#giveUp, { once: true });
    if (limits.signal?.aborted) this.#giveUp();
  }

  get isOver(): boolean {
    return this.#waiting === undefined;
  }

  take(chunk: Buffer): void {
    if (this.isOver) return;
    this.#size += chunk.length;
    if (this.#size <= this.#maxBytes) this.#chunks.push(chunk);
    else this.cut(new NodeError('protocol', `The node's answer is longer than ${this.#maxBytes} bytes.`));
  }

  /** What has come, until it is over. */
  bytes(): Buffer {
    const [first] = this.#chunks;
    return first !== undefined && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
  }

  resolve(answer: T): void {
    this.#end()?.resolve(answer);
  }

  reject(error: Error): void {
    this.#end()?.reject(error);
  }

  /** Ends it from our side. */
  cut(error: Error): void {
    const waiting = this.#end();
    waiting?.reject(error);
    waiting?.abort(error);
  }

  /** @returns who waited; `undefined` when it was over already */
  #end(): Waiting<T> | undefined {
    const waiting = this.#waiting;
    if (waiting === undefined) return undefined;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#giveUp);
    this.#waiting = undefined;
    this.#signal = undefined;
    this.#chunks = [];
    return waiting;
  }
}
