import { randomBytes } from 'node:crypto';
import { toString as renderQr } from 'qrcode';
import { formatMsat, type Msat } from '../../node/msat.ts';
import { escapeHtml, escapeJson, quoteShell } from './escape.ts';
import { type PaymentPageData, runPaymentPage } from './payment-client.ts';
import { PAYMENT_STYLE } from './payment-style.ts';

/** What the payment page says. */
export interface PaymentPage {
  /** Name of the gateway. */
  readonly title: string;
  readonly serviceName: string;
  /** The price in words: `10 sat a call`. */
  readonly description: string;
  readonly amountMsat: Msat;
  /** BOLT 11. */
  readonly invoice: string;
  /** Base64, as in the challenge. */
  readonly macaroon: string;
  /** 64 hex digits. */
  readonly paymentHash: string;
  /** Unix seconds: until then the invoice can be paid. */
  readonly expiresAtSec: number;
  /** The Lightning network is simulated. */
  readonly playMoney: boolean;
  /** What was asked for: path and query, as far as the gateway knows the address. */
  readonly requestUrl: string;
  readonly method: string;
}

/** A page and the policy that it must be sent with. */
export interface RenderedPage {
  readonly html: string;
  readonly contentSecurityPolicy: string;
}

/**
 * The 402 for a person: invoice, QR code, what to do. It stands alone (no request to anywhere but this gateway) and works
 * without script; with script it waits for the payment, fetches what was paid for, and shows it.
 */
export async function renderPaymentPage(page: PaymentPage): Promise<RenderedPage> {
  const nonce = randomBytes(16).toString('base64');
  const qr = await invoiceQr(page.invoice);
  const title = escapeHtml(page.title);
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>Payment required – ${title}</title>
<style nonce="${nonce}">${PAYMENT_STYLE}</style>
</head>
<body>
${page.playMoney ? playMoneyBanner(page) : ''}
<main>
<p class="site">${title}</p>
<h1>Pay ${escapeHtml(formatMsat(page.amountMsat))} to go on</h1>
<p class="what"><strong>${escapeHtml(page.serviceName)}</strong>: ${escapeHtml(page.description)}</p>
<p id="status" role="status" aria-live="polite">Waiting for your payment.</p>
<section id="pay" aria-label="Lightning invoice">
${invoiceSection(page, qr)}
</section>
<section id="result" aria-label="What you paid for" hidden></section>
${byHandSection(page)}
</main>
<script type="application/json" id="payment">${escapeJson(scriptData(page))}</script>
<script nonce="${nonce}">(${runPaymentPage.toString()})();</script>
</body>
</html>
`;
  return { html, contentSecurityPolicy: policy(nonce) };
}

function policy(nonce: string): string {
  return [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}'`,
    "connect-src 'self'",
    'img-src blob:',
    'media-src blob:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** Upper case, which a QR code stores in two thirds of the space: BOLT 11 is the same in both. */
async function invoiceQr(invoice: string): Promise<string> {
  const svg = await renderQr(`LIGHTNING:${invoice.toUpperCase()}`, {
    type: 'svg',
    errorCorrectionLevel: 'L',
    margin: 4,
  });
  return svg.replace('<svg ', '<svg role="img" aria-label="QR code of the invoice" ');
}

function playMoneyBanner(page: PaymentPage): string {
  const command = `npx sluice pay ${quoteShell(page.invoice)}`;
  return `<aside class="banner"><p><strong>PLAY MONEY.</strong> This Lightning network is simulated, and nothing here is worth
anything. Real wallets can't pay this invoice. In the folder of the gateway, this can:</p>
<pre id="command">${escapeHtml(command)}</pre>
<button type="button" data-copy="command" hidden>Copy command</button></aside>`;
}

function invoiceSection(page: PaymentPage, qr: string): string {
  const expires = new Date(page.expiresAtSec * 1000).toISOString();
  const invoice = escapeHtml(page.invoice);
  return `<a class="qr" href="lightning:${invoice}" aria-label="Open in a Lightning wallet">${qr}</a>
<p><a class="button" href="lightning:${invoice}">Open in a Lightning wallet</a>
<button type="button" data-copy="invoice" hidden>Copy invoice</button></p>
<label for="invoice">Invoice</label>
<textarea id="invoice" readonly rows="4" spellcheck="false">${invoice}</textarea>
<p class="note">Pay before <time id="expires" datetime="${expires}">${expires.slice(0, 16).replace('T', ' ')} UTC</time>.
Only the first payment counts; never pay an invoice twice.</p>`;
}

function byHandSection(page: PaymentPage): string {
  const method = page.method === 'GET' ? '' : `-X ${quoteShell(page.method)} `;
  const header = quoteShell(`Authorization: L402 ${page.macaroon}:PREIMAGE`);
  const command = `curl ${method}-H ${header}`;
  // The script puts the whole address there: behind a proxy only the browser knows it.
  const address = `<span id="address">${escapeHtml(quoteShell(page.requestUrl))}</span>`;
  return `<details><summary>Without JavaScript, or from a program</summary>
<ol>
<li>Pay the invoice. Your wallet shows the <em>preimage</em> (also called proof of payment): 64 hex digits.</li>
<li>Send the request again, to the address of this page, with this header and the preimage in its place:
<pre id="curl">${escapeHtml(command)} ${address}</pre>
<button type="button" data-copy="curl" hidden>Copy</button></li>
</ol></details>`;
}

function scriptData(page: PaymentPage): PaymentPageData {
  return {
    service: page.serviceName,
    macaroon: page.macaroon,
    paymentHash: page.paymentHash,
    expiresAtSec: page.expiresAtSec,
    method: page.method,
  };
}
