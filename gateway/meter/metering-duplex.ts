import { Duplex } from 'node:stream';
import { noticeName } from './notices.ts';
import type { Carrier, CutReason, Meter, MeterNotice, Passing } from './terms.ts';
import { closeFrame, textFrame, WebSocketFrames } from './websocket-frames.ts';

/** An upstream's answer to an upgrade is no longer than this, bytes. */
const MAX_HEAD_BYTES = 65_536;
/** After the close frame the client has this long to close, ms: closing with unread data would reset the connection, and it might lose the frame. */
const LINGER_MS = 2_000;
const HEAD_END = Buffer.from('\r\n\r\n');

/** 4402 as in HTTP's 402; the others are of RFC 6455, 7.4.1, and of the IANA registry. */
const CLOSE_CODES: Readonly<Record<CutReason, number>> = {
  unpaid: 4402,
  revoked: 4402,
  expired: 4402,
  'lease-lost': 1013,
  uncountable: 1002,
  'client-stalled': 1001,
  closing: 1001,
};

/** What a metered WebSocket connection is made of. */
export interface MeteringDuplexOptions {
  /** The client's connection, unread. */
  readonly socket: Duplex;
  /** What was read of it together with the upgrade request. The tunnel is given an empty head. */
  readonly head: Buffer;
  readonly meter: Meter;
  /** A client that takes no data for so long is cut, ms; 0: never. */
  readonly stallMs: number;
  /** A timer that does not keep the process alive. @returns what stops it */
  readonly setTimer?: (act: () => void, delayMs: number) => () => void;
}

/**
 * Stands in the place of a client's socket in the WebSocket tunnel and charges what passes: the upstream's answer passes free
 * (and when it is no upgrade, all of it does), then frames are counted in both directions, withheld while there is no money, and
 * ended with a close frame 4402. It puts in messages of its own only between two messages, and only when the terms' `inBand` says so.
 */
export function createMeteringDuplex(options: MeteringDuplexOptions): Duplex {
  return new MeteringDuplex(options);
}

