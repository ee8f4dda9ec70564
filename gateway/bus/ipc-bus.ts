import type { Bus, BusNews } from './bus.ts';

/*
 * The bus of workers on one machine: each tells the primary, which tells the others. A message costs a pipe write; a process that
 * reads too slowly misses some, and hears that it did.
 */

/** Messages to one process that may be on their way; some hundred bytes each. */
const MAX_PENDING = 10_000;
const HASH = /^[0-9a-f]{64}$/;

/** Reads what another process says; `undefined` for what is none of ours. */
export function readBusNews(value: unknown): BusNews | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { kind, accountId, paymentHash }: { kind?: unknown; accountId?: unknown; paymentHash?: unknown } =
    value;
  switch (kind) {
    case 'credited':
      return isHash(accountId) && isHash(paymentHash) ? { kind, accountId, paymentHash } : undefined;
    case 'revoked':
      return isHash(accountId) ? { kind, accountId } : undefined;
    case 'settled':
      return isHash(paymentHash) ? { kind, paymentHash } : undefined;
    case 'missed':
      return { kind };
    default:
      return undefined;
  }
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && HASH.test(value);
}

/**
 * Sends to one process what it can take. Beyond that, messages are left out, and once those on their way have arrived it is told
 * that it missed some.
 * @param send - calls back when the message was handed over, or is lost with the process
 */
export function boundedTell(
  send: (news: BusNews, handedOver: () => void) => void,
  maxPending: number = MAX_PENDING,
): (news: BusNews) => void {
  let pending = 0;
  let missed = false;
  const post = (news: BusNews): void => {
    pending += 1;
    send(news, () => {
      pending -= 1;
      if (!missed || pending > 0) return;
      missed = false;
      post({ kind: 'missed' });
    });
  };
  return (news) => {
    if (pending >= maxPending) missed = true;
    else post(news);
  };
}

/** One process's end of the bus. */
export interface IpcBus extends Bus {
  /** Another process said this. */
  hear(news: BusNews): void;
}

/** Makes it. @param tell - to all others; does not throw */
export function createIpcBus(tell: (news: BusNews) => void): IpcBus {
  const listeners = new Set<(news: BusNews) => void>();
  let closed = false;
  return {
    hear(news) {
      for (const listener of listeners) listener(news);
    },
    publish(message) {
      if (!closed) tell(message);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close: async () => {
      closed = true;
      listeners.clear();
    },
  };
}
