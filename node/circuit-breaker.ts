import type { Backoff } from './backoff.ts';
import { NodeError } from './node.ts';

/** Something about whether the node is asked has changed. */
export type CircuitChange =
  | {
      /** It did not answer so often in a row that it is left alone for a while. */
      readonly kind: 'opened';
      readonly failures: number;
      /** The last of them. */
      readonly error: NodeError;
    }
  /** It answers again. */
  | { readonly kind: 'closed' };

/** What a {@link CircuitBreaker} needs. */
export interface CircuitBreakerOptions {
  /** It opens after so many failures without an answer between them. */
  readonly failures: number;
  /** How long the node is left alone, from try to try. */
  readonly backoff: Backoff;
  /** A clock that never goes back, ms. */
  readonly nowMs: () => number;
  /** Told of each change. It does not throw. */
  readonly onChange: (change: CircuitChange) => void;
}

/** The right to make one request. Exactly one of its methods is called when that has ended. */
export interface Permit {
  /** The node answered, whatever it said. */
  answered(): void;
  /** Nobody answered. */
  failed(error: NodeError): void;
  /** It ended without telling anything about the node: the caller gave up early. */
  released(): void;
}

/** Keeps requests from a node that does not answer, and lets one at a time try whether it does again. */
export interface CircuitBreaker {
  /** @throws NodeError `unreachable` at once while the node is left alone */
  enter(): Permit;
  /** For what needs the node without asking it itself. @throws NodeError `unreachable` while it is open, also when it is time to try again */
  refuseWhileOpen(): void;
  /** For a request that is made however it stands: its end is counted, and nothing is refused. */
  observe(): Permit;
}

/**
 * Closed: everybody may ask. After `failures` in a row, open: nobody may, and each is told so at once, instead of waiting for a deadline
 * with a connection and a place in the queue. When the pause is over, one may try; its answer closes the circuit, its failure doubles the
 * pause.
 */
export function createCircuitBreaker(options: CircuitBreakerOptions): CircuitBreaker {
  const { backoff, nowMs, onChange } = options;
  let failuresInARow = 0;
  let open: { readonly untilMs: number; readonly error: NodeError } | undefined;
  let probing = false;

  const leaveAlone = (error: NodeError): void => {
    open = { untilMs: nowMs() + backoff.next(), error };
  };
  const answered = (): void => {
    failuresInARow = 0;
    if (open === undefined) return;
    open = undefined;
    backoff.reset();
    onChange({ kind: 'closed' });
  };
  const failed = (error: NodeError): void => {
    failuresInARow += 1;
    // Stragglers of an outage that is known must not prolong it.
    if (open !== undefined || failuresInARow < options.failures) return;
    leaveAlone(error);
    onChange({ kind: 'opened', failures: failuresInARow, error });
  };
  const permit: Permit = { answered, failed, released: () => {} };

  return {
    enter() {
      if (open === undefined) return permit;
      if (probing || nowMs() < open.untilMs) throw leftAlone(failuresInARow, open.error);
      probing = true;
      return {
        answered() {
          probing = false;
          answered();
        },
        failed(error) {
          probing = false;
          failuresInARow += 1;
          if (open !== undefined) leaveAlone(error);
        },
        released() {
          // Nothing is known yet: the next one may try.
          probing = false;
        },
      };
    },
    refuseWhileOpen() {
      if (open !== undefined) throw leftAlone(failuresInARow, open.error);
    },
    observe: () => permit,
  };
}

function leftAlone(failures: number, last: NodeError): NodeError {
  return new NodeError(
    'unreachable',
    `The node is not asked at the moment, after ${failures} failures in a row; it is tried again within seconds. The last one: ${last.message}`,
    { cause: last },
  );
}
