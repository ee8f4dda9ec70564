import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

/** A server that speaks as a sentinel does (RESP3), and says what the test wants: what real ones say only when they are broken or hostile. */
export interface FakeSentinel {
  readonly host: '127.0.0.1';
  readonly port: number;
  /** What it says from now on to who asks for the master: bytes of RESP; undefined: nothing, ever. */
  answer(bytes: string | undefined): void;
  /** Says it to all who listen, on the channel of failovers. */
  tell(news: string): void;
  /** Ends all connections, and takes no new ones until {@link FakeSentinel.comeBack}. */
  leave(): void;
  comeBack(): void;
  /** How often it was asked for the master. */
  asked(): number;
  /** Who listens to it now. */
  ears(): number;
  connections(): number;
  stop(): Promise<void>;
}

/** An array of bulk strings. */
export function respArray(parts: readonly string[]): string {
  return `*${parts.length}\r\n${parts.map(bulk).join('')}`;
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

/** A command as clients send it; what they send here is ASCII. */
const COMMAND = /^\*(\d+)\r\n((?:\$\d+\r\n[^\r\n]*\r\n)+)/;

/** Starts it on a free port. */
export async function startFakeSentinel(first?: string): Promise<FakeSentinel> {
  const sockets = new Set<Socket>();
  const ears = new Set<Socket>();
  let answer = first;
  let asked = 0;
  let isAway = false;

  function obey(socket: Socket, [name = '', ...args]: readonly string[]): void {
    switch (name.toUpperCase()) {
      case 'HELLO':
        socket.write(`%1\r\n${bulk('proto')}:3\r\n`);
        return;
      case 'SUBSCRIBE':
        ears.add(socket);
        socket.write(`>3\r\n${bulk('subscribe')}${bulk(args[0] ?? '')}:1\r\n`);
        return;
      case 'SENTINEL':
        asked += 1;
        if (answer !== undefined) socket.write(answer);
        return;
      default:
        socket.write('+OK\r\n');
    }
  }
  const server = createServer((socket) => {
    if (isAway) {
      socket.destroy();
      return;
    }
    sockets.add(socket.setEncoding('latin1'));
    let text = '';
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      ears.delete(socket);
    });
    socket.on('data', (more) => {
      text += String(more);
      for (let found = COMMAND.exec(text); found !== null; found = COMMAND.exec(text)) {
        const lines = found[2]?.split('\r\n') ?? [];
        const count = Number(found[1]);
        if (lines.length < 2 * count) return;
        const parts = lines.slice(0, 2 * count);
        text = text.slice(`*${count}\r\n${parts.join('\r\n')}\r\n`.length);
        obey(
          socket,
          parts.filter((_, at) => at % 2 === 1),
        );
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const end = (): void => {
    for (const socket of sockets) socket.destroy();
    ears.clear();
  };
  return {
    host: '127.0.0.1',
    port: typeof address === 'object' && address !== null ? address.port : 0,
    answer: (bytes) => {
      answer = bytes;
    },
    tell(news) {
      const bytes = `>3\r\n${['message', '+switch-master', news].map(bulk).join('')}`;
      for (const ear of ears) ear.write(bytes);
    },
    leave() {
      isAway = true;
      end();
    },
    comeBack: () => {
      isAway = false;
    },
    asked: () => asked,
    ears: () => ears.size,
    connections: () => sockets.size,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      end();
      await closed;
    },
  };
}
