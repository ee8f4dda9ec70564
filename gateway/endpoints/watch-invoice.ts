import type { InvoiceState } from '../../node/node.ts';

/** What a wait ended with. */
export type WatchOutcome =
  /** The node's last word; `open` when the time ran out. */
  | { readonly kind: 'state'; readonly state: InvoiceState }
  /** The node does not know the hash. */
  | { readonly kind: 'unknown' }
  /** Too many wait already, here or from this client. */
  | { readonly kind: 'busy' }
  /** The node did not answer. */
  | { readonly kind: 'failed'; readonly cause: unknown }
  /** The client left. */
  | { readonly kind: 'gone' };

/** One client's wait. */
export interface WatchRequest {
  readonly paymentHash: string;
  /** 0: answer with what the node says now. */
  readonly waitMs: number;
  /** Address of the client, for its share of the waiters. */
  readonly client: string;
  readonly signal: AbortSignal;
}

/** What a watcher works with. */
export interface WatcherOptions {
  readonly lookupInvoice: (paymentHash: string) => Promise<InvoiceState | undefined>;
  /** Waiters in all. */
  readonly maxWaiters?: number;
  /** Waiters from one client address. */
  readonly maxWaitersPerClient?: number;
}

/** Waits for invoices on behalf of many clients. */
export interface InvoiceWatcher {
  watch(request: WatchRequest): Promise<WatchOutcome>;
  /** The node's feed says that this was paid: its waiters are answered now. */
  wake(paymentHash: string): void;
  /** Ends every wait with what is known. */
  close(): void;
  /** Waits under way, for tests and the drain. */
  readonly waiting: number;
}

const MAX_WAITERS = 2000;
const MAX_WAITERS_PER_CLIENT = 16;
const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 2000;

type Waiter = (outcome: WatchOutcome) => void;

/** All who ask about one payment hash share one of these. */
interface Poll {
  readonly waiters: Set<Waiter>;
  delayMs: number;
  /** Until the next look-up, or, with no waiters, until this is forgotten. */
  timer: NodeJS.Timeout | undefined;
  looking: Promise<WatchOutcome> | undefined;
  /** It was paid while a look-up was under way, which may have missed that: look again at once. */
  again: boolean;
  last: WatchOutcome | undefined;
}

/**
 * Makes a watcher. However many clients ask about one invoice, and however often, the node is asked by one poller: after
 * 0.25 s, then ever more rarely up to every 2 s, and at once when {@link InvoiceWatcher.wake} says so.
 */
export function createInvoiceWatcher(options: WatcherOptions): InvoiceWatcher {
  const { maxWaiters = MAX_WAITERS, maxWaitersPerClient = MAX_WAITERS_PER_CLIENT } = options;
  const polls = createPolls(options.lookupInvoice);
  const perClient = new Map<string, number>();
  let waiting = 0;
  let closed = false;

  async function watch(request: WatchRequest): Promise<WatchOutcome> {
    if (request.signal.aborted) return { kind: 'gone' };
    const mine = perClient.get(request.client) ?? 0;
    if (closed || waiting >= maxWaiters || mine >= maxWaitersPerClient) return { kind: 'busy' };
    waiting += 1;
    perClient.set(request.client, mine + 1);
    try {
      return await polls.join(request);
    } finally {
      waiting -= 1;
      const left = (perClient.get(request.client) ?? 1) - 1;
      if (left === 0) perClient.delete(request.client);
      else perClient.set(request.client, left);
    }
  }

  return {
    watch,
    wake: polls.wake,
    close: () => {
      closed = true;
      polls.close();
    },
    get waiting() {
      return waiting;
    },
  };
}

