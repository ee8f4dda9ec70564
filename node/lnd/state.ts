import type { NodeHttp } from '../http.ts';
import { NodeError } from '../node.ts';
import { readAnswer, walletState } from './answers.ts';
import { ask } from './receive.ts';

/** What each state of LND (`lnrpc.WalletState`) means, and what to do about it. */
const REMEDIES: Readonly<Record<string, string>> = {
  NON_EXISTING: 'LND has no wallet yet: make one with "lncli create".',
  LOCKED:
    'LND\'s wallet is locked: unlock it with "lncli unlock" (wallet-unlock-password-file in lnd.conf does it at each start).',
  UNLOCKED: 'LND is starting: it opens its wallet. Wait.',
  RPC_ACTIVE: 'LND is starting: it follows the chain, and serves when it has caught up. Wait.',
  WAITING_TO_START: 'LND waits to become the leader of its cluster. Wait, or point node.url at the leader.',
};

/** Asks a node that is not ready why; LND tells that to anybody. `undefined` when it does not say. */
export async function explainState(
  http: NodeHttp,
  signal: AbortSignal | undefined,
): Promise<NodeError | undefined> {
  try {
    const body = await ask(http, { method: 'GET', path: '/v1/state', signal }, 'its state');
    const remedy = REMEDIES[readAnswer(walletState, body, 'its state').state];
    return remedy === undefined ? undefined : new NodeError('not-ready', remedy);
  } catch {
    return undefined;
  }
}
