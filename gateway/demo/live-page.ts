import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { toString as renderQr } from 'qrcode';
import { type BrowserModules, loadBrowserModules } from './browser-modules.ts';
import { runLivePage } from './live-page-client.ts';
import { LIVE_PAGE_STYLE } from './live-page-style.ts';
import { type DemoRoute, send, sendJson, sendNotFound } from './route.ts';

/** BOLT 11 in a QR code; longer ones don't fit. */
const MAX_QR_CHARACTERS = 2_500;
const MODULES = '/free/modules/';

/**
 * `/free/live.html`: a page that plays `/live`, paid for by the second. It runs the client library itself, which is served beside
 * it under `/free/modules/`; `/free/qr.svg?text=…` draws its invoices.
 */
export function livePageRoutes(): readonly DemoRoute[] {
  let loading: Promise<BrowserModules> | undefined;
  // Loaded for the first visitor: most demos are never looked at in a browser.
  const modules = (): Promise<BrowserModules> => {
    loading ??= loadBrowserModules();
    return loading;
  };
  return [
    {
      path: '/free/live.html',
      serve: ({ response }) => void answer(response, async () => sendPage(response, await modules())),
    },
    {
      path: MODULES,
      serve: ({ response, rest }) =>
        void answer(response, async () => sendModule(response, await modules(), rest)),
    },
    {
      path: '/free/qr.svg',
      serve: ({ request, response }) => {
        const text = new URL(request.url ?? '/', 'http://demo').searchParams.get('text') ?? '';
        void answer(response, () => sendQr(response, text));
      },
    },
  ];
}

async function answer(response: ServerResponse, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch {
    if (response.headersSent) response.destroy();
    else sendJson(response, 500, { error: 'The demo page can not be made; is the source tree complete?' });
  }
}

async function sendModule(
  response: ServerResponse,
  { sources }: BrowserModules,
  path: string,
): Promise<void> {
  const source = sources.get(path);
  if (source === undefined) sendNotFound(response);
  else send(response, 200, 'text/javascript; charset=utf-8', source);
}

async function sendQr(response: ServerResponse, text: string): Promise<void> {
  if (!/^[A-Za-z0-9:]+$/.test(text) || text.length > MAX_QR_CHARACTERS) {
    sendJson(response, 400, { error: 'text takes an invoice.' });
    return;
  }
  send(
    response,
    200,
    'image/svg+xml',
    await renderQr(text, { type: 'svg', errorCorrectionLevel: 'L', margin: 4 }),
  );
}

async function sendPage(response: ServerResponse, { imports }: BrowserModules): Promise<void> {
  const nonce = randomBytes(16).toString('base64');
  response.setHeader('Content-Security-Policy', policy(nonce));
  response.setHeader('Cache-Control', 'no-store');
  response.setHeader('Referrer-Policy', 'no-referrer');
  const paths = Object.entries(imports).map(([name, path]) => [name, MODULES + path]);
  const map = JSON.stringify({ imports: Object.fromEntries(paths) });
  send(response, 200, 'text/html; charset=utf-8', page(nonce, map));
}

function policy(nonce: string): string {
  return [
    "default-src 'none'",
    `script-src 'self' 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}'`,
    "connect-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** The import map holds paths of ours alone; nothing of a visitor gets into the page. */
function page(nonce: string, importMap: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>A stream, paid for by the second – Sluice demo</title>
<style nonce="${nonce}">${LIVE_PAGE_STYLE}</style>
<script type="importmap" nonce="${nonce}">${importMap}</script>
</head>
<body>
<aside class="banner"><strong>PLAY MONEY.</strong> This Lightning network is simulated, and nothing here is worth anything.</aside>
<main>
<h1>A stream, paid for by the second</h1>
<p>The events below are sold at 100 msat a second. Pay once, watch the balance run down, top up while it runs, stop when you like:
what is left stays yours, in this tab.</p>
<p><button type="button" id="start" class="main">Watch</button>
<button type="button" id="stop" disabled>Stop</button>
<button type="button" id="topup" disabled>Top up by 20 sat</button>
<label><input type="checkbox" id="auto" checked> ask me to top up before it is empty</label></p>
<p id="status" role="status" aria-live="polite">Nothing is paid for yet.</p>
<dl>
<div><dt>Balance</dt><dd id="balance">–</dd></div>
<div><dt>Price</dt><dd id="rate">–</dd></div>
<div><dt>Lasts</dt><dd id="lasts">–</dd></div>
<div><dt>Paid in all</dt><dd id="paid">0 sat</dd></div>
</dl>
<section id="pay" aria-label="Lightning invoice" hidden>
<h2 id="amount"></h2>
<p>Pay it in a terminal, in the folder of the gateway; the page goes on by itself:</p>
<pre id="command"></pre>
<button type="button" id="copy">Copy command</button>
<p>Or with a wallet of the simulated network:</p>
<img id="qr" alt="QR code of the invoice" width="280" height="280">
<label for="invoice">Invoice</label>
<textarea id="invoice" readonly rows="4" spellcheck="false"></textarea>
</section>
<h2>The stream</h2>
<ol id="events" aria-label="Newest events first"></ol>
<noscript><p>This page needs JavaScript. Without it: <code>npx sluice stream http://127.0.0.1:8402/live</code></p></noscript>
</main>
<script type="module" nonce="${nonce}">
import * as sluice from 'sluice/client';
(${runLivePage.toString()})(sluice);
</script>
</body>
</html>
`;
}
