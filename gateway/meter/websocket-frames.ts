/** Longest frame that can be counted, bytes: RFC 6455 allows 2^63, and nobody sends it. */
const MAX_FRAME_BYTES = Number.MAX_SAFE_INTEGER;

const FIN = 0x80;
const OPCODE = 0x0f;
const MASKED = 0x80;
const LENGTH = 0x7f;
const CONTINUATION = 0;
/** From here on opcodes are control frames (RFC 6455, 5.5). */
const CONTROL = 8;
const MASK_BYTES = 4;

/**
 * Counts the messages of one direction of a WebSocket as their bytes pass, in constant memory, wherever the chunks are split (RFC
 * 6455, 5.2). Control frames (ping, pong, close) and continuations are not messages. A message counts as begun with the
 * first byte of its first frame, so that its content can be withheld, and as complete with the last byte of its last.
 */
export class WebSocketFrames {
  begun = 0;
  complete = 0;
  /** What passes is not WebSocket: from here on nothing can be counted. */
  malformed = false;
  /** Bytes of the present header that were read; 0 between two frames. */
  #header = 0;
  #first = 0;
  /** Bytes of the extended length, and of the mask, still to come. */
  #lengthBytes = 0;
  #maskBytes = 0;
  #payload = 0;
  #inMessage = false;

  /** Between two frames: where a control frame can be put in. */
  get betweenFrames(): boolean {
    return this.#header === 0 && !this.malformed;
  }

  /** Between two messages: where a message can be put in. */
  get atBoundary(): boolean {
    return this.betweenFrames && !this.#inMessage;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && !this.malformed) {
      if (this.#header > 1 && this.#lengthBytes === 0 && this.#maskBytes === 0) {
        const part = Math.min(this.#payload, bytes.length - at);
        this.#payload -= part;
        at += part;
        if (this.#payload === 0) this.#endFrame();
      } else {
        this.#headerByte(bytes[at] ?? 0);
        at += 1;
      }
    }
  }

  #headerByte(byte: number): void {
    this.#header += 1;
    if (this.#header === 1) this.#beginFrame(byte);
    else if (this.#header === 2) {
      const length = byte & LENGTH;
      this.#maskBytes = (byte & MASKED) === 0 ? 0 : MASK_BYTES;
      this.#lengthBytes = length === 126 ? 2 : length === 127 ? 8 : 0;
      this.#payload = this.#lengthBytes === 0 ? length : 0;
      if ((this.#first & OPCODE) >= CONTROL && this.#lengthBytes > 0) this.malformed = true;
    } else if (this.#lengthBytes > 0) {
      this.#lengthBytes -= 1;
      this.#payload = this.#payload * 256 + byte;
      if (this.#payload > MAX_FRAME_BYTES) this.malformed = true;
    } else this.#maskBytes -= 1;
    const headerDone = this.#header > 1 && this.#lengthBytes === 0 && this.#maskBytes === 0;
    if (headerDone && this.#payload === 0) this.#endFrame();
  }

  #beginFrame(first: number): void {
    this.#first = first;
    const opcode = first & OPCODE;
    if (opcode >= CONTROL) {
      // Control frames are never fragmented.
      if ((first & FIN) === 0) this.malformed = true;
      return;
    }
    if ((opcode === CONTINUATION) !== this.#inMessage) {
      this.malformed = true;
      return;
    }
    if (opcode !== CONTINUATION) this.begun += 1;
    this.#inMessage = true;
  }

  #endFrame(): void {
    this.#header = 0;
    if ((this.#first & OPCODE) >= CONTROL || (this.#first & FIN) === 0) return;
    this.#inMessage = false;
    this.complete += 1;
  }
}

/** A whole text message from a server: one frame, not masked. */
export function textFrame(text: string): Buffer {
  return serverFrame(0x81, Buffer.from(text));
}

/** A close frame from a server (RFC 6455, 5.5.1). @param reason - at most 123 bytes; what is longer is left out */
export function closeFrame(code: number, reason: string): Buffer {
  const text = Buffer.from(reason);
  const payload = Buffer.alloc(2 + (text.length <= 123 ? text.length : 0));
  payload.writeUInt16BE(code);
  if (payload.length > 2) text.copy(payload, 2);
  return serverFrame(0x88, payload);
}

function serverFrame(first: number, payload: Buffer): Buffer {
  const { length } = payload;
  if (length < 126) return Buffer.concat([Buffer.from([first, length]), payload]);
  if (length <= 0xffff)
    return Buffer.concat([Buffer.from([first, 126, length >> 8, length & 0xff]), payload]);
  const header = Buffer.alloc(10);
  header[0] = first;
  header[1] = 127;
  header.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([header, payload]);
}