function createPolls(lookupInvoice: WatcherOptions['lookupInvoice']) {
  const polls = new Map<string, Poll>();

  function look(paymentHash: string, poll: Poll): Promise<WatchOutcome> {
    clearTimeout(poll.timer);
    poll.looking ??= lookUp(lookupInvoice, paymentHash).then((outcome) => {
      poll.looking = undefined;
      poll.last = outcome;
      const { again } = poll;
      poll.again = false;
      if (isFinal(outcome)) for (const waiter of [...poll.waiters]) waiter(outcome);
      else if (again) return look(paymentHash, poll);
      goOn(paymentHash, poll);
      return outcome;
    });
    return poll.looking;
  }

  /** With waiters, looks again later. Without, remembers the answer for a moment: asking in a loop must not reach the node. */
  function goOn(paymentHash: string, poll: Poll): void {
    clearTimeout(poll.timer);
    if (poll.looking !== undefined) return;
    if (poll.waiters.size === 0) {
      poll.timer = setTimeout(() => polls.delete(paymentHash), FIRST_DELAY_MS).unref();
      return;
    }
    poll.timer = setTimeout(() => void look(paymentHash, poll), poll.delayMs);
    poll.delayMs = Math.min(poll.delayMs * 2, LAST_DELAY_MS);
  }

  function pollOf(paymentHash: string): Poll {
    const known = polls.get(paymentHash);
    if (known !== undefined) return known;
    const poll: Poll = {
      waiters: new Set(),
      delayMs: FIRST_DELAY_MS,
      timer: undefined,
      looking: undefined,
      again: false,
      last: undefined,
    };
    polls.set(paymentHash, poll);
    return poll;
  }

  function wait(poll: Poll, request: WatchRequest): Promise<WatchOutcome> {
    const { paymentHash, waitMs, signal } = request;
    return new Promise((resolve) => {
      const settle: Waiter = (outcome) => {
        clearTimeout(deadline);
        signal.removeEventListener('abort', onAbort);
        poll.waiters.delete(settle);
        if (poll.waiters.size === 0) goOn(paymentHash, poll);
        resolve(outcome);
      };
      const onAbort = () => settle({ kind: 'gone' });
      const deadline = setTimeout(() => {
        // Without a word from the node so far, its first answer is the answer.
        if (poll.last !== undefined) settle(poll.last);
        else void look(paymentHash, poll).then(settle);
      }, waitMs);
      signal.addEventListener('abort', onAbort, { once: true });
      const first = poll.waiters.size === 0;
      poll.waiters.add(settle);
      if (poll.last === undefined) void look(paymentHash, poll);
      else if (first) goOn(paymentHash, poll);
    });
  }

  return {
    join: async (request: WatchRequest): Promise<WatchOutcome> => {
      const poll = pollOf(request.paymentHash);
      if (poll.last !== undefined && (request.waitMs === 0 || isFinal(poll.last))) return poll.last;
      return request.waitMs === 0 ? look(request.paymentHash, poll) : wait(poll, request);
    },
    wake: (paymentHash: string): void => {
      const poll = polls.get(paymentHash);
      if (poll === undefined) return;
      if (poll.looking !== undefined) poll.again = true;
      else if (poll.waiters.size > 0) void look(paymentHash, poll);
      // What is remembered is out of date: the next one who asks gets a look-up.
      else poll.last = undefined;
    },
    close: (): void => {
      for (const poll of polls.values()) {
        for (const waiter of [...poll.waiters]) waiter(poll.last ?? { kind: 'busy' });
        clearTimeout(poll.timer);
      }
      polls.clear();
    },
  };
}

async function lookUp(
  lookupInvoice: WatcherOptions['lookupInvoice'],
  paymentHash: string,
): Promise<WatchOutcome> {
  try {
    const state = await lookupInvoice(paymentHash);
    return state === undefined ? { kind: 'unknown' } : { kind: 'state', state };
  } catch (cause) {
    return { kind: 'failed', cause };
  }
}

/** Nothing more will happen to it. */
function isFinal(outcome: WatchOutcome): boolean {
  return outcome.kind === 'unknown' || (outcome.kind === 'state' && outcome.state.kind !== 'open');
}
