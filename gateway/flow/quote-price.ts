import type { Config, ServiceConfig } from '../../config/config.ts';
import { type Msat, maxMsat, ZERO_MSAT } from '../../node/msat.ts';
import type { Invoice, NodeCapabilities } from '../../node/node.ts';
import type { Price } from '../pricing/price.ts';
import { challengeTerms } from '../pricing/quote.ts';
import type { UsageRequest } from './plan-usage.ts';

/** What a challenge offers. */
export interface Quote {
  /** Amount of the invoice, msat. */
  readonly invoiceMsat: Msat;
  /** What its payment credits, msat: the invoice's amount, or 0 for a pass. */
  readonly creditMsat: Msat;
  /** Unix seconds: the invoice's expiry and what was sold, so that nobody pays for something that dies first. */
  readonly validUntilSec: number;
}

/**
 * Prices one purchase of a service, rounded up to what the node can issue and the operator's smallest invoice. A metered price
 * sells its deposit, and never less than what this very request sets aside.
 * @param leastMsat - what this request is known to lack, when its upstream has said how long its answer is
 * @throws GatewayError when a request that is charged by reports can't be priced (an unknown model)
 */
export function quotePrice(
  config: Config,
  service: ServiceConfig,
  node: NodeCapabilities,
  nowSec: number,
  usage?: UsageRequest,
  leastMsat: Msat = ZERO_MSAT,
): Quote {
  const { price, metering } = service;
  const depositMsat =
    metering === undefined
      ? undefined
      : maxMsat(metering.depositMsat, maxMsat(neededMsat(price, usage), leastMsat));
  return challengeTerms(price, {
    minInvoiceMsat: maxMsat(config.challenge.minInvoiceMsat, node.minInvoiceMsat),
    precisionMsat: node.precisionMsat,
    validForSec: service.validForSec,
    invoiceExpirySec: config.challenge.invoiceExpirySec,
    nowSec,
    ...(depositMsat === undefined ? {} : { depositMsat }),
  });
}

/**
 * The quote for an invoice that can be paid for longer than was foreseen: it was waited for, or the node's clock is ahead of ours.
 * The token outlives it by all that is sold, or somebody pays for what is already half over.
 * @param foreseenEndSec - the end of the invoice that the quote was made for, Unix seconds
 */
export function outliveInvoice(quote: Quote, { expiresAtSec }: Invoice, foreseenEndSec: number): Quote {
  if (expiresAtSec <= foreseenEndSec) return quote;
  return { ...quote, validUntilSec: quote.validUntilSec + expiresAtSec - foreseenEndSec };
}

function neededMsat(price: Price, usage: UsageRequest | undefined): Msat {
  return usage === undefined || price.kind !== 'metered'
    ? ZERO_MSAT
    : usage.plan(price, undefined).neededMsat;
}
