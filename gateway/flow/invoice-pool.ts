import type { ChallengeConfig, InvoicePoolConfig } from '../../config/config.ts';
import { type Invoice, type LightningNode, NodeError, type NodeErrorCode } from '../../node/node.ts';
import type { ConcurrencyGate } from './concurrency.ts';
import { drawFrom, earn, newShelf, type Shelf, shelfKey, takeStale, wantsOne } from './invoice-shelf.ts';
import type { InvoiceTerms, MakeInvoice } from './make-invoice.ts';
import { createWithdrawals } from './withdraw-invoices.ts';
import { withinTime } from './within-time.ts';

/** Why a pooled invoice was never shown to anybody. */
export type DropReason =
  /** Too little of its time was left. */
  | 'aged'
  /** A reload changed the price, the memo or the pool. */
  | 'reload'
  /** The node does not know it any more, or there is another node by now. */
  | 'forgotten'
  /** Too many prices: the one that nobody asked for longest makes room. */
  | 'crowded'
  | 'closed';

/** What an {@link InvoicePool} needs. */
export interface PoolDeps {
  readonly node: Pick<LightningNode, 'capabilities' | 'cancelInvoice' | 'lookupInvoice'>;
  readonly make: MakeInvoice;
  /** Shared with the challenges that wait for the node: they go first. */
  readonly gate: ConcurrencyGate;
  readonly limits: () => ChallengeConfig;
  readonly nowMs: () => number;
  readonly onDraw: (result: 'hit' | 'miss') => void;
  readonly onDropped: (reason: DropReason, invoices: number) => void;
  /** An invoice could not be made ahead. At most once a second, and more rarely while it goes on. */
  readonly onFailed: (reason: NodeErrorCode, error: unknown) => void;
}

/** Invoices that are made before somebody asks for them. */
export interface InvoicePool {
  /** An invoice that nobody has seen; undefined when there is none ready, or no pool. It is replaced in the background. */
  draw(terms: InvoiceTerms): Invoice | undefined;
  /** The node made an invoice for a challenge: it is back, if it was away, and there is room again. */
  answered(): void;
  /** Keeps what is sold by the configuration now in force, and drops the rest. */
  retain(sold: readonly InvoiceTerms[]): void;
  /** The node was away: it is asked whether it still knows what it made. Until it answers they are sold. */
  doubt(): void;
  /** Another node answers there: what the last one made can't be paid to it. */
  forget(): void;
  /** Invoices ready. */
  count(): number;
  /** Once: makes room, drops what has aged, tries again what failed. Runs by itself every second. */
  sweep(): void;
  /** Makes no more, and cancels what is left where the node can. */
  close(): Promise<void>;
}

/** Prices kept at once, and invoices of them all. */
const MAX_SHELVES = 256;
const MAX_POOLED = 5_000;

const SWEEP_EVERY_MS = 1_000;
/** How long after a failure nothing is made ahead: doubles with each, ms. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
/** How long stopping may wait for the node, ms. */
const CLOSE_TIMEOUT_MS = 3_000;

/** Makes a pool. It does nothing until `limits().invoicePool` says so and somebody draws. */
export function createInvoicePool(deps: PoolDeps): InvoicePool {
  return new Pool(deps);
}

class Pool implements InvoicePool {
  readonly #deps: PoolDeps;
  /** The one that nobody asked for longest comes first. */
  readonly #shelves = new Map<string, Shelf>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #withdrawals: ReturnType<typeof createWithdrawals>;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #pauseMs = 0;
  #pausedUntilMs = 0;
  #closing = false;

  constructor(deps: PoolDeps) {
    this.#deps = deps;
    this.#withdrawals = createWithdrawals(deps.node);
  }

