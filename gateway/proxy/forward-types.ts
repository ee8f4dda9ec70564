import type { IncomingMessage, ServerResponse } from 'node:http';
import type { UploadTap } from './request-body.ts';
import type { ResponseTap } from './response-tap.ts';

/** How long an upstream may take. All in ms; 0 turns one off. */
export interface ForwardTimeouts {
  readonly connectMs: number;
  /** From the end of the request to the response's head. */
  readonly headersMs: number;
  /** Without a byte from the upstream while the client is ready to take one. */
  readonly idleMs: number;
}

/** One request to be forwarded. */
export interface ForwardExchange {
  readonly req: IncomingMessage;
  /** Untouched: no header set on it, nothing written. */
  readonly res: ServerResponse;
  /** `upstreamOrigin` */
  readonly origin: string;
  /** `upstreamPath` */
  readonly path: string;
  readonly method: string;
  /** `requestHeaders` */
  readonly headers: readonly string[];
  readonly timeouts: ForwardTimeouts;
  /** A longer request body ends in `body-too-large`. */
  readonly maxBodyBytes: number;
  /** The request's body when it was read already. */
  readonly body?: Buffer | undefined;
  /** Sends `100 Continue`, once the upstream is ready for the body. */
  readonly sendContinue?: (() => void) | undefined;
  /**
   * Called once, with the upstream's status and headers, before anything is written. Returns headers to add (they replace the upstream's
   * of the same name), or `discard` to drop the response: then nothing is written and the caller answers.
   */
  readonly onHead: (status: number, headers: readonly string[]) => readonly string[] | 'discard';
  readonly tap?: ResponseTap | undefined;
  /** Watches the request's body on its way to the upstream. */
  readonly uploadTap?: UploadTap | undefined;
}

/** How an upstream failed before its response began. */
export type UpstreamFailurePhase =
  /** Refused, unreachable, DNS, TLS: no connection. */
  | 'connect'
  | 'timeout'
  /** The connection closed or broke. */
  | 'reset'
  /** What came was not HTTP as it should be. */
  | 'protocol';

/** What became of a forwarded request. */
export type ForwardOutcome =
  /** The upstream's whole response was handed over. */
  | {
      readonly kind: 'responded';
      readonly status: number;
      /** Of the body. */
      readonly bytesSent: number;
      /** The client's connection took all of it; false when the client went away before. */
      readonly delivered: boolean;
    }
  /** Nothing was written: the caller answers 502 or 504. */
  | {
      readonly kind: 'upstream-failed';
      readonly phase: UpstreamFailurePhase;
      readonly beforeFirstByte: true;
      readonly error: Error;
    }
  /** The upstream (or the tap) broke the response off; the client's connection was reset. */
  | {
      readonly kind: 'broken';
      readonly status: number;
      readonly bytesSent: number;
      readonly by: 'upstream' | 'upstream-timeout' | 'tap';
    }
  | {
      readonly kind: 'client-gone';
      /** Whether it went before or after the head of the response. */
      readonly when: 'before-head' | 'after-head';
      readonly status: number | undefined;
      readonly bytesSent: number;
    }
  /**
   * The request's body is over the bound. `not-sent`: the upstream saw nothing. `cut`: it saw a part, nothing was written to the client.
   * `reset`: the response had begun, so the client's connection was reset. In the first two cases the caller answers 413.
   */
  | { readonly kind: 'body-too-large'; readonly when: 'not-sent' | 'cut' | 'reset' }
  /** `onHead` said so; nothing was written. */
  | { readonly kind: 'discarded'; readonly status: number };
