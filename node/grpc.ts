import type { ClientHttp2Session } from 'node:http2';
import type { Waiting } from './bounded-answer.ts';
import { type ConnectOptions, createConnector } from './connect.ts';
import { busyNode, explainExchange } from './explain-exchange.ts';
import { createConnectionWatch } from './grpc/connection-watch.ts';
import { createSessions, type Sessions } from './grpc/sessions.ts';
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
/** A firewall that forgets a connection would swallow the next call. */
const DEFAULT_IDLE_MS = 30_000;

/**
 * Opens a connection to a node's gRPC interface when it is needed. The protocol is "gRPC over HTTP/2", on Node's HTTP/2.
 * @throws NodeError `unreachable` for a URL, certificate or key that is none.
 */
export function createNodeGrpc(options: NodeGrpcOptions): NodeGrpc {
  const { timeoutMs, concurrency, idleMs = DEFAULT_IDLE_MS } = options;
  const url = parseUrl(options.url);
  const connector = createConnector(options, url.hostname, 'h2');
  const sessions = createSessions(url, connector, { longestCallMs: timeoutMs, idleMs });
  const send = createSender(sessions, options);
  let underWay = 0;

  return {
    async call(call) {
      if (underWay >= concurrency) throw busyNode(concurrency);
      underWay += 1;
      try {
        return await send(call);
      } catch (error) {
        throw explainExchange(error, url.host);
      } finally {
        underWay -= 1;
      }
    },
    close: async () => sessions.close(),
  };
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url?.protocol === 'https:') return url;
  throw new NodeError('unreachable', `The node's gRPC URL ${text} is not an https URL.`);
}

type Send = (call: NodeGrpcCall) => Promise<GrpcAnswer>;

/** Sends each call over the connection in use, or over a new one when there is none. */
function createSender(sessions: Sessions, options: NodeGrpcOptions): Send {
  const { timeoutMs, nowMs = () => performance.now() } = options;
  const common = commonHeaders(options);
  const watchCall = createConnectionWatch(sessions, nowMs);

  return ({ path, message, signal }) =>
    new Promise((resolve, reject) => {
      const watch = watchCall();
      const request = { headers: { ...common, ':path': path }, frame: frameOf(message) };
      const limits = { timeoutMs, maxBytes: MAX_ANSWER_BYTES, signal };
      const waiting: Waiting<GrpcAnswer> = {
        resolve(answer) {
          watch.answered();
          resolve(answer);
        },
        reject(error) {
          watch.failed(error);
          reject(error);
        },
        abort: watch.cut,
      };
      const start = (session: ClientHttp2Session): void => {
        watch.started(session);
        call.start(session);
      };
      const begin = (): void => {
        const current = sessions.current();
        if (current !== undefined) start(current);
        else sessions.open().then(start, (error: unknown) => call.fail(error));
      };
      const call = new UnaryCall(request, limits, waiting, { leftOut: sessions.leftOut, again: begin });
      // Unless it was given up before it began.
      if (!call.isOver) begin();
    });
}

function commonHeaders({ metadata, timeoutMs }: NodeGrpcOptions): Readonly<Record<string, string>> {
  return {
    ...metadata,
    ':method': 'POST',
    'content-type': 'application/grpc',
    te: 'trailers',
    // The node stops what nobody waits for any more.
    'grpc-timeout': `${Math.ceil(timeoutMs)}m`,
  };
}
