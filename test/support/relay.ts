import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A server's address of its own on this machine, behind which the test may make the way to it slow, or swallow what is sent. */
export interface Relay {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** Connections that were made so far, also those that found nobody. */
  connections(): number;
  /** From now on, what is said to a new connection comes so late, ms; 0 ends that for all. */
  delay(ms: number): void;
  /** What is open stays open and carries nothing any more; new connections work. */
  swallow(): void;
  stop(): Promise<void>;
}

/** Leads every connection on to a server. */
export async function startRelay(to: { readonly host: string; readonly port: number }): Promise<Relay> {
  const sockets = new Set<Socket>();
  const swallows = new Set<() => void>();
  let count = 0;
  let delayMs = 0;
  const hold = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    count += 1;
    const isLate = delayMs > 0;
    const near = hold(client);
    const far = hold(connect(to.port, to.host));
    let isSwallowed = false;
    near.pipe(far);
    far.on('data', (bytes) => {
      if (isSwallowed) return;
      if (isLate) setTimeout(() => near.write(bytes), delayMs);
      else near.write(bytes);
    });
    far.on('close', () => isSwallowed || near.end());
    near.on('close', () => isSwallowed || far.destroy());
    swallows.add(() => {
      isSwallowed = true;
      near.unpipe(far).resume();
    });
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
    swallow() {
      for (const swallow of swallows) swallow();
    },
    async stop() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
