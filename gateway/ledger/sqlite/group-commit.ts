import type { DatabaseSync } from 'node:sqlite';
import { setTimeout as wait } from 'node:timers/promises';
import type { Books, Engine, Work } from '../books.ts';
import { StoreError } from '../store.ts';
import type { AccountsTable } from './accounts-table.ts';
import { isBusy, toStoreError } from './failure.ts';

/** Jobs of one transaction, and how long it may go on taking them, ms: the event loop has other things to do. */
const MAX_BATCH = 1_000;
const MAX_BATCH_MS = 10;
/** Jobs that may wait: more than that is a store that does not keep up, and waiting would only hide it. */
const MAX_QUEUE = 50_000;
/** Longest pause between two tries for a lock that another process holds, ms. */
const MAX_PAUSE_MS = 25;

/** How transactions are run. */
export interface GroupCommitOptions {
  readonly db: DatabaseSync;
  readonly books: Books & Pick<AccountsTable, 'forgetRowsRead'>;
  /** For messages. */
  readonly file: string;
  readonly nowSec: () => number;
  readonly nowMs: () => number;
  readonly spendDurability: 'normal' | 'full';
  /** A lock that another process holds is waited for so long, ms. */
  readonly busyTimeoutMs: number;
  readonly onLatency: (verb: string, ms: number) => void;
}

interface Job {
  readonly durable: boolean;
  readonly deadlineMs: number;
  /** Runs inside the transaction; what it returns tells the caller, once that is committed. */
  run(books: Books, nowSec: number): () => void;
  fail(error: StoreError): void;
}

/**
 * Runs rules on a SQLite database. All writes asked for in one turn of the event loop go into one transaction, each with
 * its own verdict inside it; callers hear of it after COMMIT. A batch that holds a durable verb is synced to disk
 * (synchronous=FULL), and everything before it with it.
 */
