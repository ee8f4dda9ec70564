import { createInterface } from 'node:readline';
import type { WebSocket } from 'ws';
import { addMsat } from '../../node/msat.ts';
import { connectWithHeader } from '../connect-with-header.ts';
import { type PaidSocket, SocketRefusedError, type SocketSummary } from '../paid-socket.ts';
import type { StreamSummary } from '../paid-visit.ts';
import { EXIT, UsageError } from './exit-codes.ts';
import type { StreamRun, StreamTask } from './stream-task.ts';

const GOING_AWAY = 1001;
const NORMAL = 1000;
/** How long the other side may take to close, ms. */
const CLOSE_TIMEOUT_MS = 2_000;

/**
 * Prints the messages of a WebSocket, and sends the lines of standard input. When it is cut while its top-up was being paid, it is opened
 * again: the messages in between are lost, as with any connection.
 */
export async function runSocket(task: StreamTask): Promise<StreamRun> {
  const lines = createInterface({ input: task.io.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  const sender: { socket?: WebSocket } = {};
  lines.on('line', (line) => {
    if (sender.socket?.readyState === 1) sender.socket.send(line);
  });
  try {
    return await openUntilOver(task, sender);
  } catch (error) {
    if (!(error instanceof SocketRefusedError)) throw error;
    return { exitCode: EXIT.httpError, error: new UsageError(error.message, EXIT.httpError) };
  } finally {
    lines.close();
    // A terminal or a pipe that is read keeps the process alive.
    task.io.stdin.destroy();
  }
}

async function openUntilOver(task: StreamTask, sender: { socket?: WebSocket }): Promise<StreamRun> {
  let total: StreamSummary | undefined;
  for (;;) {
    const opened = await open(task, sender);
    const summary = await opened.done;
    total = total === undefined ? summary : sum(total, summary);
    if (task.stop.aborted) return { exitCode: EXIT.ok, summary: total };
    // Only with new money: a server that closes at once would be asked for ever.
    if (summary.end !== 'cut' || summary.topUps === 0) return { ...judge(summary), summary: total };
  }
}

async function open(task: StreamTask, sender: { socket?: WebSocket }): Promise<PaidSocket<WebSocket>> {
  const { client, url, init, paying, io, report, stop } = task;
  const onMessage = (data: string | Uint8Array): void => {
    const piece = typeof data === 'string' ? `${data}\n` : data;
    report.makeWay(piece);
    const hasRoom = io.stdout.write(piece);
    // What can't be printed is not fetched, and not paid for.
    if (hasRoom || sender.socket === undefined) return;
    const { socket } = sender;
    socket.pause();
    io.stdout.once('drain', () => socket.resume());
  };
  const opened = await client.socket(url, {
    connect: connectWithHeader,
    onMessage,
    headers: init.headers ?? {},
    signal: stop,
    ...paying,
  });
  const { socket } = opened;
  sender.socket = socket;
  report.opened('101 Switching Protocols');
  const close = (): void => {
    socket.close(NORMAL);
    const late = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
    socket.once('close', () => clearTimeout(late));
  };
  const onBroken = (): void => {
    socket.close(GOING_AWAY);
  };
  if (stop.aborted) close();
  stop.addEventListener('abort', close, { once: true });
  io.stdout.once('error', onBroken);
  void opened.done.then(() => {
    stop.removeEventListener('abort', close);
    io.stdout.off('error', onBroken);
  });
  return opened;
}

function judge({ end, code, reason }: SocketSummary): StreamRun {
  if (end === 'complete' || code === 1005) return { exitCode: EXIT.ok };
  const why = reason === '' ? '' : `, ${JSON.stringify(reason)}`;
  const message =
    end === 'cut'
      ? 'The connection was cut because its money ran out.'
      : `The connection broke off (close code ${code}${why}).`;
  return { exitCode: EXIT.partial, error: new UsageError(message, EXIT.partial) };
}

function sum(first: StreamSummary, next: StreamSummary): StreamSummary {
  return {
    ...next,
    bytes: first.bytes + next.bytes,
    elapsedMs: first.elapsedMs + next.elapsedMs,
    paidMsat: addMsat(first.paidMsat, next.paidMsat),
    feeMsat: addMsat(first.feeMsat, next.feeMsat),
    topUps: first.topUps + next.topUps,
    ...(first.usedMsat === undefined || next.usedMsat === undefined
      ? {}
      : { usedMsat: addMsat(first.usedMsat, next.usedMsat) }),
  };
}