function unrefTimer(act: () => void, delayMs: number): () => void {
  const timer = setTimeout(act, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}

interface HeldWrite {
  readonly chunk: Buffer;
  readonly done: (error?: Error | null) => void;
}

class MeteringDuplex extends Duplex {
  readonly #socket: Duplex;
  readonly #meter: Meter;
  readonly #stallMs: number;
  readonly #setTimer: (act: () => void, delayMs: number) => () => void;
  readonly #toClient = new WebSocketFrames();
  readonly #fromClient = new WebSocketFrames();
  #phase: 'head' | 'frames' | 'plain' = 'head';
  #head: Buffer = Buffer.alloc(0);
  #held = false;
  #heldIn: Buffer | undefined;
  #heldOut: HeldWrite | undefined;
  /** Where the client stands while a chunk waits: before it. */
  #before = { frames: true, messages: true };
  #unsaid: MeterNotice | undefined;
  #started = false;
  #lingering = false;
  #stopStall: (() => void) | undefined;
  #afterDrain: HeldWrite['done'] | undefined;

  constructor({ socket, head, meter, stallMs, setTimer = unrefTimer }: MeteringDuplexOptions) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    this.#meter = meter;
    this.#stallMs = stallMs;
    this.#setTimer = setTimer;
    if (head.length > 0) socket.unshift(head);
    socket.on('error', (error) => this.destroy(error));
    socket.once('close', () => this.destroy());
    socket.on('drain', () => this.#drained());
    meter.attach(this.#carrier());
  }

  /** The tunnel takes this for a socket. */
  setTimeout(ms: number): this {
    return this.#configure('setTimeout', ms);
  }

  setNoDelay(on: boolean): this {
    return this.#configure('setNoDelay', on);
  }

  setKeepAlive(on: boolean): this {
    return this.#configure('setKeepAlive', on);
  }

  #configure(name: 'setTimeout' | 'setNoDelay' | 'setKeepAlive', value: number | boolean): this {
    const method: unknown = Reflect.get(this.#socket, name);
    if (typeof method === 'function') Reflect.apply(method, this.#socket, [value]);
    return this;
  }

  override _read(): void {
    if (this.#started) {
      if (!this.#held) this.#socket.resume();
      return;
    }
    this.#started = true;
    this.#socket.on('data', (chunk: Buffer) => this.#incoming(chunk));
    this.#socket.once('end', () => this.push(null));
    if (this.#held) this.#socket.pause();
  }

  #incoming(chunk: Buffer): void {
    if (this.destroyed) return;
    const frames = this.#fromClient;
    const begunBefore = frames.begun;
    if (this.#phase !== 'plain') frames.push(chunk);
    if (this.#refuseMalformed(frames)) return;
    if (this.#phase === 'plain' || this.#meter.pass('request', passingOf(frames, begunBefore, chunk))) {
      if (!this.push(chunk)) this.#socket.pause();
      return;
    }
    this.#heldIn = this.#heldIn === undefined ? chunk : Buffer.concat([this.#heldIn, chunk]);
    this.#socket.pause();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: HeldWrite['done']): void {
    if (this.#phase === 'frames') this.#outgoing(chunk, done);
    else if (this.#phase === 'plain') this.#writeOn(chunk, done);
    else this.#answer(chunk, done);
  }

  /** The upstream's answer: it decides whether anything is charged. */
  #answer(chunk: Buffer, done: HeldWrite['done']): void {
    const head = Buffer.concat([this.#head, chunk]);
    const end = head.indexOf(HEAD_END);
    if (end < 0) {
      this.#head = head;
      if (head.length > MAX_HEAD_BYTES) this.destroy();
      else done();
      return;
    }
    this.#head = Buffer.alloc(0);
    const bodyAt = end + HEAD_END.length;
    if (!/^HTTP\/1\.1 101(?: |\r)/.test(head.toString('latin1', 0, 16))) {
      this.#phase = 'plain';
      this.#meter.exempt();
      this.#writeOn(head, done);
      return;
    }
    this.#phase = 'frames';
    this.#socket.write(head.subarray(0, bodyAt));
    this.#meter.begin();
    if (bodyAt < head.length) this.#outgoing(head.subarray(bodyAt), done);
    else done();
  }

  #outgoing(chunk: Buffer, done: HeldWrite['done']): void {
    const frames = this.#toClient;
    const begunBefore = frames.begun;
    this.#before = { frames: frames.betweenFrames, messages: frames.atBoundary };
    frames.push(chunk);
    if (this.#refuseMalformed(frames)) return;
    // Held before it is asked: the meter may tell, or end, the stream from inside.
    this.#heldOut = { chunk, done };
    if (!this.#meter.pass('response', passingOf(frames, begunBefore, chunk))) return;
    this.#heldOut = undefined;
    this.#writeOn(chunk, done);
    this.#sayUnsaid();
  }

  #refuseMalformed(frames: WebSocketFrames): boolean {
    if (!frames.malformed || this.#meter.terms.price.unit !== 'event') return false;
    this.#meter.cut('uncountable');
    return true;
  }

  #writeOn(chunk: Buffer, done: HeldWrite['done']): void {
    if (this.#socket.write(chunk)) {
      done();
      return;
    }
    this.#afterDrain = done;
    if (this.#stallMs > 0) {
      this.#stopStall = this.#setTimer(() => this.#meter.cut('client-stalled'), this.#stallMs);
    }
  }

  #drained(): void {
    this.#stopStall?.();
    this.#stopStall = undefined;
    const done = this.#afterDrain;
    this.#afterDrain = undefined;
    done?.();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stopStall?.();
    this.#meter.stop();
    this.#heldIn = undefined;
    this.#heldOut = undefined;
    if (!this.#lingering) this.#socket.destroy();
    done(error);
  }

  /** What the meter holds in its hand; a stream has a pause, a resume and an end of its own. */
  #carrier(): Carrier {
    return {
      pause: () => {
        this.#held = true;
        this.#socket.pause();
      },
      resume: () => this.#goOn(),
      tell: (notice) => {
        this.#unsaid = notice;
        this.#sayUnsaid();
      },
      end: (cutBy) => this.#cut(cutBy),
      unsentBytes: () => this.#socket.writableLength,
    };
  }

  #goOn(): void {
    this.#held = false;
    const out = this.#heldOut;
    const incoming = this.#heldIn;
    this.#heldOut = undefined;
    this.#heldIn = undefined;
    if (out !== undefined) {
      this.#meter.flowed('response');
      this.#writeOn(out.chunk, out.done);
    }
    if (incoming !== undefined) {
      this.#meter.flowed('request');
      if (!this.push(incoming)) return;
    }
    // What went on may have been held again.
    if (this.#started && !this.#held) this.#socket.resume();
  }

  /** The client's place between messages; a chunk that waits has not reached it. */
  #place(): { readonly frames: boolean; readonly messages: boolean } {
    if (this.#phase !== 'frames') return { frames: false, messages: false };
    if (this.#heldOut !== undefined) return this.#before;
    return { frames: this.#toClient.betweenFrames, messages: this.#toClient.atBoundary };
  }

  /** In the middle of a message it has to wait; a later notice takes its place. */
  #sayUnsaid(): void {
    const notice = this.#unsaid;
    if (notice === undefined || !this.#place().messages || this.destroyed) return;
    this.#unsaid = undefined;
    const text = this.#meter.terms.inBand?.(notice);
    if (text !== undefined) this.#socket.write(textFrame(text));
  }

  /** Ends with a close frame where one can stand (RFC 6455, 5.5.1), else with a reset. */
  #cut(cutBy: CutReason): void {
    if (this.destroyed) return;
    if (cutBy !== 'client-stalled' && this.#place().frames) {
      this.#lingering = true;
      const socket = this.#socket;
      socket.end(closeFrame(CLOSE_CODES[cutBy], noticeName({ kind: 'cut', cutBy })));
      // What still comes is read and forgotten.
      socket.resume();
      const stop = this.#setTimer(() => socket.destroy(), LINGER_MS);
      socket.once('close', stop);
    }
    this.destroy();
  }
}

function passingOf(frames: WebSocketFrames, begunBefore: number, chunk: Buffer): Passing {
  return {
    bytes: chunk.length,
    events: frames.begun - begunBefore,
    unfinished: frames.begun - frames.complete,
  };
}
