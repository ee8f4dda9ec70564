import { setTimeout as wait } from 'node:timers/promises';
import type { Config } from '../../config/config.ts';
import { type Backoff, createBackoff } from '../../node/backoff.ts';
import { within } from '../../node/within.ts';
import type { BusNews } from '../bus/bus.ts';
import { boundedTell } from '../bus/ipc-bus.ts';
import type { Log } from '../observe/log.ts';
import type { WorkerExit } from '../observe/metrics.ts';
import { createAwakeTimers } from './awake-timers.ts';
import type { WorkerEnd, WorkerProcess } from './fork-worker.ts';
import { COUNT_EVERY_MS, type FromWorker, readFromWorker, type ToWorker } from './messages.ts';
import type { ConnectionShare, Taker } from './share-connections.ts';
import { type SilenceWatch, watchSilence } from './watch-silence.ts';

/** How long things may take, ms. */
export interface PoolTiming {
  /** Pauses before a worker that died is replaced. */
  readonly firstPauseMs: number;
  readonly maxPauseMs: number;
  /** One that served for so long did not die of its start: the next pause is the first one again. */
  readonly soundAfterMs: number;
  /** From the fork to serving. */
  readonly startTimeoutMs: number;
  /** One that serves, and of which nothing was heard for so long, hangs. */
  readonly silenceLimitMs: number;
  /** How often it is looked at whose time is over: so much later it may be noticed. */
  readonly lookEveryMs: number;
  /** What a worker may take on top of the drain time. */
  readonly endGraceMs: number;
  /** For the counts of all workers. */
  readonly countTimeoutMs: number;
}

const TIMING: PoolTiming = {
  firstPauseMs: 200,
  maxPauseMs: 30_000,
  soundAfterMs: 30_000,
  startTimeoutMs: 60_000,
  // Far above what a collection of garbage or a slow disk takes: all who are served by it lose their connections.
  silenceLimitMs: 15 * COUNT_EVERY_MS,
  lookEveryMs: 1_000,
  endGraceMs: 15_000,
  countTimeoutMs: 1_000,
};

/** What a pool needs. */
export interface PoolOptions {
  readonly fork: () => WorkerProcess;
  readonly connections: Pick<ConnectionShare, 'join' | 'took' | 'leave' | 'lost'>;
  /** What the workers start with; `workers` says how many. */
  readonly config: Config;
  /** Of TLS: a session that began at one worker goes on at the next. */
  readonly ticketKeys: Uint8Array;
  readonly log: Log;
  /** A worker said what it counted. `worker` is the same object until it ends. */
  readonly onCounted: (worker: object, scrape: string) => void;
  /** A worker said this to all; the others are told. */
  readonly onNews: (news: BusNews) => void;
  readonly onEnded: (worker: object, how: WorkerExit) => void;
  /** A worker found that store, keys and data folder do not belong together: nothing can be sold any more. */
  readonly onMismatch: (message: string) => void;
  /** Default: Math.random. */
  readonly random?: () => number;
  /** A clock that never goes back; default: `performance.now`. */
  readonly nowMs?: () => number;
  readonly timing?: Partial<PoolTiming>;
}

/** The workers of a gateway. */
export interface WorkerPool {
  /**
   * Starts them all, and resolves when all serve.
   * @throws Error in the words of the first that could not start; then none is left
   */
  start(): Promise<void>;
  /** Has all of them take a configuration, those that start meanwhile too. */
  reload(config: Config): void;
  /** Tells all of them. */
  tell(news: BusNews): void;
  /** Replaces one after the other: the next begins to serve before the one before it stops. Never rejects. */
  renew(): Promise<void>;
  /** Workers that serve. */
  serving(): number;
  /** Has all of them say what they counted; resolves when they did, or did not in time. */
  count(): Promise<void>;
  /** Has all of them finish, within the drain time, and ends those that do not. */
  stop(): Promise<void>;
  /** Ends them at once. */
  kill(): void;
}

