import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { WebSocket } from 'ws';
import type { Handshake, HandshakeRequest } from './paid-socket.ts';

const HANDSHAKE_TIMEOUT_MS = 30_000;
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/**
 * Makes WebSocket handshakes in Node, with the credential in `Authorization`. What the server answers instead of a WebSocket is
 * returned as it is, so that a 402 can be paid.
 */
export function connectWithHeader(request: HandshakeRequest): Promise<Handshake<WebSocket>> {
  const { url, headers, authorization, protocols, signal, onMessage } = request;
  const sent = Object.fromEntries(headers);
  if (authorization !== undefined) Object.assign(sent, { authorization });
  const socket = new WebSocket(url, [...protocols], {
    headers: sent,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    maxPayload: MAX_MESSAGE_BYTES,
    followRedirects: false,
  });
  socket.binaryType = 'nodebuffer';
  socket.on('message', (data, isBinary) => {
    if (Buffer.isBuffer(data)) onMessage(isBinary ? data : data.toString('utf8'));
  });
  return new Promise((resolve, reject) => {
    let upgrade: Headers | undefined;
    const abort = (): void => {
      socket.terminate();
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
    const done = (): void => signal?.removeEventListener('abort', abort);
    socket.once('upgrade', (answer) => {
      upgrade = headersOf(answer);
    });
    socket.once('open', () => {
      done();
      // Until the handshake is written down nothing piles up here: the other side has to wait.
      socket.pause();
      const response = new Response(null, upgrade === undefined ? {} : { headers: upgrade });
      resolve({ response, socket, flow: () => socket.resume() });
    });
    socket.once('unexpected-response', (_, answer) => {
      done();
      resolve({ response: toResponse(answer) });
    });
    // Stays: an error after the handshake is followed by `close`, and must not end the process.
    socket.on('error', (error) => {
      done();
      reject(error);
    });
    if (signal?.aborted === true) abort();
  });
}

function toResponse(answer: IncomingMessage): Response {
  const { statusCode: status = 502, statusMessage: statusText = '' } = answer;
  const hasBody = status !== 204 && status !== 205 && status !== 304;
  if (!hasBody) answer.resume();
  const body = hasBody ? new ReadableStream(toSource(answer)) : null;
  return new Response(body, { status, statusText, headers: headersOf(answer) });
}

function toSource(answer: IncomingMessage): UnderlyingDefaultSource<Uint8Array> {
  const chunks = Readable.from(answer)[Symbol.asyncIterator]();
  return {
    pull: async (controller) => {
      const { done, value } = await chunks.next();
      if (done === true) controller.close();
      else controller.enqueue(new Uint8Array(value));
    },
    cancel: () => {
      answer.destroy();
    },
  };
}

function headersOf({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    headers.append(rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '');
  }
  return headers;
}
