import type { NodeConfig } from '../../../config/config.ts';
import { createNodeGrpc, type NodeGrpc } from '../../../node/grpc.ts';
import { waysToLnd } from '../../../node/index.ts';
import { reachGrpc } from '../../../node/lnd/grpc.ts';
import { type Diagnosis, scribe } from './diagnosis.ts';
import { diagnoseFailure } from './node-failure.ts';

const TIMEOUT_MS = 10_000;

/** Whether somebody is at the address where invoices are made over gRPC. LND tells that without a macaroon: none is sent. */
export async function checkGrpc(node: NodeConfig): Promise<readonly Diagnosis[]> {
  if (node.type !== 'lnd' || node.grpcUrl === undefined) return [];
  const say = scribe('gRPC');
  let grpc: NodeGrpc | undefined;
  try {
    const bounds = { timeoutMs: TIMEOUT_MS, concurrency: 1 };
    grpc = createNodeGrpc({ ...waysToLnd(node), ...bounds, url: node.grpcUrl, metadata: {} });
    await reachGrpc(grpc, undefined);
    return [say.ok(`${node.grpcUrl} answers: invoices are made there`)];
  } catch (error) {
    return [diagnoseFailure(say, error)];
  } finally {
    await grpc?.close();
  }
}
