import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PaymentPage, renderPaymentPage } from '../../gateway/paywall/payment-page.ts';
import { msat } from '../../node/msat.ts';
import { type PageOptions, runPageScript } from '../support/run-page-script.ts';

const PAGE: PaymentPage = {
  title: 'Weather API',
  serviceName: 'quote',
  description: '10 sat a call',
  amountMsat: msat(10_000),
  invoice: 'lnbcrt100n1pj9nr6mpp5argz38qq0zqzg4n8gsq3gy',
  macaroon: 'AgEEbHNhdA==',
  paymentHash: '02'.repeat(32),
  expiresAtSec: 1_900_000_000,
  playMoney: false,
  requestUrl: 'http://127.0.0.1:8402/quote?page=2',
  method: 'GET',
};
const AUTHORIZATION = `L402 AgEEbHNhdA==:${'11'.repeat(32)}`;
const SETTLED = { state: 'settled', paymentHash: PAGE.paymentHash, authorization: AUTHORIZATION };
const KEY = 'sluice-credential:quote';
const json = (body: object, status = 200) => Response.json(body, { status });

async function run(
  options: Partial<PageOptions> & Pick<PageOptions, 'respond'>,
  page: Partial<PaymentPage> = {},
) {
  const { html } = await renderPaymentPage({ ...PAGE, ...page });
  return runPageScript({ html, location: PAGE.requestUrl, ...options });
}

test('the script waits for the payment, fetches the page with the credential and shows the JSON as text', async () => {
  let polls = 0;
  const page = await run({
    respond: (url) => {
      if (!url.startsWith('/.l402/')) return json({ text: '<b>bold</b>' });
      polls += 1;
      return json(polls < 3 ? { state: 'open' } : SETTLED);
    },
  });
  await page.until('status', /Here it is/);
  assert.equal(polls, 3);
  assert.equal(page.requests[0]?.url, `/.l402/invoices/${PAGE.paymentHash}?wait=50`);
  assert.equal(page.requests[0]?.headers['L402-Macaroon'], PAGE.macaroon);
  const last = page.requests.at(-1);
  assert.deepEqual([last?.url, last?.headers['Authorization']], [PAGE.requestUrl, AUTHORIZATION]);
  assert.equal(page.byId('result').children[0]?.textContent, '{\n  "text": "<b>bold</b>"\n}');
  assert.equal(page.byId('pay').hidden, true);
  assert.equal(page.storage.get(KEY), AUTHORIZATION);
});

test('another type is offered as a file, and HTML never as a page that could run', async () => {
  const page = await run({
    location: 'http://127.0.0.1:8402/library/index.html',
    respond: (url) =>
      url.startsWith('/.l402/')
        ? json(SETTLED)
        : new Response('<script>alert(1)</script>', { headers: { 'Content-Type': 'text/html' } }),
  });
  await page.until('status', /Here it is/);
  const [text, link] = page.byId('result').children;
  assert.equal(text?.textContent, '<script>alert(1)</script>');
  assert.equal(link?.attributes.get('download'), 'index.html');
  const blob = await fetch(link?.attributes.get('href') ?? '');
  assert.equal(blob.headers.get('content-type'), 'application/octet-stream');
});

test('an image is shown', async () => {
  const page = await run({
    respond: (url) =>
      url.startsWith('/.l402/')
        ? json(SETTLED)
        : new Response('x', { headers: { 'Content-Type': 'image/png' } }),
  });
  await page.until('status', /Here it is/);
  assert.equal(page.byId('result').children[0]?.tag, 'img');
});

test('a credential of this tab is used before anybody pays again', async () => {
  const page = await run({ storage: { [KEY]: AUTHORIZATION }, respond: () => json({ ok: true }) });
  await page.until('status', /Here it is/);
  assert.equal(page.requests.length, 1);
  assert.equal(page.requests[0]?.headers['Authorization'], AUTHORIZATION);
});

test('a credential that is spent is forgotten, and the page waits for a payment', async () => {
  const page = await run({
    storage: { [KEY]: AUTHORIZATION },
    respond: (url) => (url.startsWith('/.l402/') ? json({ state: 'expired' }) : json({}, 402)),
  });
  await page.until('status', /expired.*Reload/);
  assert.equal(page.storage.has(KEY), false);
});

test('a gateway that does not answer for a while is asked again', async () => {
  let polls = 0;
  const page = await run({
    respond: (url) => {
      if (!url.startsWith('/.l402/')) return json({ ok: true });
      polls += 1;
      if (polls === 1) throw new TypeError('network');
      return polls === 2 ? json({}, 503) : json(SETTLED);
    },
  });
  await page.until('status', /Here it is/);
});

test('an invoice that is not known any more ends the wait', async () => {
  const page = await run({ respond: () => json({}, 404) });
  await page.until('status', /not known any more/);
  assert.equal(page.requests.length, 1);
});

test('an error of the upstream is shown as paid and failed', async () => {
  const page = await run({
    respond: (url) => (url.startsWith('/.l402/') ? json(SETTLED) : json({ error: 'x' }, 500)),
  });
  await page.until('status', /Paid, but the answer is an error: 500/);
});

test('after a POST the page shows the header instead of sending the request without its body', async () => {
  const page = await run({ respond: () => json(SETTLED) }, { method: 'POST' });
  await page.until('result', /Authorization: L402/);
  assert.match(page.byId('status').textContent, /Send your POST again/);
  assert.equal(page.requests.length, 1);
});

test('the command for a terminal names the whole address, and stays one word whatever is in it', async () => {
  const page = await run({
    location: "http://shop.example:8402/it's?a=$(b)#c",
    respond: () => json({ state: 'expired' }),
  });
  await page.until('status', /expired/);
  assert.equal(page.byId('address').textContent, "'http://shop.example:8402/it'\\''s?a=$(b)'");
});
