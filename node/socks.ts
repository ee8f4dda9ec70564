import type { Socket } from 'node:net';
import { SocksClient } from 'socks';
import { bareHost } from './bare-host.ts';
import { NodeError } from './node.ts';

/** A SOCKS5 proxy, Tor's for instance. */
export interface SocksProxy {
  readonly host: string;
  readonly port: number;
  /** Asked for by some proxies; Tor keeps the ways of different names apart. */
  readonly userName?: string;
  /** A secret. */
  readonly password?: string;
}

const DEFAULT_PORT = 1080;

/**
 * Reads `socks5h://[user:password@]host[:port]`. The `h` says that the proxy resolves names: `.onion` names exist only there, and a
 * name that is resolved here tells the resolver which node is ours.
 * @throws NodeError `rejected`, which does not repeat the URL.
 */
export function parseSocksProxy(text: string): SocksProxy {
  const url = URL.parse(text);
  if (url === null || url.protocol !== 'socks5h:' || url.hostname === '' || !/^\/?$/.test(url.pathname)) {
    throw new NodeError('rejected', 'A SOCKS proxy is written socks5h://HOST:PORT.');
  }
  const password = decode(url.password);
  return {
    host: bareHost(url.hostname),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    ...(url.username === '' ? {} : { userName: decode(url.username) }),
    ...(password === '' ? {} : { password }),
  };
}

/**
 * A connection to a host through a proxy, which is given the host's name and not its address.
 * @param timeoutMs - bound on all of it
 * @throws NodeError `unreachable`
 */
export async function connectThrough(
  proxy: SocksProxy,
  to: { readonly host: string; readonly port: number },
  timeoutMs: number,
): Promise<Socket> {
  const { host, port, userName, password } = proxy;
  try {
    const { socket } = await SocksClient.createConnection({
      proxy: {
        host,
        port,
        type: 5,
        ...(userName === undefined ? {} : { userId: userName, password: password ?? '' }),
      },
      command: 'connect',
      destination: { host: bareHost(to.host), port: to.port },
      timeout: timeoutMs,
      set_tcp_nodelay: true,
    });
    return socket.setKeepAlive(true, 60_000);
  } catch (error) {
    // Not passed on as a cause: the library's errors carry the password.
    throw new NodeError(
      'unreachable',
      `The SOCKS proxy at ${host}:${port} did not connect to ${to.host}:${to.port} (${reasonOf(error)}).`,
    );
  }
}

/** The library's words, which say what the proxy answered; never what it sent. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 120) : 'unknown';
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
