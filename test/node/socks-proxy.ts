import { connect, createServer, type Socket } from 'node:net';

/** What a client asked the proxy for, as it stood on the wire. */
export interface Asked {
  readonly userName: string | undefined;
  readonly password: string | undefined;
  /** RFC 1928: 1 IPv4, 3 domain name, 4 IPv6. */
  readonly addressType: number;
  readonly host: string;
  readonly port: number;
}

/** A small SOCKS5 proxy (RFC 1928, 1929) that connects everything to one port of this machine. */
export interface TestProxy {
  readonly url: string;
  readonly port: number;
  readonly asked: readonly Asked[];
  sockets(): number;
  close(): Promise<void>;
}

/** What a hostile proxy does with a connection. */
export type Hostility = (client: Socket) => void;

/** Starts one. With `hostility`, that is all it does. */
export async function openProxy(
  targetPort: number,
  options: { readonly login?: string; readonly refuse?: number; readonly hostility?: Hostility } = {},
): Promise<TestProxy> {
  const asked: Asked[] = [];
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    keep(client);
    if (options.hostility !== undefined) {
      client.resume();
      options.hostility(client);
      return;
    }
    void serve(client).catch(() => client.destroy());
  });

  const serve = async (client: Socket): Promise<void> => {
    const read = reader(client);
    const [, methods = 0] = await read(2);
    await read(methods);
    let login: string | undefined;
    if (options.login === undefined) {
      client.write(Buffer.from([5, 0]));
    } else {
      client.write(Buffer.from([5, 2]));
      const [, userBytes = 0] = await read(2);
      const user = (await read(userBytes)).toString();
      const [passwordBytes = 0] = await read(1);
      login = `${user}:${(await read(passwordBytes)).toString()}`;
      const good = login === options.login;
      client.write(Buffer.from([1, good ? 0 : 1]));
      if (!good) return void client.end();
    }
    const [, , , addressType = 0] = await read(4);
    const length = addressType === 1 ? 4 : addressType === 4 ? 16 : ((await read(1))[0] ?? 0);
    const address = await read(length);
    const host = addressType === 3 ? address.toString() : address.toString('hex');
    const port = (await read(2)).readUInt16BE();
    const [userName, password] = login?.split(':') ?? [];
    asked.push({ userName, password, addressType, host, port });
    if (options.refuse !== undefined) {
      client.end(Buffer.from([5, options.refuse, 0, 1, 0, 0, 0, 0, 0, 0]));
      return;
    }
    const target = connect(targetPort, '127.0.0.1', () => {
      client.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
      read.stop();
      client.pipe(target);
      target.pipe(client);
    });
    keep(target);
    client.on('close', () => target.destroy());
    target.on('close', () => client.destroy());
  };

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `socks5h://127.0.0.1:${port}`,
    port,
    asked,
    sockets: () => sockets.size,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Reads so many bytes, one call after the other. */
function reader(socket: Socket) {
  let bytes = Buffer.alloc(0);
  let wake: () => void = () => {};
  const onData = (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    wake();
  };
  socket.on('data', onData);
  const read = async (count: number): Promise<Buffer> => {
    while (bytes.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const taken = bytes.subarray(0, count);
    bytes = bytes.subarray(count);
    return taken;
  };
  return Object.assign(read, { stop: () => void socket.off('data', onData) });
}
