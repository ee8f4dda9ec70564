import { checkInvoice } from '../../node/bolt11.ts';
import type { Msat } from '../../node/msat.ts';
import type { Invoice, LightningNode, NodeInfo } from '../../node/node.ts';

/** What an invoice says: two with the same terms can stand for each other until one of them was shown. */
export interface InvoiceTerms {
  readonly amountMsat: Msat;
  readonly memo: string;
  readonly expirySec: number;
}

/** Has the node make an invoice, and checks what it returned. @throws NodeError */
export type MakeInvoice = (terms: InvoiceTerms, signal: AbortSignal) => Promise<Invoice>;

/** What making invoices needs. */
export interface MakerDeps {
  readonly node: Pick<LightningNode, 'createInvoice'>;
  /** Who the node is, from its own mouth: invoices must be signed by its key, for its network. */
  readonly nodeInfo: (signal: AbortSignal) => Promise<NodeInfo>;
  /** The memo as the invoice carries it: with a mark by which it is known again. */
  readonly tagMemo: (memo: string) => string;
  readonly nowMs: () => number;
}

/** Nobody sees an invoice of the node before it passed here. */
export function invoiceMaker({ node, nodeInfo, tagMemo, nowMs }: MakerDeps): MakeInvoice {
  return async (terms, signal) => {
    const info = await nodeInfo(signal);
    const { amountMsat, expirySec } = terms;
    const memo = tagMemo(terms.memo);
    const invoice = await node.createInvoice({ amountMsat, memo, expirySec }, { signal });
    checkInvoice(invoice, {
      amountMsat,
      memo,
      network: info.network,
      payee: info.publicKey,
      // The token is minted to outlive its invoice by what was sold; one that lives longer could be paid in vain.
      maxExpirySec: expirySec,
      nowSec: Math.floor(nowMs() / 1000),
    });
    return invoice;
  };
}
