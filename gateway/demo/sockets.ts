import type { Server } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';

const MAX_MESSAGE_BYTES = 64 * 1024;
/** Who takes nothing is told nothing, bytes. */
const MAX_UNSENT_BYTES = 256 * 1024;
const GOING_AWAY = 1001;
/** How long a client may take to answer a close, ms. */
const CLOSE_TIMEOUT_MS = 1_000;

/** The WebSocket side of a demo upstream. */
export interface DemoSockets {
  /** Closes every connection, so that the server can stop. */
  close(): void;
}

/** `/ws`: sends back what it gets, and says what time it is every `tickMs`. Other paths are refused. */
export function serveSockets(server: Server, tickMs: number): DemoSockets {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    if (request.url?.replace(/[?#].*$/s, '') !== '/ws') {
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (opened) => converse(opened, tickMs));
  });
  return {
    close: () => {
      for (const socket of sockets.clients) {
        socket.close(GOING_AWAY, 'the demo is stopping');
        const late = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
        socket.once('close', () => clearTimeout(late));
      }
    },
  };
}

function converse(socket: WebSocket, tickMs: number): void {
  let count = 0;
  const tick = (): void => {
    if (socket.bufferedAmount > MAX_UNSENT_BYTES) return;
    count += 1;
    socket.send(JSON.stringify({ count, time: new Date().toISOString() }));
  };
  const timer = setInterval(tick, tickMs);
  socket.on('message', (data, isBinary) => {
    if (socket.bufferedAmount <= MAX_UNSENT_BYTES) socket.send(data, { binary: isBinary });
  });
  // Told by ws of frames that break the protocol; it closes the connection itself.
  socket.on('error', () => undefined);
  socket.once('close', () => clearInterval(timer));
  tick();
}
