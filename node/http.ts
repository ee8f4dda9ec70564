import { type Dispatcher, Pool } from 'undici';
import { type ConnectOptions, createConnector } from './connect.ts';
import { busyNode, explainExchange } from './explain-exchange.ts';
import { exchangeJson, type JsonAnswer } from './json-exchange.ts';
import { NodeError } from './node.ts';

/** How to reach a node's HTTP interface. */
export interface NodeHttpOptions extends ConnectOptions {
  /** Origin and optional base path. */
  readonly url: string;
  /** Sent with every request; may hold secrets, which appear in no error. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bound on one exchange, ms. */
  readonly timeoutMs: number;
  /** Exchanges under way at once; one more is refused as `busy`. */
  readonly concurrency: number;
}

/** One exchange. */
export interface NodeRequest {
  readonly method: 'GET' | 'POST';
  /** With the query. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** Answers over this are refused, bytes. */
  readonly maxBytes?: number;
}

/** A complete answer; `body` is JSON, or `undefined` when it was none. */
export type NodeAnswer = JsonAnswer;

/** A request whose answer comes line by line. */
export interface NodeStreamRequest extends NodeRequest {
  readonly signal: AbortSignal;
  /** Lines for which it says no are dropped before they become text; absent: all are read. */
  readonly keeps?: (line: Buffer) => boolean;
  /** What becomes of a line that is too long: `refuse`, the default, ends the answer with an error. */
  readonly longLines?: 'refuse' | 'skip';
}

/** An answer that comes line by line. */
export interface NodeLines {
  readonly status: number;
  /** Rejects with NodeError when the connection is lost or a line is too long. */
  readonly lines: AsyncIterable<string>;
}

/** JSON over HTTP with every wait and every size bounded. Rejects with {@link NodeError} and nothing else. */
export interface NodeHttp {
  exchange(request: NodeRequest): Promise<NodeAnswer>;
  /** A streaming answer. Only `signal` bounds its duration; connecting is bounded by `timeoutMs`. */
  stream(request: NodeStreamRequest): Promise<NodeLines>;
  close(): Promise<void>;
}

const MAX_ANSWER_BYTES = 1024 * 1024;
const MAX_LINE_BYTES = 1024 * 1024;
/** A line that is skipped ends somewhere, too. */
const MAX_SKIPPED_BYTES = 32 * 1024 * 1024;

/**
 * How long an idle connection is kept, ms: a new one costs both sides a TLS handshake, which a lone challenge would wait for. LND never
 * closes one; the usual proxies before it do after a minute, and must not do so while we send.
 */
const KEEP_ALIVE_MS = 30_000;

/** Opens connections to a node when they are needed. @throws NodeError `unreachable` for a URL, certificate or key that is none. */
export function createNodeHttp(options: NodeHttpOptions): NodeHttp {
  const url = URL.parse(options.url);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new NodeError('unreachable', `The node's URL ${options.url} is not an http or https URL.`);
  }
  const basePath = url.pathname.replace(/\/+$/, '');
  const common = { connect: createConnector(options, url.hostname), pipelining: 1, allowH2: false } as const;
  // A feed or a payment holds its connection for long: it must not take one from the short exchanges.
  const short = new Pool(url.origin, {
    ...common,
    connections: options.concurrency,
    keepAliveTimeout: KEEP_ALIVE_MS,
  });
  const long = new Pool(url.origin, {
    ...common,
    connections: options.concurrency,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const host = url.host;
  let underWay = 0;
  let streaming = 0;

  const headers = Object.entries({
    ...options.headers,
    'content-type': 'application/json',
    accept: 'application/json',
  }).flat();
  const dispatched = ({ method, path, body }: NodeRequest) => ({
    method,
    path: basePath + path,
    headers,
    body: body === undefined ? null : JSON.stringify(body),
  });

  return {
    async exchange(request) {
      if (underWay >= options.concurrency) throw busyNode(options.concurrency);
      underWay += 1;
      const { signal, maxBytes = MAX_ANSWER_BYTES } = request;
      try {
        const limits = { timeoutMs: options.timeoutMs, maxBytes, signal };
        return await exchangeJson(short, dispatched(request), limits);
      } catch (error) {
        throw explainExchange(error, host);
      } finally {
        underWay -= 1;
      }
    },
    async stream(request) {
      if (streaming >= options.concurrency) throw busyNode(options.concurrency);
      streaming += 1;
      const release = (): void => {
        streaming -= 1;
      };
      try {
        const response = await long.request({ ...dispatched(request), signal: request.signal });
        return { status: response.statusCode, lines: readLines(response, host, release, request) };
      } catch (error) {
        release();
        throw explainExchange(error, host);
      }
    },
    async close() {
      await Promise.all([short.destroy(), long.destroy()]);
    },
  };
}

async function* readLines(
  response: Dispatcher.ResponseData,
  host: string,
  release: () => void,
  { keeps = () => true, longLines = 'refuse' }: Pick<NodeStreamRequest, 'keeps' | 'longLines'>,
): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  let skipping = false;
  let skippedBytes = 0;
  try {
    for await (const chunk of response.body) {
      const bytes: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let start = 0;
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
        const line = bytes.subarray(start, end);
        if (skipping) skipping = false;
        else if (line.length > 0 && keeps(line)) yield line.toString('utf8');
        start = end + 1;
      }
      rest = bytes.subarray(start);
      if (start > 0) skippedBytes = 0;
      if (rest.length > MAX_LINE_BYTES) skipping = true;
      if (!skipping) continue;
      skippedBytes += rest.length;
      rest = Buffer.alloc(0);
      const mostBytes = longLines === 'skip' ? MAX_SKIPPED_BYTES : MAX_LINE_BYTES;
      if (skippedBytes > mostBytes) {
        throw new NodeError('protocol', `The node sent a line longer than ${mostBytes} bytes.`);
      }
    }
    if (rest.length > 0 && keeps(rest)) yield rest.toString('utf8');
  } catch (error) {
    throw explainExchange(error, host);
  } finally {
    release();
    response.body.destroy();
  }
}
