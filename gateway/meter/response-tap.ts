import { noticeName, noticeText, sseEvent } from './notices.ts';
import { createPacer, type Pacer } from './pacing.ts';
import { SseEvents } from './sse-events.ts';
import type {
  Carrier,
  CutReason,
  FlowControls,
  FlowHead,
  Meter,
  MeterNotice,
  MeterTap,
  Passing,
} from './terms.ts';

/** What may pass at once after a pause: more than a tick's worth, or the wheel's grain would slow the stream down. */
const BURST_MS = 250;
const LEAST_BURST_BYTES = 65_536;

/** What the tap of a response asks of its stream. */
export interface TappedStream
  extends Pick<
    Meter,
    'terms' | 'attach' | 'begin' | 'exempt' | 'stop' | 'cut' | 'cutBy' | 'pass' | 'flowed'
  > {
  /** The chunk was counted, but waits for a reason of its own. */
  withhold(side: 'response', passing: Passing): void;
}

/** What the tap asks of the wheel. */
export interface TapPort {
  now(): number;
  after(delayMs: number, act: () => void): void;
}

/** Charges an HTTP response while it passes: counts, paces, pauses, tells an SSE client, and ends it. */
export function responseTap(stream: TappedStream, port: TapPort): MeterTap {
  let response: MeteredResponse | undefined;
  return {
    open(head, controls) {
      response = new MeteredResponse(stream, port, head, controls);
      response.open();
    },
    chunk: (bytes) => response?.chunk(bytes),
    close: () => stream.stop(),
  };
}

class MeteredResponse implements Carrier {
  readonly #stream: TappedStream;
  readonly #port: TapPort;
  readonly #head: FlowHead;
  readonly #controls: FlowControls;
  readonly #sse: SseEvents | undefined;
  readonly #pacer: Pacer | undefined;
  #held = false;
  #pacing = false;
  /** A chunk was shown and waits: the client stands before it. */
  #chunkWaits = false;
  #atBoundary = true;
  /** Chunks that were shown. */
  #chunks = 0;

  constructor(stream: TappedStream, port: TapPort, head: FlowHead, controls: FlowControls) {
    this.#stream = stream;
    this.#port = port;
    this.#head = head;
    this.#controls = controls;
    const { paceBytesPerSec } = stream.terms;
    if (isEventStream(head)) this.#sse = new SseEvents();
    if (paceBytesPerSec !== undefined) {
      const burst = Math.max(LEAST_BURST_BYTES, (paceBytesPerSec * BURST_MS) / 1000);
      this.#pacer = createPacer(paceBytesPerSec, burst, port.now());
    }
  }

  open(): void {
    const { terms } = this.#stream;
    const charged = terms.charges?.(this.#head.status) ?? true;
    if (!charged) this.#stream.exempt();
    this.#stream.attach(this);
    if (!charged || this.#stream.cutBy !== undefined) return;
    if (terms.price.unit === 'event' && this.#sse === undefined && hidesEvents(this.#head)) {
      this.#stream.cut('uncountable');
      return;
    }
    this.#stream.begin();
  }

  chunk(bytes: Buffer): void {
    const sse = this.#sse;
    const begunBefore = sse?.begun ?? 0;
    this.#atBoundary = sse?.atBoundary ?? false;
    sse?.push(bytes);
    const passing = {
      bytes: bytes.length,
      events: (sse?.begun ?? 0) - begunBefore,
      unfinished: (sse?.begun ?? 0) - (sse?.complete ?? 0),
    };
    this.#chunkWaits = true;
    this.#chunks += 1;
    const passes = this.#stream.pass('response', passing);
    const waitMs = this.#pacer?.take(bytes.length, this.#port.now()) ?? 0;
    if (waitMs > 0) this.#pace(waitMs, passes ? passing : undefined);
    else if (passes) this.#chunkWaits = false;
    else this.#controls.pause();
  }

  #pace(waitMs: number, passing: Passing | undefined): void {
    if (passing !== undefined) this.#stream.withhold('response', passing);
    this.#pacing = true;
    this.#controls.pause();
    this.#port.after(waitMs, () => {
      this.#pacing = false;
      this.#goOn();
    });
  }

  #goOn(): void {
    if (this.#held || this.#pacing || this.#stream.cutBy !== undefined) return;
    this.#stream.flowed('response');
    this.#controls.resume();
    // It is written on the next tick, before this: until then the client stands where it stood.
    const shown = this.#chunks;
    process.nextTick(() => {
      if (this.#chunks === shown) this.#chunkWaits = false;
    });
  }

  pause(): void {
    this.#held = true;
    this.#controls.pause();
  }

  resume(): void {
    this.#held = false;
    this.#goOn();
  }

  tell(notice: MeterNotice): void {
    const sse = this.#sse;
    if (sse === undefined || !this.#isBetweenEvents(sse)) return;
    const say = this.#stream.terms.inBand ?? noticeText;
    const data = say(notice);
    if (data !== undefined) this.#controls.inject(sseEvent(noticeName(notice), data));
  }

  /** A response that looks complete is a lie, except where the protocol has a word for it, between two events. */
  end(cutBy: CutReason): void {
    const sse = this.#sse;
    if (sse === undefined || !this.#isBetweenEvents(sse)) {
      this.#controls.cut();
      return;
    }
    this.tell({ kind: 'cut', cutBy });
    this.#controls.finish();
  }

  #isBetweenEvents(sse: SseEvents): boolean {
    return this.#chunkWaits ? this.#atBoundary : sse.atBoundary;
  }
}

/** An event stream that can be read and added to: not compressed, and of no announced length. */
function isEventStream(head: FlowHead): boolean {
  const type = headerOf(head, 'content-type') ?? '';
  if (!/^\s*text\/event-stream\s*(;|$)/i.test(type)) return false;
  return headerOf(head, 'content-length') === undefined && !isEncoded(head);
}

/** Events there may be, but nobody can count them. */
function hidesEvents(head: FlowHead): boolean {
  return isEncoded(head) || /^\s*text\/event-stream/i.test(headerOf(head, 'content-type') ?? '');
}

function isEncoded(head: FlowHead): boolean {
  const encoding = headerOf(head, 'content-encoding')?.trim().toLowerCase();
  return encoding !== undefined && encoding !== '' && encoding !== 'identity';
}

function headerOf({ headers }: FlowHead, lowerName: string): string | undefined {
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at];
    if (name !== undefined && name.length === lowerName.length && name.toLowerCase() === lowerName)
      return headers[at + 1];
  }
  return undefined;
}
