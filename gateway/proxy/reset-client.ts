import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

/**
 * Breaks a connection so that nobody can take what was sent for complete: a TCP reset, because to an HTTP/1.0 client a mere
 * close is how every body ends. Over TLS the missing close_notify says the same.
 */
export function resetClient(socket: Duplex): void {
  if (socket instanceof Socket && !(socket instanceof TLSSocket)) socket.resetAndDestroy();
  else socket.destroy();
}
