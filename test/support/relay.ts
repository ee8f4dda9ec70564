import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A server's address of its own on this machine, behind which the test may make the way to it slow. */
export interface Relay {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** Connections that were made so far, also those that found nobody. */
  connections(): number;
  /** From now on, what is said to a new connection comes so late, ms; 0 ends that for all. */
  delay(ms: number): void;
  stop(): Promise<void>;
}

/** Leads every connection on to a server. */
export async function startRelay(to: { readonly host: string; readonly port: number }): Promise<Relay> {
  const sockets = new Set<Socket>();
  let count = 0;
  let delayMs = 0;
  const hold = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  };
  const server = createServer((near) => {
    count += 1;
    const isLate = delayMs > 0;
    const far = hold(connect(to.port, to.host));
    hold(near).pipe(far);
    far.on('data', (bytes) => setTimeout(() => near.write(bytes), isLate ? delayMs : 0));
    far.on('close', () => near.destroy());
    near.on('close', () => far.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    host: '127.0.0.1',
    port: typeof address === 'object' && address !== null ? address.port : 0,
    connections: () => count,
    delay: (ms) => {
      delayMs = ms;
    },
    async stop() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
