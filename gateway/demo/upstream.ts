import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { fileRoutes } from './files.ts';
import { languageModelRoutes } from './language-model.ts';
import { liveRoutes } from './live.ts';
import { livePageRoutes } from './live-page.ts';
import { type DemoRoute, sendJson, sendNotFound } from './route.ts';
import { serveSockets } from './sockets.ts';
import { textRoutes } from './texts.ts';

/** A running demo API. */
export interface DemoUpstream {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  /** Finishes what is under way, then stops. */
  close(): Promise<void>;
}

/** Where the demo listens, and how fast it lives. */
export interface DemoOptions {
  /** Absent or 0: any free port. */
  readonly port?: number;
  /** Between two events of `/live` and `/ws`, ms. Default 1,000. */
  readonly tickMs?: number;
  /** Between two words of the language model, ms. Default 30. */
  readonly tokenMs?: number;
}

/**
 * Starts the API that `npm start` sells, on loopback only: nobody must get around the gateway from outside.
 * Streams that would go on for ever are ended by `close`.
 */
export async function startDemoUpstream(options: DemoOptions = {}): Promise<DemoUpstream> {
  const { port: wantedPort = 0, tickMs = 1_000, tokenMs = 30 } = options;
  const live = liveRoutes(tickMs);
  const routes: readonly DemoRoute[] = [
    ...live.routes,
    ...fileRoutes(),
    ...languageModelRoutes(tokenMs),
    // Before the texts, which have the rest of /free/.
    ...livePageRoutes(),
    ...textRoutes(),
  ];
  let closing = false;
  const server = createServer((request, response) => {
    // Node closes the connections that are idle at close(), not those that become so later: when body and answer are over.
    const closeIdle = () => closing && setImmediate(() => server.closeIdleConnections());
    request.once('close', closeIdle);
    response.once('close', closeIdle);
    dispatch(routes, request, response);
  });
  const sockets = serveSockets(server, tickMs);
  server.listen(wantedPort, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    close: async () => {
      closing = true;
      const closed = new Promise((resolve) => server.close(resolve));
      live.close();
      sockets.close();
      await closed;
    },
  };
}

function dispatch(routes: readonly DemoRoute[], request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? '/').replace(/[?#].*$/s, '');
  const route = routes.find((candidate) =>
    candidate.path.endsWith('/') ? path.startsWith(candidate.path) : path === candidate.path,
  );
  // Few answers need a body; the others read and drop it, so that the connection can be used again.
  if (route?.readsBody !== true) request.resume();
  if (request.method !== 'GET' && request.method !== 'HEAD' && request.method !== 'POST') {
    request.resume();
    response.setHeader('Allow', 'GET, HEAD, POST');
    sendJson(response, 405, { error: `The demo API has no ${request.method}.` });
    return;
  }
  if (route === undefined) sendNotFound(response);
  else route.serve({ request, response, rest: path.slice(route.path.length) });
}
