import { decodeInvoice } from '../bolt11.ts';
import type { NodeHttp } from '../http.ts';
import { msat } from '../msat.ts';
import { type Network, NodeError, type NodeInfo } from '../node.ts';
import { newestInvoice, readAnswer } from './answers.ts';
import { ask, createInvoice, getInfo, refuseNetwork } from './receive.ts';
import { explainState } from './state.ts';

/**
 * Tells who the node is. LND's own `invoice.macaroon` may not ask (`getinfo` needs `info:read`), but an invoice tells it too:
 * its prefix is the network, and its signature the key.
 */
export function createIdentity(http: NodeHttp, network: Network | undefined) {
  let known: Pick<NodeInfo, 'publicKey' | 'network'> | undefined;

  const fromInvoice = async (signal: AbortSignal | undefined): Promise<NodeInfo> => {
    known = (await readNewest(http, signal)) ?? known ?? (await readNew(http, signal));
    refuseNetwork(known.network, network);
    return {
      ...known,
      // What LND calls a node that has no alias.
      alias: known.publicKey.slice(0, 20),
      synced: true,
      blockHeight: 0,
    };
  };

  return async (signal: AbortSignal | undefined): Promise<NodeInfo> => {
    try {
      return await getInfo(http, network, signal);
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      if (error.code === 'unauthorized') return await fromInvoice(signal);
      if (error.code === 'not-ready') throw (await explainState(http, signal)) ?? error;
      throw error;
    }
  };
}

/** The newest invoice is the node's own, unless it has none, or it came by keysend or as blinded paths. */
async function readNewest(http: NodeHttp, signal: AbortSignal | undefined) {
  const path = '/v1/invoices?reversed=true&num_max_invoices=1';
  const body = await ask(http, { method: 'GET', path, signal }, 'the invoices');
  const [newest] = readAnswer(newestInvoice, body, 'the invoices').invoices;
  if (newest === undefined || newest.is_blinded || newest.payment_request === '') return undefined;
  return identityIn(newest.payment_request);
}

/** Nobody is shown this invoice. */
async function readNew(http: NodeHttp, signal: AbortSignal | undefined) {
  const request = { amountMsat: msat(1_000), memo: 'Sluice asks which node this is', expirySec: 60 };
  return identityIn((await createInvoice(http, { private: false }, request, signal)).bolt11);
}

function identityIn(bolt11: string): Pick<NodeInfo, 'publicKey' | 'network'> {
  const { payee, network } = decodeInvoice(bolt11);
  return { publicKey: payee, network };
}
