import type { IncomingMessage } from 'node:http';
import type { LimitsConfig } from '../config/config.ts';
import { type ErrorAnswer, GatewayError, toErrorAnswer } from './errors.ts';
import { hasBody } from './proxy/request-body.ts';

/** What a request's head may not be, whatever it asks for. */
export function refuseHead(req: IncomingMessage, limits: LimitsConfig): GatewayError | undefined {
  const { rawHeaders } = req;
  if ((req.url?.length ?? 0) > limits.maxUrlBytes) {
    return new GatewayError('uri-too-long', `The request target is over ${limits.maxUrlBytes} bytes.`);
  }
  if (rawHeaders.length > limits.maxHeaderCount * 2) {
    return new GatewayError(
      'headers-too-large',
      `The request has over ${limits.maxHeaderCount} header lines.`,
    );
  }
  if (req.method === 'TRACE') return new GatewayError('method-refused', 'TRACE is refused.');
  const framing = req.headers['transfer-encoding'];
  // Node reports a coding that it does not know only after the request; and HTTP/1.0 has none (RFC 9112, 6.1).
  if (framing !== undefined && (framing.toLowerCase() !== 'chunked' || req.httpVersionMinor !== 1)) {
    return new GatewayError('bad-request', 'The only Transfer-Encoding understood is chunked.');
  }
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  // RFC 9112, 3.2: two hosts are how a request is matched as one and served as another.
  if (hosts > 1) return new GatewayError('bad-request', 'The request has more than one Host header.');
  if (hosts === 0 && req.httpVersionMinor === 1)
    return new GatewayError('bad-request', 'The request has no Host header.');
  return undefined;
}

/** An upgrade has no body (RFC 6455, 4.1); with one, the bytes after the head would be read in two ways. */
export function refuseUpgrade(req: IncomingMessage): GatewayError | undefined {
  return hasBody(req) ? new GatewayError('bad-request', 'A WebSocket upgrade has no body.') : undefined;
}

/**
 * The answer to what Node's parser or its timers refused.
 * @param reason - Node's error code
 */
export function parserRefusal(reason: string): ErrorAnswer {
  switch (reason) {
    case 'HPE_HEADER_OVERFLOW':
      return toErrorAnswer(new GatewayError('headers-too-large', 'The request head is too large.'));
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return toErrorAnswer(
        new GatewayError('body-too-large', 'The chunk extensions of the request body are too large.'),
      );
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return tooSlow('The request head did not arrive in time.');
    default:
      return toErrorAnswer(new GatewayError('bad-request', 'The request is not valid HTTP/1.1.'));
  }
}

/** 408: the client owes bytes that did not come. */
export function tooSlow(message: string): ErrorAnswer {
  return { ...toErrorAnswer(new GatewayError('bad-request', message)), status: 408 };
}
