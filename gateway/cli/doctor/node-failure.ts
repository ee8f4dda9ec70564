import { BAKE_LINE } from '../../../node/lnd/macaroon-rights.ts';
import { NodeError, type NodeErrorCode } from '../../../node/node.ts';
import type { Diagnosis, Scribe } from './diagnosis.ts';

/** What to do about each error that a node can give. */
export const NODE_REMEDIES: Readonly<Record<NodeErrorCode, string>> = {
  unreachable:
    'look whether the node runs, whether `node.url` is its REST address (and `node.grpcUrl` its gRPC one), and whether tls.cert is its present one',
  timeout: 'look whether the node is overloaded, or a firewall swallows what is sent',
  'not-ready': 'unlock its wallet (`lncli unlock`) and wait until it is up (`lncli state`)',
  unauthorized: `bake a macaroon with: ${BAKE_LINE}`,
  rejected: 'read what the node says; its own log says more',
  protocol:
    'look whether `node.url` is the REST address of LND (port 8080), and `node.grpcUrl`, when it is set, its gRPC one (10009)',
  'wrong-network': 'set `node.network` to the network that the node is on, or name another node',
  'bad-invoice': 'look whether `node.url` is your own node',
  busy: 'try again',
};

/**
 * A failure of the node as a problem, with its remedy.
 * @throws whatever is no {@link NodeError}, as it is
 */
export function diagnoseFailure(say: Scribe, error: unknown): Diagnosis {
  if (!(error instanceof NodeError)) throw error;
  return say.problem(error.message.replace(/\.$/, ''), NODE_REMEDIES[error.code]);
}
