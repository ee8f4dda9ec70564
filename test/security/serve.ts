import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { LimitsConfig } from '../../config/config.ts';
import { forward } from '../../gateway/proxy/forward.ts';
import { createUpstreams } from '../../gateway/proxy/upstream.ts';
import { createHttpServer, type HttpServer, type RefusedConnection } from '../../gateway/server.ts';
import { exchangeOf, TEST_LIMITS } from '../proxy/wire.ts';

/** A gateway's server on a real port. */
export interface Served {
  readonly server: HttpServer;
  readonly port: number;
  /** The requests that passed the limits, as `METHOD target`. */
  readonly seen: string[];
  readonly upgrades: string[];
  readonly refused: RefusedConnection[];
  close(): Promise<void>;
}

/** What a test may replace. */
export interface ServeOptions {
  readonly limits?: Partial<LimitsConfig>;
  readonly onRequest?: (
    req: IncomingMessage,
    res: ServerResponse,
    sendContinue: (() => void) | undefined,
  ) => void;
  readonly onUpgrade?: (req: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

/** Starts a server; unless told otherwise it answers every request with `ok`, without reading its body. */
export async function serve(options: ServeOptions = {}): Promise<Served> {
  const seen: string[] = [];
  const upgrades: string[] = [];
  const refused: RefusedConnection[] = [];
  const server = await createHttpServer(
    { host: '127.0.0.1', port: 0 },
    { ...TEST_LIMITS, ...options.limits },
    {
      onRequest: (req, res, sendContinue) => {
        seen.push(`${req.method} ${req.url}`);
        if (options.onRequest === undefined) res.end('ok');
        else options.onRequest(req, res, sendContinue);
      },
      onUpgrade: (req, socket, head) => {
        upgrades.push(`${req.method} ${req.url}`);
        if (options.onUpgrade === undefined) socket.destroy();
        else options.onUpgrade(req, socket, head);
      },
      onRefused: (each) => refused.push(each),
    },
  );
  const { port } = await server.listen();
  return { server, port, seen, upgrades, refused, close: () => server.drain(0) };
}

/** A server that forwards everything to an upstream. */
export async function serveUpstream(origin: string, limits: Partial<LimitsConfig> = {}): Promise<Served> {
  const upstreams = createUpstreams({ sweepIntervalMs: 20 });
  const served = await serve({
    limits,
    onRequest: (req, res, sendContinue) => {
      void forward(upstreams, { ...exchangeOf(req, res, origin), sendContinue });
    },
  });
  return {
    ...served,
    close: async () => {
      await served.close();
      await upstreams.destroy();
    },
  };
}
