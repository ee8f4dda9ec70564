import type { IncomingMessage } from 'node:http';

/** How much of a request's body is read and thrown away after its answer was given. */
export const MAX_DISCARDED_BYTES = 1_048_576;
/** And for how long, ms. */
export const MAX_DISCARD_MS = 5_000;

/** Both the exchange and the server see to it that nothing is left. */
const discarded = new WeakSet<IncomingMessage>();

/**
 * Reads what is left of a request's body after its answer, so that a client which still writes gets to read that answer instead
 * of a reset, and can go on using the connection. Bounded: without a bound an unpaid upload would be read to its end for nothing.
 */
export function discardBody(req: IncomingMessage): void {
  if (discarded.has(req)) return;
  discarded.add(req);
  if (req.complete || req.destroyed) {
    req.resume();
    return;
  }
  let bytes = 0;
  const end = () => {
    clearTimeout(timer);
    req.off('data', count);
  };
  const cut = () => {
    end();
    req.socket.destroy();
  };
  const count = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_DISCARDED_BYTES) cut();
  };
  const timer = setTimeout(cut, MAX_DISCARD_MS).unref();
  req.on('data', count).once('end', end).once('close', end).resume();
}
