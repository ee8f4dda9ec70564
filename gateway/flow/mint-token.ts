import { randomFillSync } from 'node:crypto';
import type { ServiceConfig } from '../../config/config.ts';
import type { Invoice } from '../../node/node.ts';
import { termsToCaveats } from '../l402/caveat.ts';
import { encodeIdentifier } from '../l402/identifier.ts';
import { macaroonToBase64, mintMacaroon } from '../l402/macaroon.ts';
import { formatPrice } from '../pricing/format-price.ts';
import type { Keyring } from './keys.ts';
import type { Quote } from './quote-price.ts';
import { createTokenIds } from './token-ids.ts';

const newTokenId = createTokenIds(randomFillSync);

/**
 * Mints the macaroon of a challenge: bound to the invoice by its payment hash, with the terms as signed caveats. Nothing is
 * stored: the root key is derived from the identifier.
 * @param accountId - the account that the payment shall credit; undefined for a new one, named after the token itself
 * @returns standard base64
 */
export function mintToken(
  keys: Keyring,
  service: ServiceConfig,
  quote: Quote,
  invoice: Invoice,
  accountId: string | undefined,
): string {
  const tokenId = newTokenId();
  const identifier = encodeIdentifier({ paymentHash: invoice.paymentHash, tokenId });
  const caveats = termsToCaveats({
    service: service.name,
    capabilities: service.capabilities,
    validUntilSec: quote.validUntilSec,
    accountId: accountId ?? tokenId,
    creditMsat: quote.creditMsat,
    price: formatPrice(service.price),
  });
  return macaroonToBase64(mintMacaroon(keys.mintingKey(identifier), identifier, caveats));
}
