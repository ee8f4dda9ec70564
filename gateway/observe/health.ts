import { type LightningNode, NodeError } from '../../node/node.ts';
import { within } from '../../node/within.ts';
import type { Store } from '../ledger/store.ts';
import { scrubText } from './scrub.ts';

/** What is wrong with a part, for programs. */
export type HealthCode =
  /** Nobody answers, or too late. */
  | 'no-answer'
  /** Locked or starting. */
  | 'not-ready'
  /** Behind its chain. */
  | 'not-synced'
  /** On another network than the configured one. */
  | 'wrong-network'
  /** Its credential is wrong or lacks a right. */
  | 'unauthorized'
  /** Its clock is ahead of this machine's: what would be sold now would be too late when its buyer comes. */
  | 'clock-ahead'
  /** It is another store than the gateway began with: nothing is sold or charged. */
  | 'store-mismatch'
  /** It can't be paid what anything here costs. */
  | 'no-inbound';

/** One part that has to work, as it was last seen. */
export interface PartHealth {
  /** `unknown`: not checked yet. */
  readonly state: 'up' | 'down' | 'unknown';
  /** Why it is not up, where that is known. */
  readonly code?: HealthCode;
  /** The same in words. */
  readonly reason?: string;
  /** Unix seconds of the last check; absent before the first. */
  readonly checkedAtSec?: number;
  /** Unix seconds since when it is in this state, for the same reason. */
  readonly sinceSec?: number;
}

/** An answer of /healthz or /readyz. */
export interface HealthAnswer {
  readonly status: 200 | 503;
  readonly body: {
    readonly status: 'ok' | 'not-ready' | 'draining';
    readonly parts?: Readonly<Record<string, PartHealth>>;
  };
}

/** What is checked, and how. */
export interface HealthOptions {
  readonly store: Pick<Store, 'ping'>;
  readonly node: Pick<LightningNode, 'info'>;
  /** Seconds by which the store's clock is too far ahead; undefined when it is not. */
  readonly clockAheadSec?: () => number | undefined;
  /** Why the store is another one than before; undefined when it is not. */
  readonly mismatch?: () => Error | undefined;
  /** Why nothing can be sold although the node works, in words. */
  readonly soldOut?: () => string | undefined;
  /** Unix milliseconds. */
  readonly nowMs?: () => number;
  /** Between checks, ms. */
  readonly intervalMs?: number;
  /** A part that does not answer within this counts as down, ms. */
  readonly deadlineMs?: number;
  /** Told when a part was checked (for the metric), and whether state or code changed (for the log). */
  readonly onChecked?: (part: string, health: PartHealth, changed: boolean) => void;
}

/** Liveness and readiness. Answers come from the last background check: asking costs nothing and can't pile up. */
export interface Health {
  /** Checks now and then every few seconds. Resolves after the first check. */
  start(): Promise<void>;
  /** Checks every part once. */
  check(): Promise<void>;
  /** From now on /readyz answers 503, so that load balancers send nothing new; /healthz stays 200. */
  drain(): void;
  stop(): void;
  live(): HealthAnswer;
  /** One part as it was last seen. */
  part(name: 'store' | 'node'): PartHealth;
  /** `exclude` names parts to leave out (`?exclude=node`: a gateway whose node is down still serves who has paid). */
  ready(exclude?: readonly string[]): HealthAnswer;
}

const INTERVAL_MS = 3000;
const DEADLINE_MS = 2000;
/** A part whose checks stopped coming is not known to be up. */
const STALE_AFTER_INTERVALS = 5;

/** A check that was told to stop may still tell which address it waited for, ms. */
const LAST_WORD_MS = 100;

type Check = (signal: AbortSignal) => Promise<void>;

/** What to look at when a part does not answer in time. */
const LOOK_AT: Readonly<Record<'store' | 'node', string>> = {
  store: 'look whether it runs, and what keeps it or its disk busy',
  node: 'look whether it runs, what keeps it busy, and whether a firewall swallows what is sent; `sluice doctor` asks it for longer',
};

/** A check that found something wrong which has a name. */
class CheckFailure extends Error {
  readonly code: HealthCode;

  constructor(code: HealthCode, message: string) {
    super(message);
    this.code = code;
  }
}

interface Failure {
  readonly code?: HealthCode;
  readonly reason: string;
}

const NODE_CODES: Partial<Record<NodeError['code'], HealthCode>> = {
  unreachable: 'no-answer',
  timeout: 'no-answer',
  'not-ready': 'not-ready',
  'wrong-network': 'wrong-network',
  unauthorized: 'unauthorized',
};

