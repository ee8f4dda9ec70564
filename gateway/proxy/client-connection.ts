import type { Duplex } from 'node:stream';

/** Something that must end when its client goes away. */
export interface ClientBound {
  clientClosed(): void;
}

/** No client that reads its answers has more requests under way on one connection (HTTP/1.1 pipelining). */
export const MAX_EXCHANGES_PER_CONNECTION = 64;

const connections = new WeakMap<Duplex, Set<ClientBound>>();

/**
 * Ties an exchange to its client's connection. There is one `close` listener a connection, however many requests it carries:
 * listeners come and go with connections, not with requests.
 * @returns false when the connection is closed already, or carries too many exchanges.
 */
export function bindToClient(socket: Duplex, bound: ClientBound): boolean {
  if (socket.destroyed) return false;
  let all = connections.get(socket);
  if (all === undefined) {
    const made = new Set<ClientBound>();
    all = made;
    connections.set(socket, made);
    socket.once('close', () => {
      for (const each of made) each.clientClosed();
      made.clear();
    });
  }
  if (all.size >= MAX_EXCHANGES_PER_CONNECTION) return false;
  all.add(bound);
  return true;
}

/** Unties an exchange that ended. */
export function unbindFromClient(socket: Duplex, bound: ClientBound): void {
  connections.get(socket)?.delete(bound);
}
