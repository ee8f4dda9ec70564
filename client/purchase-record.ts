import type { Offer } from './read-offer.ts';
import { scopeOf, type TokenRecord } from './token-store.ts';
import type { PaymentContext } from './wallet.ts';

/** What is written down before an offer is paid. */
export function toRecord({ challenge, terms, url, quote }: Offer, nowMs: number): TokenRecord {
  return {
    paymentHash: quote.paymentHash,
    origin: url.origin,
    service: quote.service,
    scopes: [scopeOf(url.pathname)],
    scheme: challenge.scheme,
    macaroon: challenge.macaroon,
    invoice: challenge.invoice,
    amountMsat: quote.amountMsat,
    invoiceExpiresAtSec: quote.expiresAtSec,
    ...(terms.validUntilSec === undefined ? {} : { validUntilSec: terms.validUntilSec }),
    createdAtMs: nowMs,
    state: { kind: 'pending' },
  };
}

/** The value of `Authorization` that presents a token. */
export function authorizationOf(scheme: TokenRecord['scheme'], macaroon: string, preimage: string): string {
  return `${scheme} ${macaroon}:${preimage}`;
}

/** What the wallet is told about a purchase. */
export function contextOf({ origin, macaroon }: TokenRecord): PaymentContext {
  return { origin, macaroon };
}

/**
 * Whether a preimage is the one of a payment hash. Pages that are not served over HTTPS have no WebCrypto; there the
 * wallet's word must do.
 */
export async function isPreimageOf(preimage: string, paymentHash: string): Promise<boolean> {
  if (!/^[0-9a-f]{64}$/i.test(preimage)) return false;
  if (globalThis.crypto.subtle === undefined) return true;
  const bytes = Uint8Array.from(preimage.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const digest = new Uint8Array(await globalThis.crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') === paymentHash;
}
