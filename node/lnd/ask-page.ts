import type { NodeHttp } from '../http.ts';
import { NodeError } from '../node.ts';
import { ask } from './receive.ts';

/** A page of one of LND's lists. */
export interface PageRequest {
  /** With the query, for so many entries. */
  readonly path: (limit: number) => string;
  /** Entries at most. */
  readonly limit: number;
  readonly maxBytes: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Asks for a page, and for a shorter one when what comes is too long. Who pays decides how long LND's entry of his invoice gets: one
 * of a few hundred parts, each with records of its own, is a megabyte.
 * @throws NodeError
 */
export async function askPage(http: NodeHttp, page: PageRequest, what: string): Promise<unknown> {
  const { path, maxBytes, signal } = page;
  for (let { limit } = page; ; limit = Math.max(1, Math.floor(limit / 4))) {
    try {
      return await ask(http, { method: 'GET', path: path(limit), signal, maxBytes }, what);
    } catch (error) {
      const isTooLong = error instanceof NodeError && error.code === 'protocol';
      if (!isTooLong || limit <= 1) throw error;
    }
  }
}
