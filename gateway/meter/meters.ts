import type { Msat } from '../../node/msat.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { StoreError } from '../ledger/store.ts';
import type { MeteredUnit } from '../pricing/price.ts';
import { type OpenedTab, openPlace, openTab, sharedKey } from './open-tab.ts';
import { joinTab } from './places.ts';
import { Seconds } from './quantity.ts';
import { costOf } from './rate.ts';
import { type Settling, settleTab } from './settle-tab.ts';
import { steadyClock } from './steady-clock.ts';
import { Stream, type StreamPort } from './stream.ts';
import type { Tab } from './tab.ts';
import type { TabPort } from './tab-types.ts';
import type { CutReason, Meter, MeterReport, MeterTerms, Opened } from './terms.ts';
import { NO_SLOT, type Timed, Wheel } from './wheel.ts';

const DEFAULT_TICK_MS = 100;
const DEFAULT_TTL_SEC = 10;
/** A revocation that the ledger knows of ends streams after at most this. */
const REVOCATION_SWEEP_MS = 200;
/** Most commits that the store takes in one call. */
const MAX_COMMITS = 100_000;

/** What is counted and logged. Each is optional; none throws. */
export interface MeterObserver {
  opened?(service: string): void;
  /** A stream's end, with its account: the log line and the metrics. */
  ended?(service: string, accountId: string, unit: MeteredUnit, report: MeterReport): void;
  /** Money that the store has taken, msat. */
  billed?(service: string, unit: MeteredUnit, amountMsat: Msat): void;
  /** A stream is out of credit and waits. */
  held?(service: string): void;
  cut?(service: string, by: CutReason): void;
  /** A store call of the wheel: how many streams it settled. */
  settledSlices?(commits: number): void;
  /** The store did not take a tick's slices (they are tried again), or one stream's own code failed. */
  failed?(error: unknown): void;
}

/** What {@link createMeters} needs. */
export interface MetersOptions {
  readonly ledger: Pick<Ledger, 'reserve' | 'commit' | 'release' | 'isRevoked' | 'nextKey' | 'clockMs'>;
  /** Monotonic ms: `performance.now`. */
  readonly nowMs: () => number;
  /** Tries the last step of a charge again when the store is away. */
  readonly unsettled: Settling;
  /** How often the wheel turns; default 100 ms. */
  readonly tickMs?: number;
  /** How long a lease lives without a sign of life; default 10 s, and never less than five slices. */
  readonly leaseTtlSec?: number;
  /** A timer, by default one that does not keep the process alive. @returns what stops it */
  readonly setTimer?: (act: () => void, delayMs: number) => () => void;
  readonly observe?: MeterObserver;
}

/** All streams of a process, on one wheel. */
export interface Meters {
  /**
   * Sets the first slice aside and opens a stream, or says why not. Nothing may be forwarded before it resolves.
   * @throws StoreError when the store is away: the outcome is unknown, and is undone by its key
   * @throws RangeError for a price that can't be counted
   */
  open(terms: MeterTerms): Promise<Opened>;
  /** The account was credited: its held streams ask for their next slice now. */
  credited(accountId: string): void;
  /** The account was revoked: its streams end now. The wheel also asks the ledger, five times a second. */
  revoked(accountId: string): void;
  /** Live streams; of one service when it is named. */
  size(service?: string): number;
  /** The live streams of an account in this process, and what those for time take together, msat a second. */
  streamsOf(accountId: string): { readonly count: number; readonly msatPerSecond: number };
  /** Cuts every stream and resolves when all are settled. */
  close(): Promise<void>;
}

/** Makes the meters of a process. It runs a timer only while there are streams. */
export function createMeters(options: MetersOptions): Meters {
  return new TickWheel(options);
}

function putIn<T>(sets: Map<string, Set<T>>, key: string, one: T): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([one]));
  else set.add(one);
}

function takeOut<T>(sets: Map<string, Set<T>>, key: string, one: T): void {
  const set = sets.get(key);
  set?.delete(one);
  if (set?.size === 0) sets.delete(key);
}

