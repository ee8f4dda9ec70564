import type { Config, ServiceConfig } from '../../config/config.ts';
import type { NodeCapabilities } from '../../node/node.ts';
import type { InvoiceTerms } from './make-invoice.ts';
import { quotePrice } from './quote-price.ts';

/** Whether everybody who asks for this service gets the same invoice: then it may be made ahead. */
export function isFixedPrice({ price, metering }: ServiceConfig): boolean {
  if (price.kind === 'free' || price.kind === 'fiat') return false;
  // What is charged by reports sells at least what the very request sets aside.
  return metering?.usage === undefined;
}

/** The memo of a challenge's invoice. */
export function challengeMemo({ challenge }: Config, service: ServiceConfig): string {
  return `${challenge.memo}: ${service.name}`;
}

/** What a plain challenge of each service asks for; a price that depends on the request may ask for more. */
export function listedOrders(
  config: Config,
  node: NodeCapabilities,
): readonly (InvoiceTerms & { readonly service: string })[] {
  const priced = config.services.filter(({ price }) => price.kind !== 'free' && price.kind !== 'fiat');
  return priced.map((service) => ({
    service: service.name,
    amountMsat: quotePrice(config, service, node, 0).invoiceMsat,
    memo: challengeMemo(config, service),
    expirySec: config.challenge.invoiceExpirySec,
  }));
}
