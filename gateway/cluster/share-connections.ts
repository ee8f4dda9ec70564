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
  /** Hands a connection over. It answers by {@link ConnectionShare.took} with its number, in the order of what it was given. */
  give(connection: number, listener: number, socket: Socket): void;
}

/** A connection that nobody serves yet. */
interface Waiting {
  /** Counted from 1, in the order of coming. */
  readonly number: number;
  readonly listener: number;
  readonly socket: Socket;
}

/** One that was handed over, and not yet taken. */
interface Given extends Waiting {
  readonly givenAtMs: number;
}

/** Gives each connection to the next worker in turn. */
export interface ConnectionShare {
  /** Opens the listeners, in this order. @throws Error when an address can't be had */
  listen(listeners: readonly Listener[]): Promise<readonly BoundAddress[]>;
  /** From now on this one takes its turn. */
  join(taker: Taker): void;
  /** It serves this connection: the one here is closed, and so are those before it, which never reached it. */
  took(taker: Taker, connection: number): void;
  /** It gets no more. What it was given is still its own. */
  leave(taker: Taker): void;
  /** It is gone: what it was given and did not take goes to others. */
  lost(taker: Taker): void;
  /** Connections that were accepted, and that nobody serves yet. */
  unserved(): number;
  /** Accepts no more. */
  close(): void;
}

/** Connections that wait for a worker; above it, they are closed. */
const MAX_WAITING = 4_096;
/** Connections that one may have been given and not have taken: a worker that hangs must not eat up this process's descriptors. */
const MAX_UNTAKEN = 1_024;
/** Who has not taken a connection for so long, ms, is left out while others are quicker: it hangs, or has too much to do. */
const SLOW_AFTER_MS = 1_000;
/** So long one may take to take a connection, ms: it hangs, or had no descriptor for it, and its client should not wait for ever. */
const TAKE_TIMEOUT_MS = 10_000;

/**
 * Makes the share; nobody takes connections yet, and nothing listens.
 * @param nowMs - a clock that never goes back; default: `performance.now`
 */
export function createConnectionShare(nowMs: () => number = () => performance.now()): ConnectionShare {
  /** In the order of their turns. */
  const takers: Taker[] = [];
  const given = new Map<Taker, Given[]>();
  const waiting: Waiting[] = [];
  const servers: Server[] = [];
  let closed = false;
  let accepted = 0;

  /** The next in turn that has room and is not slow, or the first that has room. */
  const nextTaker = (): Taker | undefined => {
    let slow: Taker | undefined;
    for (const taker of takers) {
      const untaken = given.get(taker) ?? [];
      closeFirst(untaken, ({ givenAtMs }) => nowMs() - givenAtMs >= TAKE_TIMEOUT_MS);
      if (untaken.length >= MAX_UNTAKEN) continue;
      const [first] = untaken;
      if (first === undefined || nowMs() - first.givenAtMs < SLOW_AFTER_MS) return taker;
      slow ??= taker;
    }
    return slow;
  };
  const giveTo = (taker: Taker, connection: Waiting): void => {
    // Its turn is over.
    takers.splice(takers.indexOf(taker), 1);
    takers.push(taker);
    given.get(taker)?.push({ ...connection, givenAtMs: nowMs() });
    taker.give(connection.number, connection.listener, connection.socket);
  };
  const share = (connection: Waiting): void => {
    const taker = nextTaker();
    if (taker !== undefined) giveTo(taker, connection);
    else if (closed || waiting.length >= MAX_WAITING) connection.socket.destroy();
    else waiting.push(connection);
  };
  const shareWaiting = (): void => {
    while (waiting.length > 0) {
      const taker = nextTaker();
      if (taker === undefined) return;
      for (const connection of waiting.splice(0, 1)) giveTo(taker, connection);
    }
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
            accepted += 1;
            share({ number: accepted, listener, socket });
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
      shareWaiting();
    },
    took(taker, connection) {
      // Without a descriptor left, a process loses what it is sent, and neither side hears of it.
      closeFirst(given.get(taker) ?? [], ({ number }) => number <= connection);
      shareWaiting();
    },
    leave,
    lost(taker) {
      leave(taker);
      const left = given.get(taker) ?? [];
      given.delete(taker);
      for (const connection of left) share(connection);
    },
    unserved: () => [...given.values()].reduce((sum, { length }) => sum + length, waiting.length),
    close() {
      closed = true;
      for (const server of servers.splice(0)) server.close();
      for (const { socket } of waiting.splice(0)) socket.destroy();
    },
  };
}

/** Closes the connections at the front for which it holds, and takes them out. */
function closeFirst(untaken: Given[], isOver: (connection: Given) => boolean): void {
  const end = untaken.findIndex((connection) => !isOver(connection));
  for (const { socket } of untaken.splice(0, end < 0 ? untaken.length : end)) socket.destroy();
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
