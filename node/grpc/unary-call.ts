import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { BoundedAnswer, type ExchangeLimits, type Waiting } from '../bounded-answer.ts';
import { NodeError } from '../node.ts';

/** What a server answered. */
export interface GrpcAnswer {
  readonly httpStatus: number;
  /** The status of the call; absent when the answer is not gRPC's. */
  readonly status?: { readonly code: number; readonly message: string };
  /** The message; absent unless the status is 0. */
  readonly message?: Uint8Array;
}

/** One message in its frame, and what goes before it. */
export interface GrpcRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly frame: Uint8Array;
}

/** Before each message: whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;
const HTTP2_REFUSED = 7;
const HTTP2_CANCEL = 8;
const CONTENT_TYPE = /^application\/grpc(\+proto)?(;|$)/;

/** A message as it is sent: not compressed. */
export function frameOf(message: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

/** How a call is sent once more. */
export interface Repetition {
  /** Whether the server said, as it ended the connection, that it had not looked at this call. */
  leftOut(session: ClientHttp2Session, streamId: number | undefined): boolean;
  /** Has it started again, when there is a connection. */
  again(): void;
}

/**
 * One call with one message in each direction, waiting for a connection at first. One that the server refused without a look at it is
 * sent once more, within the same limits: a server that shuts down, or takes fewer calls at once, must not cost its clients one.
 */
export class UnaryCall {
  readonly #answer: BoundedAnswer<GrpcAnswer>;
  readonly #request: GrpcRequest;
  /** `undefined` when it was sent again, or is over: streams live on for a while, and must not hold on to who waited. */
  #repetition: Repetition | undefined;
  #stream: ClientHttp2Stream | undefined;
  #head: IncomingHttpHeaders = {};
  #trailers: IncomingHttpHeaders | undefined;

  constructor(
    request: GrpcRequest,
    limits: ExchangeLimits,
    { resolve, reject, abort }: Waiting<GrpcAnswer>,
    repetition: Repetition,
  ) {
    this.#request = request;
    this.#repetition = repetition;
    this.#answer = new BoundedAnswer(limits, {
      resolve,
      reject,
      abort: (error) => {
        this.#repetition = undefined;
        this.#stream?.close(HTTP2_CANCEL);
        abort(error);
      },
    });
  }

  get isOver(): boolean {
    return this.#answer.isOver;
  }

  /** Nothing is sent when it was cut meanwhile. */
  start(session: ClientHttp2Session): void {
    if (this.#answer.isOver) return;
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(this.#request.headers);
    } catch (error) {
      // The session ended in this very moment.
      this.#repeatOrFail(error);
      return;
    }
    this.#stream = stream;
    stream
      .on('response', (head) => {
        this.#head = head;
        // An answer without a message may be all trailers ("Trailers-Only").
        if (head['grpc-status'] !== undefined) this.#trailers = head;
      })
      .on('data', (chunk: Buffer) => this.#answer.take(chunk))
      .on('trailers', (trailers) => {
        this.#trailers = trailers;
      })
      .on('error', (error) => {
        if (this.#wasRefused(session, stream)) this.#repeatOrFail(error);
        else this.fail(error);
      })
      .on('close', () => {
        if (this.#stream === stream) this.#finish();
      })
      .end(this.#request.frame);
  }

  fail(error: unknown): void {
    this.#repetition = undefined;
    this.#answer.reject(
      error instanceof Error ? error : new Error('the connection failed', { cause: error }),
    );
  }

  /** RFC 9113, section 8.7: then it is safe to send it again. */
  #wasRefused(session: ClientHttp2Session, stream: ClientHttp2Stream): boolean {
    if (this.#head[':status'] !== undefined) return false;
    return stream.rstCode === HTTP2_REFUSED || this.#repetition?.leftOut(session, stream.id) === true;
  }

  #repeatOrFail(error: unknown): void {
    const repetition = this.#repetition;
    if (repetition === undefined) {
      this.fail(error);
      return;
    }
    this.#repetition = undefined;
    this.#stream = undefined;
    repetition.again();
  }

  #finish(): void {
    this.#repetition = undefined;
    if (this.#answer.isOver) return;
    const httpStatus = Number(this.#head[':status']);
    if (Number.isNaN(httpStatus)) {
      this.fail(cutOff());
    } else if (httpStatus !== 200 || !CONTENT_TYPE.test(this.#head['content-type'] ?? '')) {
      this.#answer.resolve({ httpStatus });
    } else if (this.#trailers === undefined) {
      this.fail(cutOff());
    } else {
      this.#conclude(httpStatus, this.#trailers);
    }
  }

  #conclude(httpStatus: number, trailers: IncomingHttpHeaders): void {
    const code = trailers['grpc-status'];
    if (typeof code !== 'string' || !/^\d{1,2}$/.test(code)) {
      this.fail(new NodeError('protocol', "The node's answer has no gRPC status."));
      return;
    }
    const status = { code: Number(code), message: decodeText(trailers['grpc-message']) };
    if (status.code !== 0) {
      this.#answer.resolve({ httpStatus, status });
      return;
    }
    const bytes = this.#answer.bytes();
    if (
      bytes.length < PREFIX_BYTES ||
      bytes[0] !== 0 ||
      bytes.readUInt32BE(1) !== bytes.length - PREFIX_BYTES
    ) {
      this.fail(new NodeError('protocol', "The node's answer is not one gRPC message."));
      return;
    }
    this.#answer.resolve({ httpStatus, status, message: bytes.subarray(PREFIX_BYTES) });
  }
}

function cutOff(): NodeError {
  return new NodeError('unreachable', 'The node broke off in the middle of an answer.');
}

/** `grpc-message` is percent-encoded UTF-8; what is not stays as it is. */
function decodeText(text: string | readonly string[] | undefined): string {
  const written = typeof text === 'string' ? text : '';
  try {
    return decodeURIComponent(written);
  } catch {
    return written;
  }
}
