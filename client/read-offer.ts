import { formatMsat, type Msat, msat } from '../node/msat.ts';
import type { Network } from '../node/node.ts';
import { type Challenge, chooseChallenge, parseChallenges } from './challenge.ts';
import type { Clock } from './clock.ts';
import { PaymentError } from './errors.ts';
import type { Quote } from './events.ts';
import { type DecodedInvoice, decodeInvoice } from './invoice.ts';
import { type MacaroonTerms, readMacaroonTerms } from './macaroon-terms.ts';
import { readJsonBody } from './read-json.ts';

/** A 402 that was read and is worth paying, if its price is. */
export interface Offer {
  readonly challenge: Challenge;
  readonly terms: MacaroonTerms;
  readonly url: URL;
  readonly quote: Quote;
  readonly network: Network;
}

/** The fields of a 402's JSON body that are compared with its header. */
interface AnnouncedBody {
  readonly amountMsat?: unknown;
  readonly priceSats?: unknown;
  readonly paymentHash?: unknown;
  readonly macaroon?: unknown;
  readonly invoice?: unknown;
  readonly paymentRequest?: unknown;
}

/** An invoice that ends sooner may not be paid in time. */
const MIN_LEFT_SEC = 5;

/**
 * Reads the offer of a 402 and checks it against itself: the invoice decodes, has an amount, asks no more than the body
 * announced, and is for the payment hash that the macaroon is bound to.
 * @throws {@link PaymentError} `no-challenge`, `bad-invoice`, `invoice-mismatch`
 */
export async function readOffer(response: Response, url: URL, clock: Clock): Promise<Offer> {
  const body: AnnouncedBody = await readJsonBody(response, clock);
  const challenge =
    chooseChallenge(parseChallenges(response.headers.get('www-authenticate'))) ?? challengeInBody(body);
  if (challenge === undefined) {
    throw new PaymentError(
      'no-challenge',
      'The server asks for payment but its answer has no L402 challenge. Nothing was paid; this client pays L402 only, and a ' +
        'HEAD request may have to be sent as GET to be told the price.',
    );
  }
  const invoice = decodeOffered(challenge.invoice);
  const terms = readMacaroonTerms(challenge.macaroon);
  const amountMsat = checkAmount(invoice, body);
  checkHash(invoice, terms, body);
  const quote: Quote = {
    url: url.href,
    service: terms.service ?? '',
    amountMsat,
    memo: invoice.description,
    paymentHash: invoice.paymentHash,
    invoice: challenge.invoice,
    expiresAtSec: invoice.expiresAtSec,
  };
  return { challenge, terms, url, quote, network: invoice.network };
}

/**
 * Checks what depends on the payer: its network and its clock.
 * @throws {@link PaymentError} `wrong-network`, `invoice-expired`
 */
export function checkPayable(offer: Offer, network: Network | undefined, nowMs: number): void {
  const { paymentHash, amountMsat, expiresAtSec } = offer.quote;
  if (network !== undefined && offer.network !== network) {
    throw new PaymentError(
      'wrong-network',
      `The invoice is for ${offer.network} and the wallet is on ${network}. Nothing was paid; use a wallet of that network.`,
      { paymentHash, amountMsat },
    );
  }
  if (expiresAtSec - MIN_LEFT_SEC <= nowMs / 1000) {
    throw new PaymentError(
      'invoice-expired',
      'The invoice has expired or is about to. Nothing was paid; ask again, and check the clock of this machine if it stays so.',
      { paymentHash, amountMsat },
    );
  }
}

function decodeOffered(bolt11: string): DecodedInvoice {
  try {
    return decodeInvoice(bolt11);
  } catch (cause) {
    throw new PaymentError('bad-invoice', 'The invoice of the server can not be read. Nothing was paid.', {
      cause,
    });
  }
}

function checkAmount(invoice: DecodedInvoice, body: AnnouncedBody): Msat {
  const { amountMsat, paymentHash } = invoice;
  if (amountMsat === undefined || amountMsat === 0) {
    throw new PaymentError('invoice-mismatch', 'The invoice names no amount. Nothing was paid.', {
      paymentHash,
    });
  }
  const announced = announcedMsat(body);
  if (announced !== undefined && amountMsat > announced) {
    throw new PaymentError(
      'invoice-mismatch',
      `The server announces ${formatMsat(announced)} and its invoice asks ${formatMsat(amountMsat)}. Nothing was paid.`,
      { paymentHash, amountMsat },
    );
  }
  return amountMsat;
}

function announcedMsat(body: AnnouncedBody): Msat | undefined {
  const exact = body.amountMsat;
  if (typeof exact === 'number' && Number.isSafeInteger(exact) && exact >= 0) return msat(exact);
  const rounded = body.priceSats;
  if (typeof rounded !== 'number' || !(rounded >= 0 && rounded < 1e12)) return undefined;
  return msat(Math.ceil(rounded) * 1000);
}

function checkHash(invoice: DecodedInvoice, terms: MacaroonTerms, body: AnnouncedBody): void {
  for (const hash of [terms.paymentHash, body.paymentHash]) {
    if (typeof hash !== 'string' || hash.toLowerCase() === invoice.paymentHash) continue;
    throw new PaymentError(
      'invoice-mismatch',
      'The invoice has another payment hash than the challenge around it: paying it would not open it. Nothing was paid.',
      { paymentHash: invoice.paymentHash },
    );
  }
}

/** A browser sees `WWW-Authenticate` of another origin only when the server exposes it; the body says the same. */
function challengeInBody(body: AnnouncedBody): Challenge | undefined {
  const { macaroon, invoice, paymentRequest } = body;
  const bolt11 = invoice ?? paymentRequest;
  if (typeof macaroon !== 'string' || typeof bolt11 !== 'string') return undefined;
  return parseChallenges(`L402 macaroon="${macaroon}", invoice="${bolt11}"`)[0];
}
