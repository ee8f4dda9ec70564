import { createMemoryStore } from '../../gateway/ledger/memory.ts';
import { type Commit, type Store, StoreError } from '../../gateway/ledger/store.ts';
import { createMeters, type MeterObserver, type Meters } from '../../gateway/meter/meters.ts';
import type { CutReason, FlowControls, Meter, MeterNotice, MeterTerms } from '../../gateway/meter/terms.ts';
import { parsePrice } from '../../gateway/pricing/parse-price.ts';
import { type Msat, msat } from '../../node/msat.ts';

const START_SEC = 1_893_456_000;

/** How the store behaves: it works, it never hears of it, or it does it and the answer is lost. */
export type Weather = 'fine' | 'deaf' | 'mute' | 'hanging';

/** Meters over a store, with a clock and timers that stand still until they are told to move. */
export interface Rig {
  readonly meters: Meters;
  /** Those of another process on the same store. */
  readonly others: Meters;
  readonly store: Store;
  readonly notices: MeterNotice[];
  /** Commits of each store call. */
  readonly calls: (readonly Commit[])[];
  readonly revoked: Set<string>;
  weather: Weather;
  nowMs(): number;
  /** Moves the clock in steps of 10 ms, running timers and what they began. */
  run(ms: number): Promise<void>;
  /** The clock alone jumps. */
  jump(ms: number): void;
  /** The first process stands still for so long, while the others go on. */
  freeze(ms: number): void;
  credit(accountId: string, amountMsat: number): Promise<void>;
  /** Opens a stream that must open. */
  open(terms: Partial<MeterTerms> & { readonly price: MeterTerms['price'] }, meters?: Meters): Promise<Meter>;
  account(
    accountId?: string,
  ): Promise<{ balance: number; reserved: number; spent: number; credited: number }>;
  retryUnsettled(): Promise<void>;
}

