import type { ServerResponse } from 'node:http';
import type { DemoRoute } from './route.ts';

/** What goes on until it is told to end. */
export interface LiveRoutes {
  readonly routes: readonly DemoRoute[];
  /** Ends every stream, so that the server can stop. */
  close(): void;
}

/** `/live`: Server-Sent Events, one at once and then one a `tickMs`, with a counter that goes on after `Last-Event-ID`. */
export function liveRoutes(tickMs: number): LiveRoutes {
  const counts = new Map<ServerResponse, number>();
  let timer: NodeJS.Timeout | undefined;

  const tick = (): void => {
    for (const [response, count] of counts) tell(response, count);
  };
  const tell = (response: ServerResponse, count: number): void => {
    // What is not read is not gathered: the next one says what time it is then.
    if (response.writableNeedDrain) return;
    counts.set(response, count + 1);
    const data = JSON.stringify({ count, time: new Date().toISOString() });
    response.write(`id: ${count}\ndata: ${data}\n\n`);
  };
  const leave = (response: ServerResponse): void => {
    counts.delete(response);
    if (counts.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };

  const serve: DemoRoute['serve'] = ({ request, response }) => {
    response.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-store',
    });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    const last = /^\d{1,9}$/.exec(String(request.headers['last-event-id'] ?? ''))?.[0] ?? 0;
    response.once('close', () => leave(response));
    timer ??= setInterval(tick, tickMs);
    tell(response, Number(last) + 1);
  };
  return {
    routes: [{ path: '/live', serve }],
    close: () => {
      for (const response of counts.keys()) response.end();
    },
  };
}
