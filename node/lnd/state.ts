import type { NodeHttp } from '../http.ts';
import { NodeError } from '../node.ts';
import { readAnswer, walletState } from './answers.ts';
import { ask } from './receive.ts';
import { STATE_REMEDIES } from './remedies.ts';

/** Asks a node that is not ready why; LND tells that to anybody. `undefined` when it does not say. */
export async function explainState(
  http: NodeHttp,
  signal: AbortSignal | undefined,
): Promise<NodeError | undefined> {
  try {
    const body = await ask(http, { method: 'GET', path: '/v1/state', signal }, 'its state');
    const remedy = STATE_REMEDIES[readAnswer(walletState, body, 'its state').state];
    return remedy === undefined ? undefined : new NodeError('not-ready', remedy);
  } catch {
    return undefined;
  }
}
