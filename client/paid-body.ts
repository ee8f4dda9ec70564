import { PaymentError } from './errors.ts';
import type { AccountFollower } from './follow-account.ts';
import { NOTICES } from './follow-feed.ts';
import { SseReader } from './sse.ts';

/** How a stream ended. */
export type StreamEnd = 'complete' | 'closed' | 'cut' | 'failed';

/** The body of a paid answer, and what can be done about its end. */
export interface BodyToFollow {
  readonly response: Response;
  /** Absent: nothing is charged as it goes. */
  readonly follower: AccountFollower | undefined;
  /** Opens the stream anew after an event; `undefined` when the server does not. */
  readonly reopen: (lastEventId: string) => Promise<Response | undefined>;
  /** Aborts when the caller ends the stream. */
  readonly closed: AbortSignal;
  /** Called once, last. */
  readonly onEnd: (end: StreamEnd, bytes: number) => void;
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

/** What an account must hold for an end not to be taken for a cut: a stream needs its next moment, ms. */
const NEXT_MOMENT_MS = 1_000;

interface Pipe extends BodyToFollow {
  reader: Reader | undefined;
  /** Server-Sent Events are passed on in whole events, so that a cut one is not followed by another one's rest. */
  readonly sse: SseReader | undefined;
  /** Top-ups that were credited before the stream was opened (again). */
  creditedBefore: number;
  /** The last event said that the stream is over. */
  saidOver: boolean;
  bytes: number;
  ended: boolean;
}

/** Passes a body on, listens to what the gateway says in it, and tells a cut from an end. */
export function followBody(options: BodyToFollow): ReadableStream<Uint8Array> {
  const { response, follower, onEnd } = options;
  const isSse = /^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '');
  const pipe: Pipe = {
    ...options,
    reader: response.body?.getReader(),
    sse: isSse && follower !== undefined ? new SseReader() : undefined,
    creditedBefore: 0,
    saidOver: false,
    bytes: 0,
    ended: false,
  };
  const finish = (end: StreamEnd): void => {
    if (pipe.ended) return;
    pipe.ended = true;
    onEnd(end, pipe.bytes);
  };
  if (pipe.reader === undefined) finish('complete');
  // Also when nobody reads: the charge is over.
  options.closed.addEventListener('abort', () => finish('closed'), { once: true });
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const step = await nextStep(pipe);
        if (step.kind === 'bytes') return controller.enqueue(step.bytes);
        finish(step.end);
        if (step.error === undefined) controller.close();
        else controller.error(step.error);
      },
      cancel: async (reason) => {
        await pipe.reader?.cancel(reason).catch(() => undefined);
        finish('closed');
      },
    },
    // Nothing is read ahead: what is not wanted is not paid for.
    { highWaterMark: 0 },
  );
}

type Step =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly end: StreamEnd; readonly error?: unknown };

async function nextStep(pipe: Pipe): Promise<Step> {
  for (;;) {
    let error: unknown;
    try {
      const result = await pipe.reader?.read();
      if (result !== undefined && !result.done) {
        const bytes = take(pipe, result.value);
        if (bytes.length > 0) return { kind: 'bytes', bytes };
        continue;
      }
    } catch (cause) {
      error = cause ?? new Error('The stream broke off.');
    }
    if (pipe.closed.aborted) return { kind: 'end', end: 'closed', error: pipe.closed.reason };
    const end = await judgeEnd(pipe, error);
    if (end !== 'reopened') return end;
  }
}

/** The part of a chunk that can be passed on: all of it, or for events up to the last whole one. */
function take(pipe: Pipe, chunk: Uint8Array): Uint8Array {
  pipe.bytes += chunk.length;
  if (pipe.sse === undefined) return chunk;
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (const { bytes, event } of pipe.sse.push(chunk)) {
    pieces.push(bytes);
    length += bytes.length;
    if (event === undefined) continue;
    const notice = Object.hasOwn(NOTICES, event.name) ? NOTICES[event.name] : undefined;
    pipe.saidOver = notice === 'cut' || notice === 'revoked';
    if (notice !== undefined) pipe.follower?.hear(notice);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/**
 * Tells whether the money ran out. A stream of events that was cut while its top-up was being paid goes on where it was: a top-up
 * that comes too late is not lost.
 */
async function judgeEnd(pipe: Pipe, error: unknown): Promise<Step | 'reopened'> {
  const { follower, sse, closed } = pipe;
  const isCut =
    follower !== undefined && (pipe.saidOver || (error !== undefined && (await isOutOfMoney(follower))));
  if (!isCut) {
    if (error !== undefined) return { kind: 'end', end: 'failed', error };
    const rest = sse?.rest();
    return rest === undefined || rest.length === 0
      ? { kind: 'end', end: 'complete' }
      : { kind: 'bytes', bytes: rest };
  }
  await Promise.race([follower.settled(), aborted(closed)]);
  if (closed.aborted) return { kind: 'end', end: 'closed', error: closed.reason };
  const { count } = follower.totals();
  if (sse !== undefined && count > pipe.creditedBefore) {
    pipe.creditedBefore = count;
    try {
      if (await openNext(pipe, sse)) return 'reopened';
    } catch (cause) {
      return { kind: 'end', end: 'cut', error: cutError(follower, cause) };
    }
  }
  return { kind: 'end', end: 'cut', error: cutError(follower, error) };
}

async function isOutOfMoney(follower: AccountFollower): Promise<boolean> {
  if (follower.isExhausted()) return true;
  const balance = await follower.refresh();
  return balance !== undefined && (balance.lastsMs ?? Infinity) < NEXT_MOMENT_MS;
}

/** What was begun of an event is dropped: it comes again, whole. */
async function openNext(pipe: Pipe, sse: SseReader): Promise<boolean> {
  await pipe.reader?.cancel().catch(() => undefined);
  const response = await pipe.reopen(sse.lastEventId);
  if (response?.body == null) return false;
  sse.rest();
  pipe.saidOver = false;
  pipe.follower?.hear('resumed');
  pipe.reader = response.body.getReader();
  return true;
}

function cutError(follower: AccountFollower, cause: unknown): PaymentError {
  const why = follower.failure();
  const reason = why === undefined ? '' : ` ${why.message}`;
  return new PaymentError(
    'stream-cut',
    `The stream was cut because its money ran out.${reason} What was paid is used, and what a later top-up added is kept.`,
    { cause: why ?? cause },
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
