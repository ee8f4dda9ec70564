import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { escapeHtml, escapeJson, quoteShell } from '../../gateway/paywall/escape.ts';
import { type PaymentPage, renderPaymentPage } from '../../gateway/paywall/payment-page.ts';
import { msat } from '../../node/msat.ts';

const PAGE: PaymentPage = {
  title: 'Weather API',
  serviceName: 'quote',
  description: '10 sat a call',
  amountMsat: msat(10_000),
  invoice: 'lnbcrt100n1pj9nr6mpp5argz38qq0zqzg4n8gsq3gy',
  macaroon: 'AgEEbHNhdAJCAAAC1EmjH7smfI81Lplop54+X8lc==',
  paymentHash: '02'.repeat(32),
  expiresAtSec: 1_900_000_000,
  playMoney: false,
  requestUrl: 'http://127.0.0.1:8402/quote?page=2',
  method: 'GET',
};

const HOSTILE = `"'><script>alert(1)</script><img src=x onerror=alert(2)></textarea>&lt;<!--\u2028$(id)\`id\``;

test('the page shows amount, price, invoice, wallet link, expiry and the way without script', async () => {
  const { html } = await renderPaymentPage(PAGE);
  assert.match(html, /<h1>Pay 10 sat to go on<\/h1>/);
  assert.match(html, /<strong>quote<\/strong>: 10 sat a call/);
  assert.match(html, new RegExp(`<a [^>]*href="lightning:${PAGE.invoice}"`));
  assert.match(html, new RegExp(`<textarea id="invoice" readonly[^>]*>${PAGE.invoice}</textarea>`));
  assert.match(html, /<time id="expires" datetime="2030-03-17T17:46:40.000Z">2030-03-17 17:46 UTC<\/time>/);
  assert.match(html, /curl -H &#39;Authorization: L402 AgEE[^:]+:PREIMAGE&#39;/);
  assert.match(html, /<svg role="img" aria-label="QR code of the invoice" /);
  assert.match(html, /<html lang="en">/);
  assert.doesNotMatch(html, /PLAY MONEY/);
});

test('play money is marked, with the command that pays it', async () => {
  const { html } = await renderPaymentPage({ ...PAGE, playMoney: true });
  assert.match(html, /PLAY MONEY/);
  assert.match(html, new RegExp(`<pre id="command">npx sluice pay ${PAGE.invoice}</pre>`));
});

test('the page loads nothing from elsewhere and runs only its own script and style', async () => {
  const { html, contentSecurityPolicy } = await renderPaymentPage({ ...PAGE, playMoney: true });
  const nonce = /script-src 'nonce-([A-Za-z0-9+/=]{24})'/.exec(contentSecurityPolicy)?.[1];
  assert.ok(nonce !== undefined);
  assert.match(contentSecurityPolicy, /^default-src 'none';/);
  assert.match(contentSecurityPolicy, /frame-ancestors 'none'/);
  assert.doesNotMatch(contentSecurityPolicy, /unsafe|\*|https?:/);
  assert.equal(html.split(`nonce="${nonce}"`).length, 3);
  assert.doesNotMatch(html, /\s(src|on\w+|style)=/);
  const links = [...html.matchAll(/\shref="([^"]*)"/g)].map(([, link = '']) => link);
  assert.ok(links.every((link) => link.startsWith('lightning:')));
  const other = await renderPaymentPage(PAGE);
  assert.ok(!other.contentSecurityPolicy.includes(nonce), 'each page has a nonce of its own');
});

test('a hostile title, service, price, URL and method stay text', async () => {
  const { html } = await renderPaymentPage({
    ...PAGE,
    playMoney: true,
    title: HOSTILE,
    serviceName: HOSTILE,
    description: HOSTILE,
    requestUrl: `http://host/${HOSTILE}`,
    method: HOSTILE,
  });
  assert.equal([...html.matchAll(/<script/g)].length, 2);
  assert.equal([...html.matchAll(/<\/script>/g)].length, 2);
  assert.equal([...html.matchAll(/<\/textarea>/g)].length, 1);
  assert.doesNotMatch(html, /<img|<!--|\u2028.*<script nonce/);
  const data = /<script type="application\/json" id="payment">(.*?)<\/script>/s.exec(html)?.[1] ?? '';
  assert.equal(JSON.parse(data).service, HOSTILE);
});

test('the way for a POST repeats the method', async () => {
  const { html } = await renderPaymentPage({ ...PAGE, method: 'POST' });
  assert.match(html, /curl -X POST -H /);
});

test('escaped HTML has no character that could end a text or an attribute', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.doesNotMatch(escapeHtml(text), /[<>"']|&(?!amp;|lt;|gt;|quot;|#39;)/);
    }),
  );
});

test('escaped JSON parses to the same value and can not end its element', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = escapeJson(value);
      assert.doesNotMatch(text, /[<>&\u2028\u2029]/);
      assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
    }),
  );
});

test('a quoted word reaches a real shell as it is', () => {
  for (const word of [
    'plain',
    '',
    "it's",
    '$(id) `id` $HOME',
    'a b;c&d|e>f',
    '"',
    '\\',
    '!',
    '*',
    "'''",
    '-n',
    '~',
  ]) {
    const printed = execFileSync('sh', ['-c', `printf %s ${quoteShell(word)}`], { encoding: 'utf8' });
    assert.equal(printed, word);
  }
  assert.equal(quoteShell('a\u001b[2J\nb'), "'a[2Jb'");
});
