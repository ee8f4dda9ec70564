import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { createLndNode } from '../../node/lnd.ts';
import type { LightningNode } from '../../node/node.ts';
import { serveLndRest } from '../../node/simnet/lnd-rest.ts';
import { createSimnet, GATEWAY_WALLET } from '../../node/simnet/simnet.ts';
import type { Simnet } from '../../node/simnet/types.ts';
import { folder } from './operator.ts';

/** A folder with a configuration, an upstream, and a simulated network that is served as an LND. */
export interface Shop {
  readonly dir: string;
  readonly dataDir: string;
  readonly node: LightningNode;
  readonly simnet: Simnet;
  readonly upstreamUrl: string;
  /** Writes `sluice.yaml`; the given lines come last, and what is set of the node after what it needs. */
  configure(lines?: readonly string[], ofNode?: string): void;
}

/** Opens a shop; all of it is gone after the test. */
export async function openShop(t: TestContext): Promise<Shop> {
  const dir = folder(t);
  const dataDir = path.join(dir, '.sluice');
  mkdirSync(dataDir, { mode: 0o700 });
  const simnet = createSimnet({ nowMs: Date.now });
  const surface = await serveLndRest(simnet, { host: '127.0.0.1', port: 0 });
  const { macaroon } = simnet.wallet(GATEWAY_WALLET);
  const node = createLndNode({ url: surface.url, macaroon });
  const upstream = createServer((_request, response) => response.end());
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const { port } = upstream.address() as AddressInfo;
  const upstreamUrl = `http://127.0.0.1:${port}`;
  t.after(async () => {
    await node.close();
    await surface.close();
    simnet.close();
    upstream.closeAllConnections();
    upstream.close();
  });
  const configure = (lines: readonly string[] = [], ofNode = ''): void => {
    const text = [
      'listen: 127.0.0.1:0',
      'admin: 127.0.0.1:0',
      `upstream: ${upstreamUrl}`,
      `node: { type: lnd, url: "${surface.url}", macaroon: "${macaroon}", network: regtest${ofNode} }`,
      'log: { level: silent }',
      'services:',
      '  - { name: quote, path: /quote, price: 10 sat }',
      ...lines,
      '',
    ].join('\n');
    writeFileSync(path.join(dir, 'sluice.yaml'), text);
  };
  configure();
  return { dir, dataDir, node, simnet, upstreamUrl, configure };
}
