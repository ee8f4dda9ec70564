import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ErrorAnswer } from '../errors.ts';

/** How long a peer may take to take the answer, ms. */
const MAX_LINGER_MS = 5_000;

/**
 * Answers on a bare connection, where Node made no response object (upgrades, CONNECT, what the parser refused), and closes it.
 * @param extra - flat list of further headers
 */
export function endWithAnswer(socket: Duplex, answer: ErrorAnswer, extra: readonly string[] = []): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  let head = `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? 'Error'}\r\n`;
  const flat = [...answer.headers, ...extra, 'Connection', 'close'];
  for (let i = 0; i + 1 < flat.length; i += 2) head += `${flat[i]}: ${oneLine(flat[i + 1] ?? '')}\r\n`;
  // The peer may be gone or never read: nothing may keep this connection, and its errors concern nobody.
  socket.on('error', () => {});
  const timer = setTimeout(() => socket.destroy(), MAX_LINGER_MS).unref();
  socket.once('close', () => clearTimeout(timer));
  socket.end(`${head}\r\n${answer.body}`, 'latin1', () => socket.destroy());
}

/**
 * Ends our side of a connection that Node's server watches no more (an upgrade that was answered), and closes it soon whatever the
 * peer does: one that never ends its own side would keep a place among the connections for ever.
 */
export function endConnection(socket: Duplex): void {
  const timer = setTimeout(() => socket.destroy(), MAX_LINGER_MS).unref();
  socket.once('close', () => clearTimeout(timer));
  // Bytes that nobody read would turn the close into a reset, which may overtake the answer.
  socket.resume();
  socket.end();
}

/** Nothing that is written here may end a header line. */
function oneLine(value: string): string {
  return value.replaceAll(/[\r\n\0]/g, ' ');
}
