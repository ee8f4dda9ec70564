import { formatMsat, type Msat, ZERO_MSAT } from '../../node/msat.ts';
import { PaymentError } from '../errors.ts';
import type { PaymentEvent, StreamNotice } from '../events.ts';
import { type Io, say } from './io.ts';
import { printable } from './printable.ts';

/** How much a person wants to read on stderr. */
export type ReportMode = 'progress' | 'json' | 'silent';

/** Tells what a paying request does: lines for a person while it works, or one JSON object at its end. */
export interface FetchReport {
  readonly onEvent: (event: PaymentEvent) => void;
  /** The status line of the answer. */
  answered(response: Response): void;
  /** What is left of an account that was charged as the answer was delivered, msat. */
  left(balanceMsat: Msat): void;
  /** The cost, or what went wrong. Called once, last. */
  end(exitCode: number, failure?: { readonly error: unknown; readonly message: string }): void;
}

interface Tally {
  url: string;
  status?: number;
  service?: string;
  paymentHash?: string;
  reused: boolean;
  paidMsat: Msat;
  feeMsat: Msat;
  balanceMsat?: Msat;
  isMetered?: boolean;
  idempotencyKey?: string;
}

/** Makes a report on stderr. `unit` is put behind amounts: ` (PLAY MONEY)` or nothing. */
export function createFetchReport(io: Io, mode: ReportMode, url: string, unit: string): FetchReport {
  const tally: Tally = { url, reused: false, paidMsat: ZERO_MSAT, feeMsat: ZERO_MSAT };
  const progress = (line: string): void => {
    if (mode === 'progress') say(io, line);
  };
  const toLine = createLines(unit);
  return {
    onEvent: (event) => {
      count(tally, event);
      const line = toLine(event);
      if (line !== undefined) progress(line);
    },
    answered: (response) => progress(`${response.status} ${response.statusText}`.trimEnd()),
    left: (balanceMsat) => {
      tally.balanceMsat = balanceMsat;
    },
    end: (exitCode, failure) => {
      if (mode === 'json') {
        const { error, message } = failure ?? {};
        const code = error instanceof PaymentError ? error.code : 'failed';
        say(
          io,
          JSON.stringify({
            ...tally,
            exitCode,
            ...(failure === undefined ? {} : { error: { code, message } }),
          }),
        );
        return;
      }
      if (failure !== undefined) say(io, `sluice: ${failure.message}`);
      progress(costLine(tally, unit));
    },
  };
}

function count(tally: Tally, event: PaymentEvent): void {
  if (event.type === 'quote')
    Object.assign(tally, { service: event.service, paymentHash: event.paymentHash });
  if (event.type === 'reusing') {
    Object.assign(tally, { reused: true, service: event.service, paymentHash: event.paymentHash });
  }
  if (event.type === 'paid' && !event.recovered) {
    // Counted here and not at the answer: the money is gone also when no answer comes.
    tally.paidMsat = (tally.paidMsat + event.amountMsat) as Msat;
    tally.feeMsat = (tally.feeMsat + event.feeMsat) as Msat;
  }
  if (event.type === 'answered') {
    const { url, status, balanceMsat, isMetered, idempotencyKey } = event;
    Object.assign(tally, { url, status, ...(balanceMsat === undefined ? {} : { balanceMsat }) });
    if (isMetered) tally.isMetered = true;
    if (idempotencyKey !== undefined) tally.idempotencyKey = idempotencyKey;
  }
}

const NOTICE_LINES: Readonly<Partial<Record<StreamNotice, string>>> = {
  exhausted: 'the money is used up; the stream is held …',
  resumed: 'the stream goes on',
  revoked: 'the account was revoked by the operator',
};

/** Turns events into lines for a person; `undefined` for what is not worth one. */
export function createLines(unit: string): (event: PaymentEvent) => string | undefined {
  let isToppingUp = false;
  return (event) => {
    // The invoice of a top-up is no 402: `topping up` has said it all.
    const isAsked = isToppingUp && event.type === 'quote';
    if (event.type === 'topping-up') isToppingUp = true;
    if (event.type === 'topped-up' || event.type === 'top-up-failed') isToppingUp = false;
    return isAsked ? undefined : lineOf(event, unit);
  };
}

function lineOf(event: PaymentEvent, unit: string): string | undefined {
  switch (event.type) {
    case 'quote':
      return `402 Payment Required: ${formatMsat(event.amountMsat)}${unit} (${printable(event.service || event.memo, 100)}) …`;
    case 'waiting':
      return 'no final answer from the wallet yet; asking what became of the payment …';
    case 'paid':
      return event.recovered
        ? `an earlier run paid ${formatMsat(event.amountMsat)}${unit} for this already …`
        : `paid ${formatMsat(event.amountMsat)} + ${formatMsat(event.feeMsat)} fee${unit} …`;
    case 'reusing':
      return `trying a token that was bought before${event.service === '' ? '' : ` (${printable(event.service, 100)})`} …`;
    case 'throttled':
      return `too many requests at once from here; asking again in ${Math.ceil(event.pauseMs / 1000)} s …`;
    case 'repeating':
      return 'the answer was lost; asking again, free …';
    case 'topping-up':
      return `topping up by ${formatMsat(event.amountMsat)}${unit}; ${formatMsat(event.balanceMsat)} left …`;
    case 'topped-up':
      return `topped up; ${formatMsat(event.balanceMsat)}${unit} on the account`;
    case 'top-up-failed':
      return event.again ? `${event.message} Trying again …` : `no more top-ups: ${event.message}`;
    case 'notice':
      return NOTICE_LINES[event.notice];
    case 'reopening':
      return 'the stream was cut just before its top-up; opening it again …';
    case 'store-failed':
      return `warning: ${event.message}`;
    default:
      return undefined;
  }
}

function costLine(tally: Tally, unit: string): string {
  const total = (tally.paidMsat + tally.feeMsat) as Msat;
  const fee = tally.feeMsat === 0 ? '' : ` (fee ${formatMsat(tally.feeMsat)})`;
  return `cost: ${formatMsat(total)}${fee}${unit}${leftOf(tally)}`;
}

function leftOf({ balanceMsat, isMetered, status = 0 }: Tally): string {
  if (balanceMsat !== undefined) return `, ${formatMsat(balanceMsat)} left on the account`;
  return isMetered && status < 400 ? ', and what the answer did not use of the account stays on it' : '';
}
