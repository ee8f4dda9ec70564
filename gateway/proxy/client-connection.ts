import type { Duplex } from 'node:stream';

/** Something that must end when its client goes away. */
export interface ClientBound {
  clientClosed(): void;
}

/** No client that reads its answers has more requests under way on one connection (HTTP/1.1 pipelining). */
export const MAX_EXCHANGES_PER_CONNECTION = 64;

/** Mostly one each. An array: see `Roster` for what a Set would cost. */
const connections = new WeakMap<Duplex, ClientBound[]>();

/**
 * Ties an exchange to its client's connection. There is one `close` listener a connection, however many requests it carries:
 * listeners come and go with connections, not with requests.
 * @returns false when the connection is closed already, or carries too many exchanges.
 */
export function bindToClient(socket: Duplex, bound: ClientBound): boolean {
  if (socket.destroyed) return false;
  let all = connections.get(socket);
  if (all === undefined) {
    const made: ClientBound[] = [];
    all = made;
    connections.set(socket, made);
    socket.once('close', () => {
      // Each takes itself out.
      for (const each of made.splice(0)) each.clientClosed();
    });
  }
  if (all.length >= MAX_EXCHANGES_PER_CONNECTION) return false;
  all.push(bound);
  return true;
}

/** Unties an exchange that ended. */
export function unbindFromClient(socket: Duplex, bound: ClientBound): void {
  const all = connections.get(socket);
  const at = all?.indexOf(bound) ?? -1;
  if (at !== -1) all?.splice(at, 1);
}
