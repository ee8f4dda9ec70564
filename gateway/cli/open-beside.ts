import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../../config/config.ts';
import { type OpenedNode, openNode, SIMNET_ADDRESS_FILE } from '../../node/index.ts';
import { NodeError } from '../../node/node.ts';
import { GATEWAY_WALLET } from '../../node/simnet/simnet.ts';

const MAX_ADDRESS_BYTES = 16_384;
const TIMEOUT_MS = 10_000;

/**
 * Opens the configured node for a command that may run beside the gateway. The simulated network lives in the gateway's own
 * process: when that one runs, it is asked over its LND surface.
 * @throws NodeError
 */
export async function openNodeBeside({ node, dataDir }: Config): Promise<OpenedNode> {
  const deps = { dataDir, nowMs: Date.now, listenSurface: false, timeoutMs: TIMEOUT_MS };
  try {
    return await openNode(node, deps);
  } catch (error) {
    const inUse = error instanceof NodeError && error.code === 'not-ready';
    if (node.type !== 'simulated' || node.url !== undefined || !inUse) throw error;
    const surface = readSurface(path.join(dataDir, SIMNET_ADDRESS_FILE));
    if (surface === undefined) throw error;
    return await openNode({ ...node, ...surface }, deps);
  }
}

/** Where the running gateway serves its network, from the file that it writes. */
function readSurface(file: string): { readonly url: string; readonly macaroon: string } | undefined {
  if (!existsSync(file)) return undefined;
  try {
    const text = readFileSync(file, 'utf8');
    const value: unknown = text.length > MAX_ADDRESS_BYTES ? undefined : JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('url' in value) || !('wallets' in value))
      return undefined;
    const { url, wallets } = value;
    if (typeof url !== 'string' || typeof wallets !== 'object' || wallets === null) return undefined;
    const macaroon: unknown = Reflect.get(wallets, GATEWAY_WALLET);
    return typeof macaroon === 'string' ? { url, macaroon } : undefined;
  } catch {
    return undefined;
  }
}
