import { createServer, type Server, type Socket } from 'node:net';
import type { Listener } from '../../config/config.ts';
import { BACKLOG, type BoundAddress, boundAddress } from '../server.ts';

/*
 * The primary accepts, the workers serve. The listening sockets outlive every worker, so that nobody is refused while one is
 * replaced; and a connection that was on its way to a worker when that died goes to another (in node:cluster it is lost: its
 * client waits for an answer until it gives up).
 */

/** Who takes connections. */
export interface Taker {
  /** Hands a connection over. It answers by {@link ConnectionShare.took}, in the order of what it was given. */
  give(listener: number, socket: Socket): void;
}

/** A connection that nobody serves yet. */
interface Waiting {
  readonly listener: number;
  readonly socket: Socket;
}

/** Gives each connection to the next worker in turn. */
export interface ConnectionShare {
  /** Opens the listeners, in this order. @throws Error when an address can't be had */
  listen(listeners: readonly Listener[]): Promise<readonly BoundAddress[]>;
  /** From now on this one takes its turn. */
  join(taker: Taker): void;
  /** It serves the oldest connection that it was given: the one here is closed. */
  took(taker: Taker): void;
  /** It gets no more. What it was given is still its own. */
  leave(taker: Taker): void;
  /** It is gone: what it was given and did not take goes to others. */
  lost(taker: Taker): void;
  /** Accepts no more. */
  close(): void;
}

/** Connections that wait for a worker; above it, they are closed. */
const MAX_WAITING = 4_096;

/** Makes the share; nobody takes connections yet, and nothing listens. */
export function createConnectionShare(): ConnectionShare {
  /** In the order of their turns. */
  const takers: Taker[] = [];
  const given = new Map<Taker, Waiting[]>();
  const waiting: Waiting[] = [];
  const servers: Server[] = [];
  let closed = false;

  const share = (connection: Waiting): void => {
    const taker = takers.shift();
    if (taker !== undefined) {
      takers.push(taker);
      given.get(taker)?.push(connection);
      taker.give(connection.listener, connection.socket);
    } else if (closed || waiting.length >= MAX_WAITING) connection.socket.destroy();
    else waiting.push(connection);
  };
  const leave = (taker: Taker): void => {
    const at = takers.indexOf(taker);
    if (at >= 0) takers.splice(at, 1);
  };

  return {
    async listen(listeners) {
      const addresses: BoundAddress[] = [];
      for (const [listener, where] of listeners.entries()) {
        const server = createServer(
          { pauseOnConnect: true, noDelay: true, allowHalfOpen: true },
          (socket) => {
            // Its client left before anybody served it.
            socket.on('error', () => {});
            share({ listener, socket });
          },
        );
        servers.push(server);
        addresses.push(await open(server, where));
      }
      return addresses;
    },
    join(taker) {
      takers.push(taker);
      given.set(taker, []);
      for (const connection of waiting.splice(0)) share(connection);
    },
    took: (taker) => void given.get(taker)?.shift()?.socket.destroy(),
    leave,
    lost(taker) {
      leave(taker);
      const left = given.get(taker) ?? [];
      given.delete(taker);
      for (const connection of left) share(connection);
    },
    close() {
      closed = true;
      for (const server of servers.splice(0)) server.close();
      for (const { socket } of waiting.splice(0)) socket.destroy();
    },
  };
}

function open(server: Server, where: Listener): Promise<BoundAddress> {
  const { promise, resolve, reject } = Promise.withResolvers<BoundAddress>();
  server.once('error', reject);
  server.listen({ host: where.host, port: where.port, backlog: BACKLOG }, () => {
    server.off('error', reject);
    // What fails now is one accept (no file descriptors left, above all): no reason to end the process.
    server.on('error', () => {});
    const bound = server.address();
    if (bound === null || typeof bound === 'string') reject(new Error('the server listens on no TCP port'));
    else resolve(boundAddress(bound, where));
  });
  return promise;
}
