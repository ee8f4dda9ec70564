import { errors } from 'undici';
import type { UpstreamFailurePhase } from './forward-types.ts';

/** The upstream said nothing for too long. */
export class UpstreamTimeout extends Error {
  constructor(limitMs: number) {
    super(`the upstream did not answer within ${limitMs} ms`);
    this.name = 'UpstreamTimeout';
  }
}

/** Codes of a connection that broke, as against one that talked nonsense. */
const RESET_CODES = new Set([
  'ECONNRESET',
  'EPIPE',
  'ECONNABORTED',
  'ETIMEDOUT',
  'UND_ERR_CLOSED',
  'UND_ERR_DESTROYED',
]);

/** Requests that undici does not send: they can't be written as HTTP. */
const REFUSED_BY_UNDICI = new Set([
  'UND_ERR_INVALID_ARG',
  'UND_ERR_NOT_SUPPORTED',
  'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH',
]);

/** @param connected - the request was written to a connection */
export function failurePhase(error: Error, connected: boolean): UpstreamFailurePhase {
  if (error instanceof UpstreamTimeout || error instanceof errors.ConnectTimeoutError) return 'timeout';
  if (!connected) return REFUSED_BY_UNDICI.has(codeOf(error)) ? 'protocol' : 'connect';
  if (error instanceof errors.SocketError) return error.message.startsWith('bad') ? 'protocol' : 'reset';
  return RESET_CODES.has(codeOf(error)) ? 'reset' : 'protocol';
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : '';
}
