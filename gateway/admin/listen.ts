import { createServer } from 'node:http';
import { isIPv6 } from 'node:net';
import type { BoundAddress } from '../server.ts';
import { type AdminDeps, createAdminApp } from './app.ts';

/** The admin listener, open. */
export interface AdminListener {
  readonly address: BoundAddress;
  /** Stops at once: nothing here is worth waiting for. */
  close(): Promise<void>;
}

/** Opens the control plane on its own listener. @throws Error when the address can't be had */
export async function listenAdmin(
  where: { readonly host: string; readonly port: number },
  deps: AdminDeps,
): Promise<AdminListener> {
  const server = createServer(
    { maxHeaderSize: 16_384, headersTimeout: 10_000, requestTimeout: 30_000 },
    createAdminApp(deps),
  );
  server.maxConnections = 256;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(where.port, where.host, resolve);
  await promise;
  server.off('error', reject);
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('the admin listener has no TCP port');
  const host = isIPv6(bound.address) ? `[${bound.address}]` : bound.address;
  return {
    address: { address: bound.address, port: bound.port, url: `http://${host}:${bound.port}` },
    close: async () => {
      const closed = new Promise<void>((done) => server.close(() => done()));
      server.closeAllConnections();
      await closed;
    },
  };
}
