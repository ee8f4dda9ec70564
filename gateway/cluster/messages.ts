import type { Config } from '../../config/config.ts';
import type { BusNews } from '../bus/bus.ts';
import { readBusNews } from '../bus/ipc-bus.ts';
import { readTaken, type Taken } from './share-throttles.ts';

/*
 * What the primary and a worker say to each other. Both are this program, and the channel is a pipe that nobody else holds: the
 * checks here are for versions that differ (a file replaced under a running gateway), not for an enemy.
 */

/** A configuration and its number: the one with the greatest is in force. */
export interface NumberedConfig {
  readonly config: Config;
  readonly version: number;
}

/** From the primary to a worker. */
export type ToWorker =
  /** Open everything and serve. `worker` is its place, 1 to N, which whoever comes after it takes over; the keys are those of TLS. */
  | ({ readonly kind: 'start'; readonly worker: number; readonly ticketKeys: Uint8Array } & NumberedConfig)
  /** Take this configuration for requests from now on. */
  | ({ readonly kind: 'reload' } & NumberedConfig)
  /** The connection that comes with this message is the worker's to serve: it came in at this listener, counted from 0. */
  | { readonly kind: 'connection'; readonly connection: number; readonly listener: number }
  /** What another process said to all. */
  | { readonly kind: 'news'; readonly news: BusNews }
  /** What clients took from the throttles of another worker. */
  | { readonly kind: 'taken'; readonly taken: Taken }
  /** Say what was counted, at once. */
  | { readonly kind: 'count' }
  /** Finish what is under way, and end. */
  | { readonly kind: 'drain' };

/** From a worker to the primary. */
export type FromWorker =
  /** It listens to the primary, and waits for its start. */
  | { readonly kind: 'hello' }
  /** It takes connections. */
  | { readonly kind: 'serving' }
  /** This connection has come. */
  | { readonly kind: 'took'; readonly connection: number }
  /**
   * It can't start, and ends. `mismatch`: store, keys and data folder do not belong together, which no restart mends.
   */
  | { readonly kind: 'failed'; readonly reason: 'mismatch' | 'other'; readonly message: string }
  /** For all other processes. */
  | { readonly kind: 'news'; readonly news: BusNews }
  /** For all other workers. */
  | { readonly kind: 'taken'; readonly taken: Taken }
  /** Its counts up to now, in the Prometheus text format. */
  | { readonly kind: 'counted'; readonly scrape: string };

/**
 * How often a worker says by itself what it counted, ms: that much is lost when it is killed. It is also the sign that its event loop turns,
 * which the primary waits for.
 */
export const COUNT_EVERY_MS = 2_000;

/** Longest text that is taken from a worker, characters. */
const MAX_TEXT = 16 * 1024 * 1024;

/** Reads what came from a worker; `undefined` for what is none of ours. */
export function readFromWorker(value: unknown): FromWorker | undefined {
  if (!isRecord(value)) return undefined;
  const { kind } = value;
  switch (kind) {
    case 'hello':
    case 'serving':
      return { kind };
    case 'took': {
      const { connection } = value;
      return isCount(connection) ? { kind, connection } : undefined;
    }
    case 'failed': {
      const { reason, message } = value;
      if (!isText(message) || (reason !== 'mismatch' && reason !== 'other')) return undefined;
      return { kind, reason, message };
    }
    case 'news':
    case 'taken':
      return readForOthers(value);
    case 'counted': {
      const { scrape } = value;
      return isText(scrape) ? { kind, scrape } : undefined;
    }
    default:
      return undefined;
  }
}

/** Reads what came from the primary; `undefined` for what is none of ours. */
export function readToWorker(value: unknown): ToWorker | undefined {
  if (!isRecord(value)) return undefined;
  const { kind } = value;
  switch (kind) {
    case 'start': {
      const { worker, ticketKeys } = value;
      if (!isCount(worker) || !isTicketKeys(ticketKeys) || !isNumberedConfig(value)) return undefined;
      return { kind, worker, ticketKeys, config: value.config, version: value.version };
    }
    case 'connection': {
      const { connection, listener } = value;
      if (!isCount(connection) || !(isCount(listener) || listener === 0)) return undefined;
      return { kind, connection, listener };
    }
    case 'reload':
      return isNumberedConfig(value) ? { kind, config: value.config, version: value.version } : undefined;
    case 'news':
    case 'taken':
      return readForOthers(value);
    case 'count':
    case 'drain':
      return { kind };
    default:
      return undefined;
  }
}

/** What goes from one process to the others. */
function readForOthers(value: Readonly<Record<string, unknown>>): (FromWorker & ToWorker) | undefined {
  if (value['kind'] === 'taken') {
    const taken = readTaken(value['taken']);
    return taken === undefined ? undefined : { kind: 'taken', taken };
  }
  const news = readBusNews(value['news']);
  return news === undefined ? undefined : { kind: 'news', news };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT;
}

/** As `tls.Server.setTicketKeys` wants them. */
export const TICKET_KEY_BYTES = 48;

function isTicketKeys(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.length === TICKET_KEY_BYTES;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}

/** The primary has checked the configuration as a whole; a worker does not check it again. */
function isNumberedConfig(
  value: Readonly<Record<string, unknown>>,
): value is Readonly<Record<string, unknown>> & NumberedConfig {
  const { config, version } = value;
  return isCount(version) && isRecord(config) && Array.isArray(config['services']);
}
