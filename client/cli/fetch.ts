import { constants, createWriteStream } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { formatMsat } from '../../node/msat.ts';
import { askRemainder } from '../ask-remainder.ts';
import { createBudget } from '../budget.ts';
import { PaymentError } from '../errors.ts';
import type { PaymentListener, Quote } from '../events.ts';
import { createFileTokenStore } from '../file-token-store.ts';
import { isMetered } from '../note-answer.ts';
import { openShop, type PayingFetchOptions } from '../open-shop.ts';
import { payAndSend, type Visited } from '../pay-and-send.ts';
import { createPayingFetch } from '../paying-fetch.ts';
import { readChunks } from '../read-chunks.ts';
import { MAX_REPLAY_BYTES, toReplayableRequest } from '../replayable-request.ts';
import { createMemoryTokenStore } from '../token-store.ts';
import type { Shop } from '../visit.ts';
import type { Wallet } from '../wallet.ts';
import { addRequestOptions, type RequestOptions, toRequest } from './curl-request.ts';
import { describeFailure, EXIT, UsageError } from './exit-codes.ts';
import { createFetchReport, type FetchReport, type ReportMode } from './fetch-report.ts';
import type { Io } from './io.ts';
import { addWalletOptions, type OpenedWallet, openWallet, type WalletOptions } from './open-wallet.ts';
import { parseSats } from './parse-sats.ts';

interface FetchOptions extends RequestOptions, WalletOptions {
  readonly maxSats: string;
  readonly maxTime?: string;
  readonly json?: boolean;
  readonly dryRun?: boolean;
  readonly output?: string;
  readonly include?: boolean;
  readonly silent?: boolean;
  readonly fail?: boolean;
}

/** A person needs longer to pay than a node. */
const QR_TIMEOUT_MS = 15 * 60_000;
const PAY_TIMEOUT_MS = 60_000;

/** Adds `sluice fetch URL`. */
export function registerFetch(program: Command, io: Io): void {
  const command = program
    .command('fetch')
    .description('ask a URL and pay when it asks for payment; the body goes to stdout, the cost to stderr')
    .argument('<url>', 'what to ask; http:// is assumed')
    .option('--max-sats <sats>', 'the most to spend on this request, fees included', '1000')
    .option('--dry-run', 'say what it would cost and pay nothing')
    .option('--json', 'one JSON object on stderr at the end, in place of the progress')
    .option('-o, --output <file>', 'write the body to a file')
    .option('-i, --include', 'print the headers of the answer before its body')
    .option('-s, --silent', 'nothing on stderr but errors')
    .option('-f, --fail', 'end with code 22 on an HTTP error, and print no body')
    .option('-m, --max-time <seconds>', 'the longest that all of it may take');
  addWalletOptions(addRequestOptions(command), ['simulated', 'lnd', 'qr']);
  command
    .addHelpText('after', EXIT_HELP)
    .action((url: string, options: FetchOptions) => runFetch(url, options, io));
}

const EXIT_HELP = `
Exit codes: 0 done, 2 usage, 3 URL, 6 DNS, 7 connect, 18 answer cut off, 22 HTTP error with -f, 23 write, 26 read,
28 time over, 56 receive, 60 TLS; 110 payment refused here, 111 the wallet did not pay, 112 payment not final yet,
113 paid and not answered, 114 token store, 130 interrupted. After 110 and 111 nothing was paid; after 112 and 113 run it again.`;

async function runFetch(target: string, options: FetchOptions, io: Io): Promise<void> {
  const mode: ReportMode = options.json === true ? 'json' : options.silent === true ? 'silent' : 'progress';
  const unit = options.wallet === 'simulated' ? ' (PLAY MONEY)' : '';
  const report = createFetchReport(io, mode, target, unit);
  const aborter = new AbortController();
  const stopListening = io.onInterrupt(() => aborter.abort());
  let exitCode: number = EXIT.ok;
  try {
    exitCode = await fetchAndPrint(target, options, io, report, aborter.signal);
    report.end(exitCode);
  } catch (error) {
    const failure = aborter.signal.aborted ? INTERRUPTED : describeFailure(error);
    exitCode = failure.exitCode;
    report.end(exitCode, { error, message: failure.message });
  } finally {
    stopListening();
    io.setExitCode(exitCode);
  }
  // What is left is a payment under way. It is written down, and its wallet finishes it.
  if (aborter.signal.aborted || exitCode === EXIT.timeout) io.exit(exitCode);
}

const INTERRUPTED = {
  exitCode: EXIT.interrupted,
  message:
    'Interrupted. A payment that was under way is written down: run the same again and it is not paid twice.',
};

