import { formatMsat, type Msat, msat } from '../../node/msat.ts';
import { PaymentError } from '../errors.ts';
import type { PaymentEvent } from '../events.ts';
import type { Balance } from '../follow-account.ts';
import type { StreamSummary } from '../paid-visit.ts';
import { createLines, type ReportMode } from './fetch-report.ts';
import type { Io } from './io.ts';

/** Tells how a stream is being paid for: what is left on one line that is kept up to date, or one JSON object at the end. */
export interface StreamReport {
  readonly onEvent: (event: PaymentEvent) => void;
  readonly onBalance: (balance: Balance) => void;
  /** The status line of the answer. */
  opened(text: string): void;
  /** A piece of the stream is about to be printed: on a terminal it must not stand behind the balance. */
  makeWay(piece: string | Uint8Array): void;
  /** Shows what should be left by now. Called now and then. */
  tick(): void;
  /** The cost, or what went wrong. Called once, last. */
  end(
    exitCode: number,
    summary?: StreamSummary,
    failure?: { readonly error: unknown; readonly message: string },
  ): void;
}

/** Where a line can't be rewritten, one is written this often, ms. */
const LINE_EVERY_MS = 10_000;
const LINE_FEED = 10;
const CLEAR_LINE = '\r\u001b[2K';

/** Makes a report on stderr. `unit` is put behind amounts: ` (PLAY MONEY)` or nothing. */
export function createStreamReport(
  io: Io,
  mode: ReportMode,
  url: string,
  unit: string,
  nowMs: () => number,
): StreamReport {
  const isTerminal = 'isTTY' in io.stderr && io.stderr.isTTY === true && mode === 'progress';
  const toLine = createLines(unit);
  let last: Balance | undefined;
  let lastLineMs = Number.NEGATIVE_INFINITY;
  let isLive = false;
  /** Where the stream goes to the same terminal, its own line may not be finished. */
  const sharesTerminal = isTerminal && 'isTTY' in io.stdout && io.stdout.isTTY === true;
  let isLineOpen = false;
  const say = (line: string): void => {
    io.stderr.write(`${isLive ? CLEAR_LINE : isLineOpen ? '\n' : ''}${line}\n`);
    isLive = false;
    isLineOpen = false;
  };
  const show = (): void => {
    if (last === undefined || mode !== 'progress') return;
    const line = balanceLine(last, unit, nowMs());
    if (isTerminal) {
      if (isLineOpen) return;
      io.stderr.write(`${CLEAR_LINE}${line}`);
      isLive = true;
    } else if (nowMs() - lastLineMs >= LINE_EVERY_MS) {
      lastLineMs = nowMs();
      say(line);
    }
  };
  return {
    onEvent: (event) => {
      const line = toLine(event);
      if (line !== undefined && mode === 'progress') say(line);
    },
    onBalance: (balance) => {
      last = balance;
      show();
    },
    opened: (text) => {
      if (mode === 'progress') say(text);
    },
    makeWay: (piece) => {
      if (!sharesTerminal || piece.length === 0) return;
      if (isLive) io.stderr.write(CLEAR_LINE);
      isLive = false;
      isLineOpen = piece.at(-1) !== (typeof piece === 'string' ? '\n' : LINE_FEED);
    },
    tick: show,
    end: (exitCode, summary, failure) => {
      if (mode === 'json') {
        say(JSON.stringify(toJson(url, exitCode, summary, failure)));
        return;
      }
      if (failure !== undefined) say(`sluice: ${failure.message}`);
      if (mode === 'progress' && summary !== undefined) say(summaryLine(summary, unit));
      else if (isLive) say('');
    },
  };
}

function toJson(
  url: string,
  exitCode: number,
  summary: StreamSummary | undefined,
  failure: { readonly error: unknown; readonly message: string } | undefined,
): object {
  const { error, message } = failure ?? {};
  const code = error instanceof PaymentError ? error.code : 'failed';
  return { url, ...summary, exitCode, ...(failure === undefined ? {} : { error: { code, message } }) };
}

/** What should be left by now: between two words of the gateway it is estimated from the pace. */
function balanceLine({ balanceMsat, msatPerSec, atMs }: Balance, unit: string, nowMs: number): string {
  const spent = ((msatPerSec ?? 0) * Math.max(0, nowMs - atMs)) / 1000;
  const leftMsat = msat(Math.max(0, Math.round(balanceMsat - spent)));
  // To a tenth of a sat, rounded down: what can't be bought any more should not be shown.
  const amount = `balance: ${(Math.floor(leftMsat / 100) / 10).toFixed(1)} sat${unit}`;
  if (msatPerSec === undefined || msatPerSec === 0) return amount;
  return `${amount}, ${formatRate(msatPerSec)}, lasts ${formatDuration((leftMsat / msatPerSec) * 1000)}`;
}

function formatRate(msatPerSec: number): string {
  return `${Number(msatPerSec.toPrecision(3))} msat/s`;
}

/** `42 s`, `3 min 5 s`, `2 h 10 min`. */
export function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function summaryLine(summary: StreamSummary, unit: string): string {
  const { paidMsat, feeMsat, topUps, pendingTopUpMsat, usedMsat, balanceMsat, bytes, elapsedMs } = summary;
  const total = msat(paidMsat + feeMsat);
  const fee = feeMsat === 0 ? '' : ` (fee ${formatMsat(feeMsat)})`;
  const parts = [
    `streamed ${formatBytes(bytes)} in ${formatDuration(elapsedMs)}`,
    `cost: ${formatMsat(total)}${fee}${unit}`,
    ...(topUps === 0 ? [] : [`${topUps} top-up${topUps === 1 ? '' : 's'}`]),
    ...(pendingTopUpMsat === undefined
      ? []
      : [`a top-up of ${formatMsat(pendingTopUpMsat)} is still under way, for the next run`]),
    ...(usedMsat === undefined ? [] : [`${formatMsat(usedMsat as Msat)} used`]),
    ...(balanceMsat === undefined ? [] : [`${formatMsat(balanceMsat)} left on the account`]),
  ];
  return parts.join(', ');
}

function formatBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(1)} KB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