  draw(terms: InvoiceTerms): Invoice | undefined {
    const config = this.#deps.limits().invoicePool;
    if (config === undefined || this.#closing) return undefined;
    this.#timer ??= setInterval(() => this.sweep(), SWEEP_EVERY_MS).unref();
    const nowMs = this.#deps.nowMs();
    const shelf = this.#shelfOf(terms, nowMs);
    this.#drop('aged', takeStale(shelf, nowMs));
    const invoice = drawFrom(shelf, config.size, nowMs);
    this.#deps.onDraw(invoice === undefined ? 'miss' : 'hit');
    this.#wakeSoon();
    return invoice;
  }

  answered(): void {
    this.#pauseMs = 0;
    this.#pausedUntilMs = 0;
    if (this.#shelves.size > 0) this.#wakeSoon();
  }

  retain(sold: readonly InvoiceTerms[]): void {
    const config = this.#deps.limits().invoicePool;
    const keys = new Set(config === undefined ? [] : sold.map(shelfKey));
    for (const [key, shelf] of this.#shelves) {
      if (!keys.has(key)) this.#remove(key, shelf, 'reload');
      else this.#drop('reload', shelf.stock.splice(config?.size ?? 0));
      earn(shelf, 0, config?.size ?? 0);
    }
  }

  doubt(): void {
    for (const shelf of this.#shelves.values()) shelf.doubted = shelf.stock.at(-1);
  }

  forget(): void {
    for (const [key, shelf] of this.#shelves) this.#remove(key, shelf, 'forgotten');
  }

  count(): number {
    let stock = 0;
    for (const shelf of this.#shelves.values()) stock += shelf.stock.length;
    return stock;
  }

  sweep(): void {
    const nowMs = this.#deps.nowMs();
    for (const shelf of this.#shelves.values()) this.#drop('aged', takeStale(shelf, nowMs));
    this.#wake();
    this.#withdrawOne();
  }

  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#timer);
    clearImmediate(this.#soon);
    const signal = AbortSignal.timeout(CLOSE_TIMEOUT_MS);
    const over = new Promise((resolve) => signal.addEventListener('abort', resolve));
    const end = async (): Promise<void> => {
      for (const [key, shelf] of this.#shelves) this.#remove(key, shelf, 'closed');
      await Promise.allSettled(this.#underWay);
      await this.#withdrawals.drain(signal);
    };
    await Promise.race([end(), over]);
  }

  #shelfOf(terms: InvoiceTerms, nowMs: number): Shelf {
    const key = shelfKey(terms);
    const shelf = this.#shelves.get(key) ?? newShelf(terms, nowMs);
    this.#shelves.delete(key);
    this.#shelves.set(key, shelf);
    const [oldest] = this.#shelves;
    if (this.#shelves.size > MAX_SHELVES && oldest !== undefined) this.#remove(...oldest, 'crowded');
    return shelf;
  }

  /** The challenge that is being answered goes first. */
  #wakeSoon(): void {
    if (this.#closing) return;
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.#wake();
    });
  }

  #wake(): void {
    const config = this.#deps.limits().invoicePool;
    if (config === undefined) return;
    for (const shelf of this.#shelves.values()) {
      if (shelf.doubted !== undefined) this.#verify(shelf, shelf.doubted);
      this.#refill(shelf, config);
    }
  }

  #refill(shelf: Shelf, { size, refillBelow }: InvoicePoolConfig): void {
    while (this.#mayAsk() && wantsOne(shelf, size, refillBelow) && this.#hasRoom()) {
      shelf.making += 1;
      shelf.earned -= 1;
      const started = this.#tryRun((signal) => this.#makeFor(shelf, signal));
      if (started) continue;
      shelf.making -= 1;
      shelf.earned += 1;
      return;
    }
  }

  async #makeFor(shelf: Shelf, signal: AbortSignal): Promise<void> {
    try {
      const invoice = await this.#deps.make(shelf.terms, signal);
      shelf.making -= 1;
      if (shelf.gone) this.#drop(this.#closing ? 'closed' : 'reload', [invoice]);
      else shelf.stock.push(invoice);
      this.#pauseMs = 0;
    } catch (error) {
      shelf.making -= 1;
      shelf.earned += 1;
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    const code = error instanceof NodeError ? error.code : 'protocol';
    const nowMs = this.#deps.nowMs();
    if (code === 'bad-invoice' || code === 'wrong-network') this.forget();
    else this.doubt();
    // Those that were under way together fail together.
    if (nowMs < this.#pausedUntilMs) return;
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2));
    this.#pausedUntilMs = nowMs + this.#pauseMs;
    this.#deps.onFailed(code, error);
  }

  /** One look-up stands for all that were made before: a node that was replaced, or restored from an older state, forgot the newest. */
  #verify(shelf: Shelf, doubted: Invoice): void {
    if (!shelf.stock.includes(doubted)) {
      shelf.doubted = undefined;
      return;
    }
    if (!this.#mayAsk()) return;
    const started = this.#tryRun(async (signal) => {
      try {
        const state = await this.#deps.node.lookupInvoice(doubted.paymentHash, { signal });
        const older = shelf.stock.indexOf(doubted) + 1;
        if (state?.kind !== 'open') this.#drop('forgotten', shelf.stock.splice(0, older));
      } catch (error) {
        this.#failed(error);
      }
    });
    if (started) shelf.doubted = undefined;
  }

  #withdrawOne(): void {
    if (!this.#mayAsk()) return;
    const invoice = this.#withdrawals.take();
    if (invoice === undefined) return;
    const started = this.#tryRun(async (signal) => {
      await this.#withdrawals.cancel(invoice, signal);
      setImmediate(() => this.#withdrawOne());
    });
    if (!started) this.#withdrawals.add([invoice]);
  }

  /** Takes at most half of the node's time, and only what no challenge waits for. */
  #tryRun(task: (signal: AbortSignal) => Promise<void>): boolean {
    const { nodeConcurrency, nodeTimeoutMs } = this.#deps.limits();
    const most = Math.max(1, Math.floor(nodeConcurrency / 2));
    const run = this.#deps.gate.tryRun(most, () => withinTime(nodeTimeoutMs, task));
    if (run === undefined) return false;
    const ended = run.finally(() => {
      this.#underWay.delete(ended);
      this.#wakeSoon();
    });
    this.#underWay.add(ended);
    return true;
  }

  #mayAsk(): boolean {
    return !this.#closing && this.#deps.nowMs() >= this.#pausedUntilMs;
  }

  #hasRoom(): boolean {
    return this.count() + this.#underWay.size < MAX_POOLED;
  }

  #remove(key: string, shelf: Shelf, reason: DropReason): void {
    this.#shelves.delete(key);
    shelf.gone = true;
    this.#drop(reason, shelf.stock.splice(0));
  }

  #drop(reason: DropReason, invoices: readonly Invoice[]): void {
    if (invoices.length === 0) return;
    this.#deps.onDropped(reason, invoices.length);
    this.#withdrawals.add(invoices);
  }
}
