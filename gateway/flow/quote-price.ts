import type { Config, ServiceConfig } from '../../config/config.ts';
import type { Msat } from '../../node/msat.ts';
import type { NodeCapabilities } from '../../node/node.ts';
import { challengeTerms } from '../pricing/quote.ts';

/** What a challenge offers. */
export interface Quote {
  /** Amount of the invoice, msat. */
  readonly invoiceMsat: Msat;
  /** What its payment credits, msat: the invoice's amount, or 0 for a pass. */
  readonly creditMsat: Msat;
  /** Unix seconds: the invoice's expiry and what was sold, so that nobody pays for something that dies first. */
  readonly validUntilSec: number;
}

/** Prices one purchase of a service, rounded up to what the node can issue and the operator's smallest invoice. */
export function quotePrice(
  config: Config,
  service: ServiceConfig,
  node: NodeCapabilities,
  nowSec: number,
): Quote {
  return challengeTerms(service.price, {
    minInvoiceMsat:
      config.challenge.minInvoiceMsat > node.minInvoiceMsat
        ? config.challenge.minInvoiceMsat
        : node.minInvoiceMsat,
    precisionMsat: node.precisionMsat,
    validForSec: service.validForSec,
    invoiceExpirySec: config.challenge.invoiceExpirySec,
    nowSec,
  });
}
