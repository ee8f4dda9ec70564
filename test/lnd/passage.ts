import { connect, createServer, type Socket } from 'node:net';

/** A way to a port on this machine that can be closed and held: an outage, or a slow network, without touching the programs. */
export interface Passage {
  readonly port: number;
  /** Shut: connections are cut and new ones refused. */
  setShut(shut: boolean): void;
  /** What is sent waits … */
  hold(): void;
  /** … and goes on. */
  release(): void;
  close(): Promise<void>;
}

/** Opens a way to a port, at a port of its own. */
export async function openPassage(target: number): Promise<Passage> {
  const sockets = new Set<Socket>();
  let [shut, held] = [false, false];
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((near) => {
    keep(near);
    if (shut) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(target, '127.0.0.1');
    keep(far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (chunk: Buffer) => {
        if (!to.write(chunk)) from.pause();
      });
      to.on('drain', () => {
        if (!held) from.resume();
      });
      from.on('close', () => to.destroy());
      if (held) from.pause();
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    setShut(next) {
      shut = next;
      if (shut) for (const socket of sockets) socket.destroy();
    },
    hold() {
      held = true;
      for (const socket of sockets) socket.pause();
    },
    release() {
      held = false;
      for (const socket of sockets) socket.resume();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
