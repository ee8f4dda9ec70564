import type { CircuitBreaker, Permit } from './circuit-breaker.ts';
import type { NodeGrpc } from './grpc.ts';
import type { NodeHttp } from './http.ts';
import { NodeError } from './node.ts';

/** What guarding needs. */
export interface GuardOptions {
  readonly breaker: CircuitBreaker;
  /** Bound on one exchange, ms. */
  readonly timeoutMs: number;
  /** A clock that never goes back, ms. */
  readonly nowMs: () => number;
}

/** A caller that waited for this part of the bound saw as much as the bound would have. */
const PATIENT_SHARE = 0.5;

/**
 * Short exchanges ask the breaker first. Streams do not: a payment whose outcome is in doubt must be looked up whatever the node did
 * before, and a feed has a backoff of its own; but how they fare is counted.
 */
export function guardHttp(http: NodeHttp, options: GuardOptions): NodeHttp {
  return {
    exchange: (request) => guarded(options, () => http.exchange(request)),
    async stream(request) {
      const permit = options.breaker.observe();
      try {
        const answer = await http.stream(request);
        permit.answered();
        return answer;
      } catch (error) {
        if (request.signal.aborted) permit.released();
        else judge(permit, error, true);
        throw error;
      }
    },
    close: () => http.close(),
  };
}

/** Each call asks the breaker first. */
export function guardGrpc(grpc: NodeGrpc, options: GuardOptions): NodeGrpc {
  return {
    call: (call) => guarded(options, () => grpc.call(call)),
    close: () => grpc.close(),
  };
}

async function guarded<T>(
  { breaker, timeoutMs, nowMs }: GuardOptions,
  exchange: () => Promise<T>,
): Promise<T> {
  const permit = breaker.enter();
  const startedMs = nowMs();
  try {
    const answer = await exchange();
    permit.answered();
    return answer;
  } catch (error) {
    judge(permit, error, nowMs() - startedMs >= timeoutMs * PATIENT_SHARE);
    throw error;
  }
}

/** Only silence counts. What the node says, though it is a refusal or makes no sense, shows that somebody is there. */
function judge(permit: Permit, error: unknown, waited: boolean): void {
  const code = error instanceof NodeError ? error.code : undefined;
  if (error instanceof NodeError && (code === 'unreachable' || (code === 'timeout' && waited))) {
    permit.failed(error);
  } else if (code === 'protocol') {
    permit.answered();
  } else {
    // `busy`: nothing was sent. An early timeout: the caller did not wait for long.
    permit.released();
  }
}
