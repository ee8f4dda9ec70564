import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type DemoRoute, sendJson, sendNotFound } from './route.ts';
import { textRoutes } from './texts.ts';

/** A running demo API. */
export interface DemoUpstream {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  /** Finishes what is under way, then stops. */
  close(): Promise<void>;
}

/**
 * Starts the API that `npm start` sells, on loopback only: nobody must get around the gateway from outside.
 * @param options.port - absent or 0: any free port.
 */
export async function startDemoUpstream(options: { readonly port?: number } = {}): Promise<DemoUpstream> {
  const routes: readonly DemoRoute[] = [...textRoutes()];
  let closing = false;
  const server = createServer((request, response) => {
    // Node closes the connections that are idle at close(), not those that become so later: when body and answer are over.
    const closeIdle = () => closing && setImmediate(() => server.closeIdleConnections());
    request.once('close', closeIdle);
    response.once('close', closeIdle);
    dispatch(routes, request, response);
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    close: async () => {
      closing = true;
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function dispatch(routes: readonly DemoRoute[], request: IncomingMessage, response: ServerResponse): void {
  // An answer needs no body; read and dropped, so that the connection can be used again.
  request.resume();
  if (request.method !== 'GET' && request.method !== 'HEAD' && request.method !== 'POST') {
    response.setHeader('Allow', 'GET, HEAD, POST');
    sendJson(response, 405, { error: `The demo API has no ${request.method}.` });
    return;
  }
  const path = (request.url ?? '/').replace(/[?#].*$/s, '');
  const route = routes.find((candidate) =>
    candidate.path.endsWith('/') ? path.startsWith(candidate.path) : path === candidate.path,
  );
  if (route === undefined) sendNotFound(response);
  else route.serve({ request, response, rest: path.slice(route.path.length) });
}
