import type { Invoice } from '../../node/node.ts';
import { formatChallenge, formatLsatChallenge } from '../l402/challenge.ts';
import { renderPaymentPage } from '../paywall/payment-page.ts';
import { describePrice } from '../pricing/describe-price.ts';
import { formatPrice } from '../pricing/format-price.ts';
import { corsHeaders } from './cors.ts';
import type { Exchange } from './exchange.ts';
import type { Quote } from './quote-price.ts';
import type { RedeemRefusal } from './redeem-payment.ts';

/** Why payment is asked for. */
export type ChallengeReason = 'no-credential' | 'spent' | 'price-changed' | RedeemRefusal;

/** A challenge ready to be sent. */
export interface Challenge {
  readonly reason: ChallengeReason;
  readonly quote: Quote;
  readonly invoice: Invoice;
  /** Standard base64. */
  readonly macaroon: string;
  readonly playMoney: boolean;
}

const MESSAGES: Record<ChallengeReason, string> = {
  'no-credential':
    'This resource is paid for by the request. Pay the invoice and repeat the request with the credential.',
  spent: 'What was paid for is used up. Pay the new invoice to go on.',
  'price-changed': 'What this credential bought is no longer sold here. Pay the new invoice.',
  malformed: 'The credential could not be read. It has the form: L402 <macaroon>:<preimage>.',
  'bad-signature': 'The credential was not issued by this gateway, or was changed. Pay the new invoice.',
  'bad-terms': 'The credential carries terms that its holder may not set. Pay the new invoice.',
  'bad-preimage':
    'The preimage does not belong to this macaroon. Use the preimage of the payment of its own invoice.',
  'other-service': 'The credential is for another service. Pay the new invoice.',
  'narrowed-away':
    'The credential was narrowed and no longer allows this. Use the original one, or pay the new invoice.',
  expired: 'The credential has expired. Pay the new invoice.',
  revoked: 'The credential was revoked by the operator.',
  'already-used': 'This payment was already used to buy something else. Pay the new invoice.',
};

/** Answers 402 with the invoice and the macaroon, in the form that the client understands. */
export async function sendChallenge(exchange: Exchange, challenge: Challenge): Promise<void> {
  if (isGrpc(exchange)) return sendGrpc(exchange, challenge);
  if (wantsPage(exchange)) return sendPage(exchange, challenge);
  // First the headers: they check invoice and macaroon.
  const headers = [
    ...challengeHeaders(exchange, challenge),
    'Content-Type',
    'application/json; charset=utf-8',
  ];
  send(exchange, 402, headers, challengeBody(exchange, challenge));
}

/** Answers 402 to a HEAD request: the price, but no invoice, as nobody could read a body that says what it is for. */
export function sendHeadChallenge(exchange: Exchange): void {
  send(exchange, 402, [...commonHeaders(exchange), 'Content-Length', '0'], '');
}

function commonHeaders(exchange: Exchange): string[] {
  return [
    'Cache-Control',
    'no-store',
    'L402-Price',
    formatPrice(exchange.service.price),
    ...corsHeaders(exchange.req, exchange.config.corsOrigins),
  ];
}

function challengeHeaders(exchange: Exchange, challenge: Challenge): string[] {
  const { macaroon, invoice } = challenge;
  const headers = ['WWW-Authenticate', formatChallenge({ macaroon, invoice: invoice.bolt11 })];
  if (exchange.config.challenge.legacyLsat) {
    headers.push('WWW-Authenticate', formatLsatChallenge({ macaroon, invoice: invoice.bolt11 }));
  }
  return [...headers, ...commonHeaders(exchange)];
}

/**
 * Written out rather than stringified, which takes twice as long: a flood of challenges passes through here. Invoice, hash and macaroon have
 * been checked to have no character that JSON would escape.
 */
function challengeBody(exchange: Exchange, challenge: Challenge): string {
  const { invoice, macaroon, quote, reason } = challenge;
  const { service } = exchange;
  const pay = challenge.playMoney
    ? `1. Pay the invoice (PLAY MONEY, a simulated network): npx sluice pay ${invoice.bolt11}`
    : '1. Pay the invoice with a Lightning wallet that shows the preimage of its payment.';
  const repeat =
    '2. Repeat the request with the header below; put the preimage (64 hex digits) in place of <preimage>.';
  return `{
  "error": {
    "code": "payment-required",
    "reason": "${reason}",
    "message": ${JSON.stringify(MESSAGES[reason])}
  },
  "service": ${JSON.stringify(service.name)},
  "price": ${JSON.stringify(describePrice(service.price))},
  "amountMsat": ${quote.invoiceMsat},
  "priceSats": ${Math.ceil(quote.invoiceMsat / 1000)},
  "creditMsat": ${quote.creditMsat},
  "invoice": "${invoice.bolt11}",
  "paymentRequest": "${invoice.bolt11}",
  "paymentHash": "${invoice.paymentHash}",
  "expiresAt": "${new Date(invoice.expiresAtSec * 1000).toISOString()}",
  "validUntil": "${new Date(quote.validUntilSec * 1000).toISOString()}",
  "macaroon": "${macaroon}",
  "howToPay": [
    "${pay}",
    "${repeat}"
  ],
  "authorization": "Authorization: L402 ${macaroon}:<preimage>"
}
`;
}

/** gRPC's trailers-only form: its clients read status and message from headers, and stop at any status but 200. */
function sendGrpc(exchange: Exchange, challenge: Challenge): void {
  const type = exchange.req.headers['content-type'] ?? 'application/grpc';
  const headers = [
    'Content-Type',
    type,
    'Grpc-Status',
    '13',
    'Grpc-Message',
    'payment required',
    'Content-Length',
    '0',
  ];
  send(exchange, 200, [...challengeHeaders(exchange, challenge), ...headers], '');
}

async function sendPage(exchange: Exchange, challenge: Challenge): Promise<void> {
  const { invoice, macaroon, quote } = challenge;
  const page = await renderPaymentPage({
    title: exchange.config.title,
    serviceName: exchange.service.name,
    description: describePrice(exchange.service.price),
    amountMsat: quote.invoiceMsat,
    invoice: invoice.bolt11,
    macaroon,
    paymentHash: invoice.paymentHash,
    expiresAtSec: invoice.expiresAtSec,
    playMoney: challenge.playMoney,
    requestUrl: `${exchange.target.path}${exchange.target.query}`,
    method: exchange.req.method ?? 'GET',
  });
  const headers = [
    'Content-Type',
    'text/html; charset=utf-8',
    'Content-Security-Policy',
    page.contentSecurityPolicy,
    'X-Content-Type-Options',
    'nosniff',
    'Referrer-Policy',
    'no-referrer',
    'Vary',
    'Accept',
  ];
  send(exchange, 402, [...challengeHeaders(exchange, challenge), ...headers], page.html);
}

function isGrpc(exchange: Exchange): boolean {
  return exchange.req.headers['content-type']?.startsWith('application/grpc') === true;
}

/** A browser that navigates names text/html first; `fetch` and programs do not name it. */
function wantsPage(exchange: Exchange): boolean {
  return exchange.upgrade === undefined && exchange.req.headers.accept?.includes('text/html') === true;
}

function send(exchange: Exchange, status: number, headers: string[], body: string): void {
  const { res } = exchange;
  if (res.headersSent || res.destroyed) return;
  const length = Buffer.byteLength(body);
  if (body !== '') headers.push('Content-Length', String(length));
  res.writeHead(status, headers);
  // Plain ASCII, which nearly every body is, leaves as it stands: no second encoding.
  res.end(body, length === body.length ? 'latin1' : 'utf8');
}
