import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { createBudget } from '../budget.ts';
import { createFileTokenStore } from '../file-token-store.ts';
import { createPayingClient, type PayingClient } from '../paying-client.ts';
import { readChunks } from '../read-chunks.ts';
import type { TopUpRule } from '../top-up-rule.ts';
import { addRequestOptions, type RequestOptions, toRequest } from './curl-request.ts';
import { describeFailure, EXIT, UsageError } from './exit-codes.ts';
import type { ReportMode } from './fetch-report.ts';
import type { Io } from './io.ts';
import { addWalletOptions, openWallet, type WalletOptions } from './open-wallet.ts';
import { parseDuration } from './parse-duration.ts';
import { parseSats } from './parse-sats.ts';
import { createStreamReport, type StreamReport } from './stream-report.ts';
import { runSocket } from './stream-socket.ts';
import type { StreamRun, StreamTask } from './stream-task.ts';

interface StreamOptions extends RequestOptions, WalletOptions {
  readonly maxSats: string;
  /** `false` with --no-topup. */
  readonly topup?: string | false;
  readonly for?: string;
  readonly json?: boolean;
  readonly silent?: boolean;
  readonly fail?: boolean;
}

const QR_TIMEOUT_MS = 15 * 60_000;
const PAY_TIMEOUT_MS = 60_000;
const TICK_MS = 1_000;

/** Adds `sluice stream URL`. */
export function registerStream(program: Command, io: Io): void {
  const command = program
    .command('stream')
    .description(
      'follow a stream that is charged as it comes, and top it up; the stream goes to stdout, the balance to stderr',
    )
    .argument('<url>', 'http(s):// or ws(s)://; http:// is assumed')
    .option('--max-sats <sats>', 'the most to spend in all, fees included', '1000')
    .option('--topup <sats>', 'how much to add each time (default: what the first payment bought)')
    .option('--no-topup', 'end when the first payment is used up')
    .option('--for <time>', 'end after this time: 30s, 5m, 1h')
    .option('--json', 'one JSON object on stderr at the end, in place of the progress')
    .option('-s, --silent', 'nothing on stderr but errors')
    .option('-f, --fail', 'end with code 22 on an HTTP error, and print no body');
  addWalletOptions(addRequestOptions(command), ['simulated', 'lnd', 'qr']);
  command
    .addHelpText('after', HELP)
    .action((url: string, options: StreamOptions) => runStream(url, options, io));
}

const HELP = `
With a ws:// URL each message is printed on a line, and each line of standard input is sent as one.
Ctrl-C ends the stream and its charge; what is left on the account is used by the next run.
Exit codes: as sluice fetch; 18 when the stream was cut because its money ran out.`;

async function runStream(target: string, options: StreamOptions, io: Io): Promise<void> {
  const mode: ReportMode = options.json === true ? 'json' : options.silent === true ? 'silent' : 'progress';
  const unit = options.wallet === 'simulated' ? ' (PLAY MONEY)' : '';
  const report = createStreamReport(io, mode, target, unit, Date.now);
  const stop = new AbortController();
  let wasInterrupted = false;
  const stopListening = io.onInterrupt(() => {
    wasInterrupted = true;
    stop.abort();
  });
  const ticking = setInterval(report.tick, TICK_MS);
  const run = await runTask(target, options, io, report, stop).catch((error: unknown) => ({
    exitCode: describeFailure(error).exitCode,
    error,
  }));
  clearInterval(ticking);
  stopListening();
  const exitCode = wasInterrupted ? EXIT.interrupted : run.exitCode;
  const isFailure = run.error !== undefined && !stop.signal.aborted;
  const failure = isFailure ? { error: run.error, message: describeFailure(run.error).message } : undefined;
  report.end(exitCode, 'summary' in run ? run.summary : undefined, failure);
  io.setExitCode(exitCode);
  // What is left is a payment under way. It is written down, and its wallet finishes it.
  if (stop.signal.aborted) io.exit(exitCode);
}

async function runTask(
  target: string,
  options: StreamOptions,
  io: Io,
  report: StreamReport,
  stop: AbortController,
): Promise<StreamRun> {
  const isSocket = /^wss?:\/\//i.test(target);
  const { url, init } = await toRequest(isSocket ? target.replace(/^ws/i, 'http') : target, options, io);
  if (isSocket && init.method !== 'GET') {
    throw new UsageError('A WebSocket is opened with GET, and has no body: leave -X, -I and -d out.');
  }
  const autoTopUp = toRule(options.topup);
  const timeMs = options.for === undefined ? undefined : parseDuration('--for', options.for);
  const client = await openClient(options, io, report);
  const ending = timeMs === undefined ? undefined : setTimeout(() => stop.abort(), timeMs);
  const task: StreamTask = {
    client,
    url,
    init,
    paying: { autoTopUp, onBalance: report.onBalance },
    io,
    report,
    stop: stop.signal,
    fail: options.fail === true,
  };
  try {
    return await (isSocket ? runSocket(task) : runBody(task));
  } finally {
    clearTimeout(ending);
  }
}

function toRule(topup: string | false | undefined): TopUpRule | false {
  if (topup === false) return false;
  return topup === undefined ? {} : { amountMsat: parseSats('--topup', topup) };
}

async function openClient(options: StreamOptions, io: Io, report: StreamReport): Promise<PayingClient> {
  const limitMsat = parseSats('--max-sats', options.maxSats);
  const { wallet } = await openWallet(options, io);
  return createPayingClient({
    wallet,
    // The total too: a WebSocket that is opened again is another request.
    budget: createBudget({ perRequestMsat: limitMsat, totalMsat: limitMsat }),
    store: createFileTokenStore({ file: join(resolve(io.cwd, options.data), 'tokens.json') }),
    payTimeoutMs: options.wallet === 'qr' ? QR_TIMEOUT_MS : PAY_TIMEOUT_MS,
    onEvent: report.onEvent,
  });
}

async function runBody(task: StreamTask): Promise<StreamRun> {
  const { client, url, init, paying, report, stop, fail } = task;
  const stream = await client.stream(url, { ...init, ...paying, signal: stop });
  const { response } = stream;
  report.opened(`${response.status} ${response.statusText}`.trimEnd());
  if (fail && response.status >= 400) {
    await stream.close();
    return { exitCode: EXIT.httpError };
  }
  try {
    await printBody(response, task);
    return { exitCode: EXIT.ok, summary: await stream.done };
  } catch (error) {
    // Whatever went wrong, nothing more is to be charged.
    await stream.close();
    const summary = await stream.done;
    return stop.aborted ? { exitCode: EXIT.ok, summary } : { ...toFailure(error), summary };
  }
}

async function printBody(response: Response, { io, report }: StreamTask): Promise<void> {
  const writing = { failed: false };
  // Stays: a write that fails late must not end the process before the charge is ended.
  io.stdout.on('error', () => {
    writing.failed = true;
  });
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of readChunks(response.body)) {
      report.makeWay(piece);
      yield piece;
    }
  };
  try {
    await pipeline(Readable.from(pieces()), io.stdout, { end: false });
  } catch (error) {
    if (!writing.failed) throw error;
    throw new UsageError(`The stream can't be written: ${describeFailure(error).message}.`, EXIT.write);
  }
}

function toFailure(error: unknown): StreamRun {
  const { exitCode, message } = describeFailure(error);
  if (exitCode !== EXIT.receive) return { exitCode, error };
  return {
    exitCode: EXIT.partial,
    error: new UsageError(`The stream broke off (${message}).`, EXIT.partial),
  };
}
