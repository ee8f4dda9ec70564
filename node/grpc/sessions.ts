import { type ClientHttp2Session, connect } from 'node:http2';
import { TLSSocket } from 'node:tls';
import type { buildConnector } from 'undici';
import { bareHost } from '../bare-host.ts';
import { NodeError } from '../node.ts';

/** The one HTTP/2 connection to a server, opened when it is needed and again when it has ended. */
export interface Sessions {
  /** The connection in use; `undefined` when one must be opened. */
  current(): ClientHttp2Session | undefined;
  /** @throws NodeError `protocol` when the server does not speak HTTP/2, and what the connector throws */
  open(): Promise<ClientHttp2Session>;
  /** Uses it for no new call; those that it carries go on. */
  retire(session: ClientHttp2Session): void;
  /** The server said goodbye on it, and that it had not looked at the call with this number (RFC 9113, section 6.8). */
  leftOut(session: ClientHttp2Session, streamId: number | undefined): boolean;
  close(): void;
}

/** When connections are let go. */
export interface SessionTimes {
  /** How long a call takes at most: so long after its retirement a connection that nobody has ended is cut, ms. */
  readonly longestCallMs: number;
  /** How long a connection on which nothing happens is kept, ms. */
  readonly idleMs: number;
}

/** Announced; what is refused in any case is more than 64 headers, and nghttp2's own bound of 64 KB. */
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_HEADERS = 64;

/** Sessions with the server at `url`, over the connections that `connector` makes. */
export function createSessions(url: URL, connector: buildConnector.connector, times: SessionTimes): Sessions {
  const kept = keepSessions(times);
  let opening: PromiseWithResolvers<ClientHttp2Session> | undefined;
  let closed = false;

  const openNow = async ({ resolve, reject }: PromiseWithResolvers<ClientHttp2Session>): Promise<void> => {
    try {
      const socket = await connectTo(url, connector);
      if (closed) {
        socket.destroy();
        return;
      }
      const session = beginSession(url, socket);
      kept.add(session, socket);
      resolve(session);
    } catch (error) {
      reject(error);
    } finally {
      opening = undefined;
    }
  };

  return {
    current: kept.current,
    open() {
      if (closed) return Promise.reject(connectionClosed());
      if (opening === undefined) {
        opening = Promise.withResolvers();
        void openNow(opening);
      }
      return opening.promise;
    },
    retire: kept.retire,
    leftOut: kept.leftOut,
    close() {
      closed = true;
      opening?.reject(connectionClosed());
      kept.destroy();
    },
  };
}

/** What is open: the session in use, and those that were retired and still carry calls. */
interface KeptSessions extends Pick<Sessions, 'current' | 'retire' | 'leftOut'> {
  /** From now on it is the one in use, until it ends, is idle, or its server says goodbye. */
  add(session: ClientHttp2Session, socket: TLSSocket): void;
  destroy(): void;
}

function keepSessions({ longestCallMs, idleMs }: SessionTimes): KeptSessions {
  const all = new Map<ClientHttp2Session, TLSSocket>();
  /** What a server says of the calls on a connection that it ends: the number of the last one that it looked at. */
  const lastTaken = new WeakMap<ClientHttp2Session, number>();
  let current: ClientHttp2Session | undefined;

  const leave = (session: ClientHttp2Session): void => {
    if (current === session) current = undefined;
  };

  const retire = (session: ClientHttp2Session): void => {
    leave(session);
    if (session.closed) return;
    session.close();
    // It waits for the other side to say goodbye too, which one that is silent does not.
    const cut = setTimeout(() => all.get(session)?.destroy(), longestCallMs).unref();
    session.once('close', () => clearTimeout(cut));
  };

  return {
    current: () => (current === undefined || current.closed || current.destroyed ? undefined : current),
    retire,
    leftOut: (session, streamId) => {
      const last = lastTaken.get(session);
      return last !== undefined && streamId !== undefined && streamId > last;
    },
    add(session, socket) {
      all.set(session, socket);
      current = session;
      session
        .on('goaway', (_code: number, lastStreamId: number) => {
          lastTaken.set(session, lastStreamId);
          retire(session);
        })
        .on('close', () => {
          leave(session);
          all.delete(session);
        })
        .setTimeout(idleMs, () => retire(session));
    },
    destroy() {
      for (const [session, socket] of all) {
        session.destroy();
        // One that was retired has said goodbye, and would wait for the other side to do so too.
        socket.destroy();
      }
    },
  };
}

function beginSession(url: URL, socket: TLSSocket): ClientHttp2Session {
  const session = connect(url.origin, {
    createConnection: () => socket,
    settings: { enablePush: false, maxHeaderListSize: MAX_HEADER_BYTES },
    maxHeaderListPairs: MAX_HEADERS,
  });
  // Its calls are told, each for itself.
  return session.on('error', () => {});
}

function connectionClosed(): NodeError {
  return new NodeError('unreachable', 'The connection to the node was closed.');
}

function connectTo(url: URL, connector: buildConnector.connector): Promise<TLSSocket> {
  const { host, protocol, port } = url;
  const hostname = bareHost(url.hostname);
  return new Promise((resolve, reject) => {
    connector({ host, hostname, protocol, port }, (...[error, socket]) => {
      if (error !== null) {
        reject(error);
        return;
      }
      if (socket instanceof TLSSocket && socket.alpnProtocol === 'h2') {
        resolve(socket);
        return;
      }
      socket.destroy();
      reject(
        new NodeError(
          'protocol',
          `The server at ${host} does not speak gRPC: node.grpcUrl is LND's gRPC address (port 10009), not its REST one (8080).`,
        ),
      );
    });
  });
}