function unrefTimer(act: () => void, delayMs: number): () => void {
  const timer = setTimeout(act, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}

class TickWheel implements Meters, TabPort<Tab>, StreamPort {
  readonly now: () => number;
  readonly #ledger: MetersOptions['ledger'];
  readonly #unsettled: Settling;
  readonly #makeTab: (terms: MeterTerms) => Promise<OpenedTab>;
  readonly #makePlace: (terms: MeterTerms) => Promise<OpenedTab>;
  readonly #observe: MeterObserver;
  readonly #setTimer: (act: () => void, delayMs: number) => () => void;
  readonly #tickMs: number;
  readonly #wheel: Wheel;
  readonly #accounts = new Map<string, Set<Tab>>();
  /** Tabs of `charge: once`, by {@link sharedKey}. */
  readonly #shared = new Map<string, Promise<OpenedTab>>();
  readonly #sizes = new Map<string, number>();
  /** By account, those that have ended and are not settled. */
  readonly #settling = new Map<string, Set<Promise<void>>>();
  #asking: Tab[] = [];
  #turning = false;
  #stopTick: (() => void) | undefined;
  #stopSoon: (() => void) | undefined;
  #sweptAtMs = 0;
  #missedMs = 0;
  #closed = false;

  constructor(options: MetersOptions) {
    const { ledger, unsettled, tickMs = DEFAULT_TICK_MS, leaseTtlSec = DEFAULT_TTL_SEC } = options;
    this.now = steadyClock(options.nowMs, Math.max(1_000, 10 * tickMs), (ms) => this.#missed(ms));
    this.#ledger = ledger;
    this.#unsettled = unsettled;
    this.#tickMs = tickMs;
    this.#observe = options.observe ?? {};
    this.#setTimer = options.setTimer ?? unrefTimer;
    this.#wheel = new Wheel(tickMs, this.now());
    const missedMs = (): number => this.#missedMs;
    const tabDeps = { ledger, unsettled, tickMs, leaseTtlSec, now: this.now, missedMs, port: this };
    this.#makeTab = async (terms) => this.#adopt(await openTab(tabDeps, terms));
    this.#makePlace = async (terms) => this.#adopt(await openPlace(tabDeps, terms));
  }

  async open(terms: MeterTerms): Promise<Opened> {
    const opened = await this.#openNow(terms);
    const leaving = this.#settling.get(terms.accountId);
    if (opened.kind !== 'too-many' || leaving === undefined) return opened;
    // Streams that have ended here are giving their places back at this moment.
    await Promise.all(leaving);
    return this.#openNow(terms);
  }

  async #openNow(terms: MeterTerms): Promise<Opened> {
    if (this.#closed) throw new StoreError('unavailable', 'The meters are closed.');
    if (this.#ledger.isRevoked(terms.accountId)) return { kind: 'revoked' };
    const opened = await this.#tabFor(terms);
    if (opened.kind !== 'opened') return opened;
    const { tab } = opened;
    // Whoever comes first has the place of the tab's own lease.
    const isHeld = tab.state.kind === 'holding' && !tab.awaitsAnswer;
    const needsPlace = terms.maxStreams !== undefined && tab.members.size > 0 && !isHeld;
    if (!needsPlace) return this.#enter(tab, terms, undefined);
    const place = await this.#makePlace(terms);
    return place.kind === 'opened' ? this.#enter(tab, terms, place.tab) : place;
  }

  /** While the store was asked for a place, the tab may have run out of credit or ended, or the place may be gone again. */
  async #enter(tab: Tab, terms: MeterTerms, place: Tab | undefined): Promise<Opened> {
    try {
      // A slice is used up before the next one is there: on a busy machine, or with a slow store. It may well be paid for.
      while (tab.awaitsAnswer) await tab.nextAnswer();
    } catch (error) {
      place?.end(undefined, this.now());
      throw error;
    }
    const { kind } = tab.state;
    if ((kind === 'opening' || kind === 'running') && place?.state.kind !== 'ended') {
      return { kind: 'opened', meter: this.#join(tab, terms, place) };
    }
    place?.end(undefined, this.now());
    if (kind === 'holding') {
      const neededMsat = tab.lease.shortOf(tab.lease.coveredUnits + tab.settings.sliceMs);
      return { kind: 'insufficient', balanceMsat: tab.lease.balanceMsat, neededMsat };
    }
    // The last of those who shared it left before this one could join.
    return this.#openNow(terms);
  }

  #tabFor(terms: MeterTerms): Promise<OpenedTab> {
    const paidTogether = sharedKey(terms);
    if (paidTogether === undefined) return this.#makeTab(terms);
    const key = `${terms.accountId} ${paidTogether}`;
    const known = this.#shared.get(key);
    if (known !== undefined) return known;
    const opening = this.#makeTab(terms);
    this.#shared.set(key, opening);
    const forget = (): void => {
      if (this.#shared.get(key) === opening) this.#shared.delete(key);
    };
    opening.then((opened) => {
      if (opened.kind === 'opened') opened.tab.onEnd = forget;
      else forget();
    }, forget);
    return opening;
  }

  #adopt(opened: OpenedTab): OpenedTab {
    if (opened.kind !== 'opened') return opened;
    const { tab } = opened;
    putIn(this.#accounts, tab.lease.accountId, tab);
    tab.touch(this.now());
    if (this.#closed) tab.end('closing', this.now());
    return opened;
  }

  #join(tab: Tab, terms: MeterTerms, place: Tab | undefined): Meter {
    const stream = new Stream(tab, terms, this);
    joinTab(tab, stream, place);
    if (!(tab.quantity instanceof Seconds)) tab.quantity.unsent = () => stream.unsentUnits();
    this.#sizes.set(terms.service, this.size(terms.service) + 1);
    this.#observe.opened?.(terms.service);
    if (terms.chargeFrom === 'request') stream.begin();
    return stream;
  }

  credited(accountId: string): void {
    for (const tab of this.#accounts.get(accountId) ?? []) tab.credited(this.now());
  }

  revoked(accountId: string): void {
    for (const tab of this.#accounts.get(accountId) ?? []) tab.end('revoked', this.now());
  }

  size(service?: string): number {
    if (service !== undefined) return this.#sizes.get(service) ?? 0;
    let all = 0;
    for (const size of this.#sizes.values()) all += size;
    return all;
  }

  streamsOf(accountId: string): { readonly count: number; readonly msatPerSecond: number } {
    let count = 0;
    let msatPerSecond = 0;
    for (const { members, settings, lease } of this.#accounts.get(accountId) ?? []) {
      count += members.size;
      if (settings.unit === 'second' && members.size > 0) msatPerSecond += costOf(lease.rate, 1_000);
    }
    return { count, msatPerSecond };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const tabs of this.#accounts.values()) for (const tab of tabs) tab.end('closing', this.now());
    this.#stopTick?.();
    this.#stopSoon?.();
    this.#stopTick = undefined;
    this.#stopSoon = undefined;
    while (this.#settling.size > 0) {
      await Promise.all([...this.#settling.values()].flatMap((settling) => [...settling]));
    }
  }

  after(delayMs: number, act: () => void): void {
    const entry: Timed = { slot: NO_SLOT, touch: act };
    this.#wheel.schedule(entry, this.now() + delayMs);
    this.#arm();
  }

  schedule(tab: Tab, dueMs: number): void {
    this.#wheel.schedule(tab, dueMs);
    this.#arm();
  }

  /** This process stood still for longer than its clock counts: other processes have gone on meanwhile. */
  #missed(missedMs: number): void {
    this.#missedMs += missedMs;
    const nowMs = this.now();
    for (const tabs of this.#accounts.values()) for (const tab of tabs) tab.missed(missedMs, nowMs);
  }

  #arm(): void {
    if (this.#closed || this.#stopTick !== undefined || this.#wheel.size === 0) return;
    this.#stopTick = this.#setTimer(() => {
      this.#stopTick = undefined;
      this.#turn();
      this.#arm();
    }, this.#tickMs);
  }

  collect(tab: Tab): void {
    this.#asking.push(tab);
    if (this.#turning || this.#closed || this.#stopSoon !== undefined) return;
    // A stream waits for this: not for the next tick, but with all others of this turn of the event loop.
    this.#stopSoon = this.#setTimer(() => {
      this.#stopSoon = undefined;
      this.#send();
    }, 0);
  }

  /** One tick: wakes what is due, then settles all of it in one call. */
  #turn(): void {
    const nowMs = this.now();
    this.#turning = true;
    try {
      for (const entry of this.#wheel.due(nowMs)) this.#guard(() => entry.touch(nowMs));
      this.#sweepRevoked(nowMs);
    } finally {
      this.#turning = false;
    }
    this.#send();
  }

  /** One stream's failure must not leave ten thousand others uncharged. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error: unknown): void {
    this.#observe.failed?.(error);
  }

  #sweepRevoked(nowMs: number): void {
    if (nowMs - this.#sweptAtMs < REVOCATION_SWEEP_MS) return;
    this.#sweptAtMs = nowMs;
    for (const accountId of this.#accounts.keys()) {
      if (this.#ledger.isRevoked(accountId)) this.#guard(() => this.revoked(accountId));
    }
  }

  #send(): void {
    // One that ended meanwhile is settled by itself.
    const asking = this.#asking.filter((tab) => tab.state.kind !== 'ended');
    this.#asking = [];
    for (let from = 0; from < asking.length; from += MAX_COMMITS) {
      void this.#commit(asking.slice(from, from + MAX_COMMITS));
    }
  }

  async #commit(tabs: readonly Tab[]): Promise<void> {
    const sentAtMs = this.now();
    const commits = tabs.map((tab) => tab.prepare(sentAtMs));
    this.#observe.settledSlices?.(commits.length);
    try {
      const outcomes = await this.#ledger.commit(commits);
      const nowMs = this.now();
      tabs.forEach((tab, at) => {
        const outcome = outcomes[at];
        this.#guard(() =>
          outcome === undefined ? tab.failed(nowMs) : tab.answered(outcome, sentAtMs, nowMs),
        );
      });
    } catch (error) {
      this.#observe.failed?.(error);
      await this.#afterFailure(tabs, error);
    }
  }

  /** What the store finds impossible in one stream's step must not stop the others: they are tried in halves. */
  async #afterFailure(tabs: readonly Tab[], error: unknown): Promise<void> {
    const isOurs = error instanceof StoreError && error.code === 'invalid';
    if (isOurs && tabs.length > 1) {
      const middle = Math.ceil(tabs.length / 2);
      await Promise.all([this.#commit(tabs.slice(0, middle)), this.#commit(tabs.slice(middle))]);
      return;
    }
    const nowMs = this.now();
    for (const tab of tabs) {
      this.#guard(() => {
        tab.failed(nowMs);
        if (isOurs) tab.end('lease-lost', nowMs);
      });
    }
  }

  billed(tab: Tab, amountMsat: Msat): void {
    this.#observe.billed?.(tab.settings.service, tab.settings.unit, amountMsat);
  }

  held(tab: Tab): void {
    this.#observe.held?.(tab.settings.service);
  }

  ended(tab: Tab): void {
    this.#wheel.remove(tab);
    const { accountId } = tab.lease;
    takeOut(this.#accounts, accountId, tab);
    // In the next turn: whoever ended it may still correct what it delivered.
    const settled = Promise.resolve().then(() => settleTab(tab, this.#ledger, this.#unsettled));
    tab.settled = settled;
    putIn(this.#settling, accountId, settled);
    void settled.finally(() => takeOut(this.#settling, accountId, settled));
  }

  reported(stream: Stream, report: MeterReport): void {
    const { service, accountId, price } = stream.terms;
    const left = this.size(service) - 1;
    if (left > 0) this.#sizes.set(service, left);
    else this.#sizes.delete(service);
    if (report.cutBy !== undefined) this.#observe.cut?.(service, report.cutBy);
    this.#observe.ended?.(service, accountId, price.unit, report);
  }
}