export class GroupCommit implements Engine {
  readonly #options: GroupCommitOptions;
  readonly #begin;
  readonly #beginRead;
  readonly #commit;
  #queue: Job[] = [];
  #scheduled = false;
  #closing = false;
  #closed: Promise<void> | undefined;
  #pauseMs = 1;
  #synchronous: 'FULL' | 'NORMAL' | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
    this.#begin = options.db.prepare('BEGIN IMMEDIATE');
    this.#beginRead = options.db.prepare('BEGIN');
    this.#commit = options.db.prepare('COMMIT');
  }

  durable<T>(verb: string, work: Work<T>): Promise<T> {
    return this.#enqueue(verb, work, 'FULL');
  }

  grouped<T>(verb: string, work: Work<T>): Promise<T> {
    return this.#enqueue(verb, work, this.#options.spendDurability === 'full' ? 'FULL' : 'NORMAL');
  }

  async read<T>(verb: string, work: Work<T>): Promise<T> {
    const startedMs = performance.now();
    const deadlineMs = startedMs + this.#options.busyTimeoutMs;
    try {
      for (let pauseMs = 1; ; pauseMs = nextPause(pauseMs)) {
        if (this.#closing) throw closed(this.#options.file);
        try {
          return this.#readOnce(work);
        } catch (error) {
          if (!isBusy(error) || performance.now() >= deadlineMs) throw error;
        }
        await wait(pauseMs);
      }
    } catch (error) {
      throw toStoreError(error, this.#options.file);
    } finally {
      this.#options.onLatency(verb, performance.now() - startedMs);
    }
  }

  nowMs(): number {
    return this.#options.nowMs();
  }

  /** Runs what is queued, then closes the database. */
  close(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    this.#closing = true;
    if (this.#queue.length > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    this.#options.db.close();
  }

  #enqueue<T>(verb: string, work: Work<T>, synchronous: 'FULL' | 'NORMAL'): Promise<T> {
    const { file, onLatency, busyTimeoutMs } = this.#options;
    if (this.#closing) return Promise.reject(closed(file));
    if (this.#queue.length >= MAX_QUEUE) {
      return Promise.reject(
        new StoreError('unavailable', `The store at ${file} does not keep up: too much waits for it.`),
      );
    }
    const startedMs = performance.now();
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({
        durable: synchronous === 'FULL',
        deadlineMs: startedMs + busyTimeoutMs,
        run(books, nowSec) {
          const verdict = judge(work, books, nowSec);
          return () => {
            onLatency(verb, performance.now() - startedMs);
            if (verdict instanceof StoreError) reject(verdict);
            else resolve(verdict.value);
          };
        },
        fail(error) {
          onLatency(verb, performance.now() - startedMs);
          reject(error);
        },
      });
      this.#schedule(0);
    });
  }

  #schedule(pauseMs: number): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const run = () => {
      this.#scheduled = false;
      this.#runBatch();
    };
    if (pauseMs === 0) setImmediate(run);
    else setTimeout(run, pauseMs);
  }

  #runBatch(): void {
    const batch = this.#queue.splice(0, MAX_BATCH);
    let settled: (() => void)[] | undefined;
    try {
      settled = this.#transact(batch);
    } catch (error) {
      this.#rollBack();
      if (isBusy(error)) {
        this.#waitForLock(batch, error);
        return;
      }
      const failure = toStoreError(error, this.#options.file);
      for (const job of batch) job.fail(failure);
    }
    if (settled !== undefined) {
      this.#pauseMs = 1;
      this.#queue = batch.slice(settled.length).concat(this.#queue);
      for (const tell of settled) tell();
    }
    this.#goOn(0);
  }

  /** Returns what tells the callers of the jobs that ran: the first ones of the batch, as many as there was time for. */
  #transact(batch: readonly Job[]): (() => void)[] {
    const { books, nowSec } = this.#options;
    this.#setSynchronous(batch.some((job) => job.durable) ? 'FULL' : 'NORMAL');
    this.#begin.run();
    books.forgetRowsRead();
    const now = nowSec();
    const untilMs = performance.now() + MAX_BATCH_MS;
    const settled: (() => void)[] = [];
    for (const job of batch) {
      settled.push(job.run(books, now));
      if (performance.now() > untilMs) break;
    }
    this.#commit.run();
    return settled;
  }

  /** SQLite ignores a change of `synchronous` inside a transaction, so this comes before BEGIN. */
  #setSynchronous(level: 'FULL' | 'NORMAL'): void {
    if (this.#synchronous === level) return;
    this.#options.db.exec(`PRAGMA synchronous = ${level}`);
    this.#synchronous = level;
  }

  /** Nothing of the batch has happened: it is tried again, but for the jobs whose time is over. */
  #waitForLock(batch: readonly Job[], error: unknown): void {
    const nowMs = performance.now();
    const failure = toStoreError(error, this.#options.file);
    const late: Job[] = [];
    const waiting: Job[] = [];
    for (const job of batch.concat(this.#queue)) (job.deadlineMs <= nowMs ? late : waiting).push(job);
    this.#queue = waiting;
    for (const job of late) job.fail(failure);
    this.#pauseMs = nextPause(this.#pauseMs);
    this.#goOn(this.#pauseMs);
  }

  #goOn(pauseMs: number): void {
    if (this.#queue.length > 0) this.#schedule(pauseMs);
    else this.#whenIdle?.();
  }

  #readOnce<T>(work: Work<T>): T {
    const { books, nowSec } = this.#options;
    try {
      this.#beginRead.run();
      books.forgetRowsRead();
      const result = work(books, nowSec());
      this.#commit.run();
      return result;
    } catch (error) {
      this.#rollBack();
      throw error;
    }
  }

  /** SQLite has rolled back by itself after some failures; a rollback that fails leaves nothing committed either. */
  #rollBack(): void {
    const { db } = this.#options;
    try {
      if (db.isTransaction) db.exec('ROLLBACK');
    } catch {
      // The failure that led here is the one to report.
    }
  }
}

type Verdict<T> = { readonly value: T } | StoreError;

/** A caller's mistake is that caller's alone; anything else fails the whole batch. */
function judge<T>(work: Work<T>, books: Books, nowSec: number): Verdict<T> {
  try {
    return { value: work(books, nowSec) };
  } catch (error) {
    if (error instanceof StoreError && error.code === 'invalid') return error;
    throw error;
  }
}

function nextPause(pauseMs: number): number {
  return Math.min(MAX_PAUSE_MS, pauseMs * 2);
}

function closed(file: string): StoreError {
  return new StoreError('unavailable', `The store at ${file} is closed.`);
}
