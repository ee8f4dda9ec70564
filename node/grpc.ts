import type { ClientHttp2Session } from 'node:http2';
import { ExchangeCut, type ExchangeLimits } from './bounded-answer.ts';
import { type ConnectOptions, codeOf, createConnector } from './connect.ts';
import { busyNode, explainExchange } from './explain-exchange.ts';
import { createSessions } from './grpc/sessions.ts';
import { frameOf, type GrpcAnswer, UnaryCall } from './grpc/unary-call.ts';
import { NodeError } from './node.ts';

export type { GrpcAnswer } from './grpc/unary-call.ts';

/** How to reach a node's gRPC interface. */
export interface NodeGrpcOptions extends ConnectOptions {
  /** `https://host:10009`. */
  readonly url: string;
  /** Sent with every call; may hold secrets, which appear in no error. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Bound on one call, ms. */
  readonly timeoutMs: number;
  /** Calls under way at once; one more is refused as `busy`. */
  readonly concurrency: number;
  /** How long a connection on which nothing happens is kept, ms. Default 30,000. */
  readonly idleMs?: number;
  /** A clock that never goes back, ms. Default: `performance.now`. */
  readonly nowMs?: () => number;
}

/** One unary call. */
export interface NodeGrpcCall {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** As protobuf has it. */
  readonly message: Uint8Array;
  readonly signal?: AbortSignal | undefined;
}

/** Unary gRPC with every wait and every size bounded. Rejects with {@link NodeError} and nothing else. */
export interface NodeGrpc {
  call(call: NodeGrpcCall): Promise<GrpcAnswer>;
  close(): Promise<void>;
}

const MAX_ANSWER_BYTES = 1024 * 1024;
/** A caller that did not wait so long tells nothing about the connection. */
const SILENCE_MS = 1_000;
/** A firewall that forgets a connection would swallow the next call. */
const DEFAULT_IDLE_MS = 30_000;

/**
 * Opens a connection to a node's gRPC interface when it is needed. The protocol is "gRPC over HTTP/2", on Node's HTTP/2.
 * @throws NodeError `unreachable` for a URL, certificate or key that is none.
 */
export function createNodeGrpc(options: NodeGrpcOptions): NodeGrpc {
  const { timeoutMs, concurrency, idleMs = DEFAULT_IDLE_MS, nowMs = () => performance.now() } = options;
  const url = URL.parse(options.url);
  if (url?.protocol !== 'https:') {
    throw new NodeError('unreachable', `The node's gRPC URL ${options.url} is not an https URL.`);
  }
  const connector = createConnector(options, url.hostname, 'h2');
  const sessions = createSessions(url, connector, { longestCallMs: timeoutMs, idleMs });
  const common = {
    ...options.metadata,
    ':method': 'POST',
    'content-type': 'application/grpc',
    te: 'trailers',
    // The node stops what nobody waits for any more.
    'grpc-timeout': `${Math.ceil(timeoutMs)}m`,
  };
  let underWay = 0;
  /** Answers so far, of all calls: what tells a slow call from a connection that is dead. */
  let answers = 0;

  const send = ({ path, message, signal }: NodeGrpcCall): Promise<GrpcAnswer> =>
    new Promise((resolve, reject) => {
      const answersBefore = answers;
      let used: { readonly session: ClientHttp2Session; readonly sinceMs: number } | undefined;
      const abort = (error: Error): void => {
        if (used === undefined || !(error instanceof ExchangeCut) || answers !== answersBefore) return;
        // A challenge has a bound of its own, which is shorter than that of a call.
        const isSilent = error.reason === 'over' || nowMs() - used.sinceMs >= SILENCE_MS;
        if (isSilent) sessions.retire(used.session);
      };
      const fail = (error: Error): void => {
        // Node leaves a session open that has no numbers left for calls.
        if (used !== undefined && codeOf(error) === 'ERR_HTTP2_OUT_OF_STREAMS') sessions.retire(used.session);
        reject(error);
      };
      const limits: ExchangeLimits = { timeoutMs, maxBytes: MAX_ANSWER_BYTES, signal };
      const request = { headers: { ...common, ':path': path }, frame: frameOf(message) };
      const call = new UnaryCall(request, limits, { resolve, reject: fail, abort });
      // It was given up before it began.
      if (call.isOver) return;
      const start = (session: ClientHttp2Session): void => {
        used = { session, sinceMs: nowMs() };
        call.start(session);
      };
      const current = sessions.current();
      if (current !== undefined) start(current);
      else sessions.open().then(start, (error: unknown) => call.fail(error));
    });

  return {
    async call(call) {
      if (underWay >= concurrency) throw busyNode(concurrency);
      underWay += 1;
      try {
        const answer = await send(call);
        answers += 1;
        return answer;
      } catch (error) {
        throw explainExchange(error, url.host);
      } finally {
        underWay -= 1;
      }
    },
    close: async () => sessions.close(),
  };
}
