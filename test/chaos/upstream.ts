import type { IncomingMessage, ServerResponse } from 'node:http';
import { startUpstream, type TestUpstream } from '../proxy/wire.ts';

/** What the upstream did for one request: its own record, which no gateway can change. */
export interface Served {
  /** The client's name for the request. */
  readonly id: string;
  readonly service: string;
  /** The account that the gateway says has paid. */
  readonly accountId: string;
  /** `began`: the answer was not finished, or its connection went first. */
  end: 'began' | 'finished' | 'refused-on-purpose';
  bytes: number;
  /** From the request to the end of the connection, ms of the run: at no other time can a gateway have delivered it. */
  readonly fromMs: number;
  untilMs: number;
}

/** An upstream that remembers all that it was asked for and gave. */
export interface CountingUpstream {
  readonly origin: string;
  readonly served: readonly Served[];
  close(): Promise<void>;
}

/** Marks an answer as the upstream's own, so that a client can tell it from one of the gateway. */
export const UPSTREAM_MARK = 'x-upstream';
/** Between two events of a stream, ms. */
export const EVENT_EVERY_MS = 50;

const BLOCK = Buffer.alloc(1_000, 'paid for ');

/**
 * Starts it. The path's last segment names the request; the query says what shall happen: `fail=500` refuses, `fail=reset` hangs up,
 * `bytes=n` answers with so many bytes, `slowMs=n` waits in the middle of the answer, `events=1` sends events until the client goes.
 * @param nowMs - ms of the run, monotonic
 */
export async function startCountingUpstream(nowMs: () => number): Promise<CountingUpstream> {
  const served: Served[] = [];
  const upstream: TestUpstream = await startUpstream((req, res) => {
    res.on('error', () => {});
    const url = new URL(req.url ?? '/', 'http://upstream');
    const [, service = '', id = ''] = url.pathname.split('/');
    const times = { fromMs: nowMs(), untilMs: Number.POSITIVE_INFINITY };
    const record: Served = { id, service, accountId: accountOf(req), end: 'began', bytes: 0, ...times };
    served.push(record);
    res.once('close', () => {
      record.untilMs = nowMs();
    });
    req.resume();
    answer(record, url.searchParams, res);
  });
  return { origin: upstream.origin, served, close: () => upstream.close() };
}

function accountOf(req: IncomingMessage): string {
  const header = req.headers['l402-account'];
  return typeof header === 'string' ? header : '';
}

function answer(record: Served, wanted: URLSearchParams, res: ServerResponse): void {
  res.setHeader(UPSTREAM_MARK, '1');
  const fail = wanted.get('fail');
  if (fail !== null) {
    record.end = 'refused-on-purpose';
    if (fail === '500') res.writeHead(500).end('no luck');
    else res.destroy();
    return;
  }
  if (wanted.has('events')) {
    sendEvents(record, res);
    return;
  }
  const bytes = Number(wanted.get('bytes') ?? 64);
  res.writeHead(200, { 'content-type': 'text/plain', 'content-length': bytes });
  const half = Math.ceil(bytes / 2);
  write(record, res, half);
  const finish = (): void => {
    if (res.destroyed) return;
    write(record, res, bytes - half);
    res.end(() => {
      record.end = 'finished';
    });
  };
  const slowMs = Number(wanted.get('slowMs') ?? 0);
  if (slowMs === 0) finish();
  else setTimeout(finish, slowMs);
}

function write(record: Served, res: ServerResponse, bytes: number): void {
  for (let left = bytes; left > 0; left -= BLOCK.length) res.write(BLOCK.subarray(0, left));
  record.bytes += bytes;
}

function sendEvents(record: Served, res: ServerResponse): void {
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  let count = 0;
  const timer = setInterval(() => {
    count += 1;
    const event = `id: ${count}\ndata: ${count}\n\n`;
    record.bytes += event.length;
    res.write(event);
  }, EVENT_EVERY_MS);
  res.once('close', () => clearInterval(timer));
}