/** One process. */
interface Running extends Taker {
  readonly place: number;
  readonly process: WorkerProcess;
  state: 'starting' | 'serving' | 'draining';
  readonly serves: PromiseWithResolvers<void>;
  readonly tell: (news: BusNews) => void;
  servesSinceMs: number;
  /** From when it serves until it is gone. */
  silence: SilenceWatch | undefined;
  hangs: boolean;
  whenCounted: (() => void) | undefined;
}

/** Makes the pool; nothing is started yet. */
export function createWorkerPool(options: PoolOptions): WorkerPool {
  const { log, connections, ticketKeys } = options;
  const timing = { ...TIMING, ...options.timing };
  const random = options.random ?? Math.random;
  const nowMs = options.nowMs ?? (() => performance.now());
  const timers = createAwakeTimers(timing.lookEveryMs, nowMs);
  const places = Array.from({ length: options.config.workers }, (_, at) => at + 1);
  const backoffs = new Map<number, Backoff>(
    places.map((place) => [
      place,
      createBackoff({ firstMs: timing.firstPauseMs, maxMs: timing.maxPauseMs, random }),
    ]),
  );
  const running = new Set<Running>();
  const stopping = new AbortController();
  let latest = { config: options.config, version: 1 };
  let renewing: Promise<void> = Promise.resolve();
  let counting: Promise<void> | undefined;

  const hear = (worker: Running, message: FromWorker | undefined): void => {
    switch (message?.kind) {
      case undefined:
        return;
      case 'hello':
        worker.process.send({ kind: 'start', worker: worker.place, ticketKeys, ...latest });
        return;
      case 'serving':
        // Not when it was told to end meanwhile.
        if (worker.state !== 'starting') return;
        worker.state = 'serving';
        worker.servesSinceMs = nowMs();
        worker.silence = watch(worker);
        connections.join(worker);
        worker.serves.resolve();
        return;
      case 'took':
        connections.took(worker, message.connection);
        return;
      case 'failed':
        worker.serves.reject(new Error(message.message));
        if (message.reason === 'mismatch') options.onMismatch(message.message);
        return;
      case 'news':
        for (const other of running) if (other !== worker) other.tell(message.news);
        options.onNews(message.news);
        return;
      case 'taken':
        for (const other of running) if (other !== worker) other.process.send(message);
        return;
      case 'counted':
        options.onCounted(worker, message.scrape);
        worker.whenCounted?.();
        return;
    }
  };

  /** Kept up while it drains: one that hangs does not finish either, and its drain time may be hours. */
  const watch = (worker: Running): SilenceWatch =>
    watchSilence(timers, timing.silenceLimitMs, {
      onQuiet: (silentMs) =>
        log.warn('nothing is heard of a worker; if it stays so, it is killed', {
          worker: worker.place,
          silentMs,
        }),
      onSilent: (silentMs) => {
        log.error('a worker hangs and is killed: its connections break', { worker: worker.place, silentMs });
        worker.hangs = true;
        worker.process.kill();
      },
    });

  const launch = (place: number): Running => {
    const process = options.fork();
    const worker: Running = {
      place,
      process,
      state: 'starting',
      serves: Promise.withResolvers(),
      give: (connection, listener, socket) =>
        process.sendConnection({ kind: 'connection', connection, listener }, socket),
      tell: boundedTell((news, handedOver) => process.send({ kind: 'news', news }, handedOver)),
      servesSinceMs: Number.POSITIVE_INFINITY,
      silence: undefined,
      hangs: false,
      whenCounted: undefined,
    };
    running.add(worker);
    worker.serves.promise.catch(() => {});
    const late = timers.after(timing.startTimeoutMs, () => {
      log.error('a worker did not start in time and is ended', { worker: place });
      process.kill();
    });
    worker.serves.promise.finally(late.cancel).catch(() => {});
    process.onMessage((message) => {
      worker.silence?.heard();
      hear(worker, readFromWorker(message));
    });
    void process.ended.then((end) => bury(worker, end));
    return worker;
  };

  const bury = (worker: Running, { code, signal }: WorkerEnd): void => {
    const { place, state } = worker;
    running.delete(worker);
    worker.silence?.end();
    connections.lost(worker);
    worker.whenCounted?.();
    worker.serves.reject(new Error(`Worker ${place} ended before it served (${signal ?? `code ${code}`}).`));
    options.onEnded(worker, exitOf(worker));
    if (state === 'draining' || stopping.signal.aborted) return;
    // Its place was taken by another already: a renewal whose worker did not come up.
    if (isTaken(place)) return;
    void replace(worker, { code, signal });
  };

  const isTaken = (place: number): boolean =>
    [...running].some((other) => other.place === place && other.state !== 'draining');

  const replace = async (worker: Running, end: WorkerEnd): Promise<void> => {
    const { place, servesSinceMs, hangs } = worker;
    const backoff = backoffs.get(place);
    if (nowMs() - servesSinceMs >= timing.soundAfterMs) backoff?.reset();
    const pauseMs = Math.round(backoff?.next() ?? timing.maxPauseMs);
    const ended = hangs ? 'a worker that hung is gone' : 'a worker ended by itself';
    log.error(`${ended}; another takes its place`, { worker: place, ...end, pauseMs });
    await wait(pauseMs, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
    // Its place may have been taken meanwhile: by a renewal.
    if (stopping.signal.aborted || isTaken(place)) return;
    launch(place)
      .serves.promise.then(() => log.info('a worker serves again', { worker: place }))
      // Its end is said above.
      .catch(() => {});
  };

  /** @param drainMs - how long the requests under way may take */
  const drain = async (worker: Running, drainMs: number): Promise<void> => {
    worker.state = 'draining';
    connections.leave(worker);
    worker.process.send({ kind: 'drain' });
    const late = timers.after(drainMs + timing.endGraceMs, () => {
      log.error('a worker did not stop in time and is ended', { worker: worker.place });
      worker.process.kill();
    });
    await worker.process.ended;
    late.cancel();
  };

  const renewAll = async (): Promise<void> => {
    log.info('the workers are replaced, one after the other');
    for (const place of places) {
      if (stopping.signal.aborted) return;
      const old = [...running].filter((worker) => worker.place === place && worker.state !== 'draining');
      try {
        await launch(place).serves.promise;
      } catch (error) {
        log.error('a new worker could not start, so the others stay', { worker: place, err: error });
        return;
      }
      await Promise.all(old.map((worker) => drain(worker, latest.config.drainTimeoutMs)));
    }
    if (!stopping.signal.aborted) log.info('all workers were replaced');
  };

  const kill = (): void => {
    stopping.abort();
    for (const { process } of running) process.kill();
  };

  return {
    async start() {
      const first = places.map(launch);
      try {
        await Promise.all(first.map(({ serves }) => serves.promise));
      } catch (error) {
        kill();
        await Promise.all(first.map(({ process }) => process.ended));
        throw error;
      }
    },
    reload(config) {
      latest = { config, version: latest.version + 1 };
      sendAll(running, { kind: 'reload', ...latest });
    },
    tell(news) {
      for (const worker of running) worker.tell(news);
    },
    renew() {
      renewing = renewing.then(renewAll);
      return renewing;
    },
    serving: () => [...running].filter(({ state }) => state === 'serving').length,
    count() {
      counting ??= countAll(running, timing.countTimeoutMs).finally(() => {
        counting = undefined;
      });
      return counting;
    },
    async stop() {
      stopping.abort();
      const { drainTimeoutMs } = latest.config;
      await Promise.all([...running].map((worker) => drain(worker, drainTimeoutMs)));
    },
    kill,
  };
}

async function countAll(workers: Iterable<Running>, timeoutMs: number): Promise<void> {
  const asked = [...workers].filter(({ state }) => state !== 'starting');
  const answers = asked.map((worker) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    worker.whenCounted = resolve;
    worker.process.send({ kind: 'count' });
    return promise;
  });
  await within(timeoutMs, Promise.all(answers), undefined);
}

function exitOf({ hangs, state }: Running): WorkerExit {
  if (hangs) return 'hung';
  return state === 'draining' ? 'drained' : 'died';
}

function sendAll(workers: Iterable<Running>, message: ToWorker): void {
  for (const { process } of workers) process.send(message);
}
