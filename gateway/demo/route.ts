import type { IncomingMessage, ServerResponse } from 'node:http';

/** What a demo route sees of a request. */
export interface DemoRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Path below the route: `weather` for /pack/weather. */
  readonly rest: string;
}

/** One thing that the demo upstream serves. `path` ends with `/` when it serves everything below it. */
export interface DemoRoute {
  readonly path: string;
  readonly serve: (request: DemoRequest) => void;
  /** It reads the request's body itself; every other body is dropped. */
  readonly readsBody?: true;
}

/** Sends a whole body. */
export function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(body) });
  // For HEAD, Node leaves the body out.
  response.end(body);
}

/** Sends JSON. */
export function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, 'application/json; charset=utf-8', `${JSON.stringify(body)}\n`);
}

/** There is nothing of that name. */
export function sendNotFound(response: ServerResponse): void {
  sendJson(response, 404, {
    error: 'The demo API has nothing here.',
    try: ['/quote', '/pack/weather', '/pack/dice', '/library/book.txt', '/free/hello', '/live'],
  });
}