/** Makes the health checks of one gateway. */
export function createHealth(options: HealthOptions): Health {
  const { nowMs = Date.now, intervalMs = INTERVAL_MS, deadlineMs = DEADLINE_MS } = options;
  const checks: Readonly<Record<keyof typeof LOOK_AT, Check>> = {
    store: async () => {
      const mismatch = options.mismatch?.();
      if (mismatch !== undefined) throw new CheckFailure('store-mismatch', mismatch.message);
      await options.store.ping();
      const aheadSec = options.clockAheadSec?.();
      if (aheadSec !== undefined)
        throw new CheckFailure('clock-ahead', `The store's clock is ${aheadSec} s ahead: nothing is sold.`);
    },
    node: async (signal) => {
      const { synced } = await options.node.info({ signal });
      if (!synced) throw new CheckFailure('not-synced', 'The node is not synced to its chain yet.');
      const soldOut = options.soldOut?.();
      if (soldOut !== undefined) throw new CheckFailure('no-inbound', soldOut);
    },
  };
  const parts = new Map<string, PartHealth>(Object.keys(checks).map((name) => [name, { state: 'unknown' }]));
  let draining = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;

  async function checkPart(name: keyof typeof LOOK_AT): Promise<void> {
    const failure = await runCheck(checks[name], name, deadlineMs);
    const before = parts.get(name);
    const nowSec = Math.floor(nowMs() / 1000);
    const state = failure === undefined ? 'up' : 'down';
    const changed = before?.state !== state || before.code !== failure?.code;
    const health: PartHealth = {
      state,
      ...failure,
      checkedAtSec: nowSec,
      sinceSec: changed ? nowSec : (before?.sinceSec ?? nowSec),
    };
    parts.set(name, health);
    options.onChecked?.(name, health, changed);
  }

  /** One round at a time: a part that hangs must not gather checks. */
  function check(): Promise<void> {
    running ??= Promise.all([checkPart('store'), checkPart('node')])
      .then(() => undefined)
      .finally(() => {
        running = undefined;
      });
    return running;
  }

  function fresh(part: PartHealth): PartHealth {
    const staleMs = STALE_AFTER_INTERVALS * intervalMs + deadlineMs;
    if (part.checkedAtSec === undefined || nowMs() - part.checkedAtSec * 1000 <= staleMs + 1000) return part;
    return { ...part, state: 'unknown', reason: 'It was not checked lately.' };
  }

  return {
    async start() {
      timer ??= setInterval(() => void check(), intervalMs).unref();
      await check();
    },
    check,
    drain: () => {
      draining = true;
    },
    stop: () => clearInterval(timer),
    part: (name) => fresh(parts.get(name) ?? { state: 'unknown' }),
    live: () => ({ status: 200, body: { status: 'ok' } }),
    ready: (exclude = []) => {
      const shown = Object.fromEntries([...parts].map(([name, part]) => [name, fresh(part)]));
      const up = Object.entries(shown).every(([name, part]) => part.state === 'up' || exclude.includes(name));
      if (draining) return { status: 503, body: { status: 'draining', parts: shown } };
      return { status: up ? 200 : 503, body: { status: up ? 'ok' : 'not-ready', parts: shown } };
    },
  };
}

/** Runs a check, and has it stop when it takes too long. Resolves to its failure, or undefined. */
async function runCheck(
  check: Check,
  name: keyof typeof LOOK_AT,
  deadlineMs: number,
): Promise<Failure | undefined> {
  const aborter = new AbortController();
  const checked = check(aborter.signal).then(() => undefined, failureOf);
  const failure = await within(deadlineMs, checked, 'late' as const);
  if (failure !== 'late') return failure;
  aborter.abort();
  const lastWord = await within(LAST_WORD_MS, checked, undefined);
  const waitedFor = lastWord?.code === 'no-answer' ? lastWord.reason : `The ${name} did not answer.`;
  const reason = `${waitedFor.replace(/\.$/, '')} (${deadlineMs} ms): ${LOOK_AT[name]}.`;
  return { code: 'no-answer', reason };
}

function failureOf(error: unknown): Failure {
  const reason =
    error instanceof Error ? scrubText(error.message).slice(0, 300) : 'It failed without saying why.';
  const code =
    error instanceof CheckFailure
      ? error.code
      : error instanceof NodeError
        ? NODE_CODES[error.code]
        : undefined;
  return { reason, ...(code !== undefined && { code }) };
}