/** Lets everything that waits for no timer and no I/O come to its end. */
export async function settleTurns(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export function price(text: string): MeterTerms['price'] {
  const parsed = parsePrice(text);
  if (parsed.kind !== 'metered') throw new Error(`${text} is not metered`);
  return parsed;
}

export const ACCOUNT = 'aa11';

export interface RigOptions {
  readonly openStore?: (nowMs: () => number) => Promise<Store>;
  readonly observe?: MeterObserver;
  readonly stepMs?: number;
  readonly leaseTtlSec?: number;
}

export async function createRig(options: RigOptions = {}): Promise<Rig> {
  let now = 0;
  let offset = 0;
  let credits = 0;
  let keys = 0;
  let thawMs = 0;
  const timers = new Set<{ readonly atMs: number; readonly act: () => void; readonly isFirst: boolean }>();
  const wallMs = () => START_SEC * 1000 + now;
  const store = await (options.openStore ?? (async (nowMs) => createMemoryStore({ nowMs })))(wallMs);
  const revoked = new Set<string>();
  const notices: MeterNotice[] = [];
  const calls: (readonly Commit[])[] = [];
  const unsettled: (() => Promise<unknown>)[] = [];

  async function through<T>(verb: () => Promise<T>): Promise<T> {
    const { weather } = rig;
    if (weather === 'hanging') return new Promise<T>(() => {});
    if (weather === 'deaf') throw new StoreError('unavailable', 'deaf');
    const result = await verb();
    if (weather === 'mute') throw new StoreError('unavailable', 'mute');
    return result;
  }

  const settle = async (verb: () => Promise<unknown>): Promise<void> => {
    try {
      await verb();
    } catch {
      unsettled.push(verb);
    }
  };
  /** @param sinceMs - where the monotonic clock of that process stands */
  const process = (sinceMs: number): Meters =>
    createMeters({
      ledger: {
        reserve: (asked) => through(() => store.reserve(asked)),
        commit: (commits) => {
          calls.push(commits);
          return through(() => store.commit(commits));
        },
        release: (asked) => through(() => store.release(asked)),
        clockMs: (accountId) => through(() => store.clockMs(accountId)),
        isRevoked: (accountId) => revoked.has(accountId),
        nextKey: () => `lease:${++keys}`,
      },
      nowMs: () => sinceMs + now + offset,
      unsettled: { settle },
      ...(options.leaseTtlSec === undefined ? {} : { leaseTtlSec: options.leaseTtlSec }),
      setTimer: (act, delayMs) => {
        const timer = { atMs: now + delayMs, act, isFirst: sinceMs === 0 };
        timers.add(timer);
        return () => void timers.delete(timer);
      },
      ...(options.observe === undefined ? {} : { observe: options.observe }),
    });
  const meters = process(0);

  async function runTimers(): Promise<void> {
    for (;;) {
      const due = [...timers].filter(({ atMs, isFirst }) => atMs <= now && !(isFirst && now < thawMs));
      if (due.length === 0) break;
      for (const timer of due) {
        timers.delete(timer);
        timer.act();
      }
      await settleTurns();
    }
  }

  const rig: Rig = {
    meters,
    others: process(123_456),
    store,
    notices,
    calls,
    revoked,
    weather: 'fine',
    nowMs: () => now,
    async run(ms) {
      const until = now + ms;
      await settleTurns();
      await runTimers();
      while (now < until) {
        now = Math.min(until, now + (options.stepMs ?? 10));
        await runTimers();
      }
    },
    jump(ms) {
      offset += ms;
    },
    freeze(ms) {
      thawMs = now + ms;
    },
    async credit(accountId, amountMsat) {
      credits += 1;
      const creditKey = credits.toString(16).padStart(64, '0');
      const expiresAtSec = START_SEC + 30 * 86_400;
      await store.credit({
        creditKey,
        accountId,
        service: 'live',
        amountMsat: msat(amountMsat),
        expiresAtSec,
      });
    },
    async open(terms, at = meters) {
      const opened = await at.open(termsOf(terms, notices));
      if (opened.kind !== 'opened') throw new Error(`not opened: ${opened.kind}`);
      return opened.meter;
    },
    async account(accountId = ACCOUNT) {
      const account = await store.account(accountId);
      if (account === undefined) throw new Error('no such account');
      const {
        balanceMsat: balance,
        reservedMsat: reserved,
        spentMsat: spent,
        creditedMsat: credited,
      } = account;
      return { balance, reserved, spent, credited };
    },
    async retryUnsettled() {
      for (const verb of unsettled.splice(0)) await settle(verb);
    },
  };
  return rig;
}

export function termsOf(
  terms: Partial<MeterTerms> & { readonly price: MeterTerms['price'] },
  notices: MeterNotice[] = [],
): MeterTerms {
  return {
    accountId: ACCOUNT,
    service: 'live',
    transport: 'http',
    charge: 'each',
    holdMs: 5_000,
    warnMs: 0,
    chargeFrom: 'response',
    onNotice: (notice) => notices.push(notice),
    ...terms,
  };
}

/** A response on its way: behaves as the proxy's writer does. */
export interface Flow extends FlowControls {
  /** The upstream sends; what the client gets now is in `sent`. */
  send(chunk: Buffer | string): void;
  readonly sent: Buffer[];
  readonly paused: boolean;
  readonly ended: 'cut' | 'finished' | undefined;
  text(): string;
}

export function startFlow(meter: Meter, headers: readonly string[] = [], status = 200): Flow {
  const sent: Buffer[] = [];
  const held: Buffer[] = [];
  let shown: Buffer | undefined;
  let paused = false;
  let ended: Flow['ended'];

  function show(chunk: Buffer): void {
    meter.tap.chunk(chunk);
    if (ended !== undefined) return;
    if (paused) shown = chunk;
    else sent.push(chunk);
  }

  const flow: Flow = {
    sent,
    get paused() {
      return paused;
    },
    get ended() {
      return ended;
    },
    text: () => Buffer.concat(sent).toString(),
    send(chunk) {
      if (ended !== undefined) return;
      if (paused) held.push(Buffer.from(chunk));
      else show(Buffer.from(chunk));
    },
    pause() {
      paused = true;
    },
    resume() {
      process.nextTick(() => {
        if (!paused || ended !== undefined) return;
        paused = false;
        if (shown !== undefined) sent.push(shown);
        shown = undefined;
        while (held.length > 0 && !paused && ended === undefined) show(held.shift() ?? Buffer.alloc(0));
      });
    },
    cut() {
      ended ??= 'cut';
    },
    inject(bytes) {
      if (ended === undefined) sent.push(bytes);
    },
    finish() {
      ended ??= 'finished';
    },
  };
  meter.tap.open({ status, headers }, flow);
  return flow;
}

export const SSE = ['Content-Type', 'text/event-stream'];

export type { CutReason, Msat };