async function fetchAndPrint(
  target: string,
  options: FetchOptions,
  io: Io,
  report: FetchReport,
  interrupt: AbortSignal,
): Promise<number> {
  const { url, init } = await toRequest(target, options, io);
  const signals = [interrupt, ...timeLimit(options.maxTime)];
  const settings = { ...init, signal: AbortSignal.any(signals) };
  if (options.dryRun === true) return dryRun(url, settings, options, io, report);
  await checkOutput(options, io);
  const shop = openShop(shopOptions(options, io, await openWallet(options, io), report.onEvent));
  const visited = await payAndSend(shop, await toReplayableRequest(url, settings, MAX_REPLAY_BYTES));
  const { response } = visited;
  report.answered(response);
  try {
    if (options.fail === true && response.status >= 400) {
      await response.body?.cancel();
      return EXIT.httpError;
    }
    await printAnswer(response, options, io);
    return EXIT.ok;
  } finally {
    if (options.silent !== true) await tellRemainder(shop, visited, report, settings.signal);
  }
}

/** Of what was charged as it was delivered the head of the answer did not know what would be left. */
async function tellRemainder(
  shop: Shop,
  { token, response }: Visited,
  report: FetchReport,
  signal: AbortSignal,
): Promise<void> {
  if (token === undefined || signal.aborted || !isMetered(response, token)) return;
  const balanceMsat = await askRemainder(shop, token, signal);
  if (balanceMsat !== undefined) report.left(balanceMsat);
}

function timeLimit(seconds: string | undefined): readonly AbortSignal[] {
  if (seconds === undefined) return [];
  if (!/^\d{1,6}(\.\d{1,3})?$/.test(seconds) || Number(seconds) === 0) {
    throw new UsageError('--max-time takes a number of seconds.');
  }
  return [AbortSignal.timeout(Number(seconds) * 1000)];
}

function shopOptions(
  options: FetchOptions,
  io: Io,
  { wallet }: OpenedWallet<Wallet>,
  onEvent: PaymentListener,
): PayingFetchOptions {
  return {
    wallet,
    budget: createBudget({ perRequestMsat: parseSats('--max-sats', options.maxSats) }),
    store: createFileTokenStore({ file: join(resolve(io.cwd, options.data), 'tokens.json') }),
    payTimeoutMs: options.wallet === 'qr' ? QR_TIMEOUT_MS : PAY_TIMEOUT_MS,
    onEvent,
  };
}

/** Asks without any token, so that nothing is spent, and stops at the price. */
async function dryRun(
  url: URL,
  init: RequestInit,
  options: FetchOptions,
  io: Io,
  report: FetchReport,
): Promise<number> {
  let quote: Quote | undefined;
  const askingFetch = createPayingFetch({
    wallet: NO_WALLET,
    budget: createBudget({ perRequestMsat: parseSats('--max-sats', options.maxSats) }),
    store: createMemoryTokenStore(),
    onEvent: report.onEvent,
    approve: (asked) => {
      quote = asked;
      return false;
    },
  });
  try {
    const response = await askingFetch(url, init);
    await response.body?.cancel();
    io.stdout.write(`nothing to pay: ${response.status} ${response.statusText}\n`);
  } catch (error) {
    if (!(error instanceof PaymentError) || error.code !== 'declined' || quote === undefined) throw error;
    io.stdout.write(`would pay ${formatMsat(quote.amountMsat)}\n`);
  }
  return EXIT.ok;
}

const NO_WALLET: Wallet = {
  payInvoice: () => Promise.reject(new Error('A dry run pays nothing.')),
  lookupPayment: async () => undefined,
};

/** Whether the answer will have a place, before it is paid for; the file itself is made when the answer is there. */
async function checkOutput({ output }: FetchOptions, io: Io): Promise<void> {
  if (output === undefined || output === '-') return;
  const file = resolve(io.cwd, output);
  const isThere = await stat(file).catch(() => undefined);
  try {
    if (isThere?.isDirectory() === true) throw new Error(`${output} is a folder`);
    // With a slash at its end it must be a folder.
    await access(isThere === undefined ? `${dirname(file)}/` : file, constants.W_OK);
  } catch (error) {
    const { message } = describeFailure(error);
    throw new UsageError(`The answer can't be written: ${message}. Nothing was paid.`, EXIT.write);
  }
}

async function printAnswer(response: Response, options: FetchOptions, io: Io): Promise<void> {
  const file =
    options.output === undefined || options.output === '-' ? undefined : resolve(io.cwd, options.output);
  const target = file === undefined ? io.stdout : createWriteStream(file);
  const writing = { failed: false };
  target.once('error', () => {
    writing.failed = true;
  });
  try {
    if (options.include === true) target.write(headText(response));
    await pipeline(Readable.from(readChunks(response.body)), target, { end: file !== undefined });
  } catch (error) {
    const { exitCode, message } = describeFailure(error);
    if (writing.failed) throw new UsageError(`The answer can't be written: ${message}.`, EXIT.write);
    if (exitCode === EXIT.timeout) throw error;
    throw new UsageError(`The answer was cut off (${message}).`, EXIT.partial);
  }
}

function headText(response: Response): string {
  const lines = [...response.headers].map(([name, value]) => `${name}: ${value}`);
  return `HTTP/1.1 ${response.status} ${response.statusText}\r\n${[...lines, '', ''].join('\r\n')}`;
}
