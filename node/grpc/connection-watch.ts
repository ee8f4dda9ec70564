import type { ClientHttp2Session } from 'node:http2';
import { ExchangeCut } from '../bounded-answer.ts';
import { codeOf } from '../connect.ts';
import type { Sessions } from './sessions.ts';

/** What one call, as it goes on, tells about its connection. */
export interface CallWatch {
  started(session: ClientHttp2Session): void;
  answered(): void;
  failed(error: Error): void;
  /** We ended it ourselves, and it has failed by that. */
  cut(error: Error): void;
}

/** A caller that did not wait so long tells nothing about the connection. */
const SILENCE_MS = 1_000;

/**
 * Has connections retired that look open and answer nothing any more: only how their calls end tells that.
 * @returns what begins to watch one call
 */
export function createConnectionWatch(sessions: Sessions, nowMs: () => number): () => CallWatch {
  /** Of all calls so far: what tells a slow call from a connection that is dead. */
  let answers = 0;

  return () => {
    const answersBefore = answers;
    let used: { readonly session: ClientHttp2Session; readonly sinceMs: number } | undefined;
    return {
      started(session) {
        used = { session, sinceMs: nowMs() };
      },
      answered() {
        answers += 1;
      },
      failed(error) {
        // Node leaves a session open that has no numbers left for calls.
        if (used !== undefined && codeOf(error) === 'ERR_HTTP2_OUT_OF_STREAMS') sessions.retire(used.session);
      },
      cut(error) {
        if (used === undefined || !(error instanceof ExchangeCut) || answers !== answersBefore) return;
        // A challenge has a bound of its own, which is shorter than that of a call.
        const isSilent = error.reason === 'over' || nowMs() - used.sinceMs >= SILENCE_MS;
        if (isSilent) sessions.retire(used.session);
      },
    };
  };
}
