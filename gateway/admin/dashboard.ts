import { escapeHtml } from '../paywall/escape.ts';
import { runDashboard } from './dashboard-client.ts';

/** A page and the policy that it must be sent with. */
export interface Page {
  readonly html: string;
  readonly contentSecurityPolicy: string;
}

/**
 * The dashboard: an empty page that holds nothing secret. Its script takes the token from the address (`#token=…`, which
 * browsers don't send), or asks for it, and reads the API.
 * @param options.nonce - base64, fresh for each answer.
 */
export function dashboardPage(options: { readonly title: string; readonly nonce: string }): Page {
  const { nonce } = options;
  const title = escapeHtml(options.title);
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} – Sluice</title>
<style nonce="${nonce}">${STYLE}</style>
</head>
<body>
<header><h1>${title}</h1><p id="status" role="status">Loading…</p></header>
<p id="play-money" class="banner" hidden>PLAY MONEY: the Lightning network of this gateway is simulated. Nothing here is worth anything.</p>
<form id="login" hidden>
<label for="token">Admin token (file <code>admin.token</code> in the data folder)</label>
<input id="token" type="password" autocomplete="off" required>
<button>Show</button>
</form>
<main id="content" hidden>
<section aria-labelledby="money-title"><h2 id="money-title">Money</h2><dl id="money" class="cards"></dl></section>
<section aria-labelledby="parts-title"><h2 id="parts-title">Parts</h2><dl id="parts" class="cards"></dl></section>
<section aria-labelledby="services-title"><h2 id="services-title">Services, since this gateway started</h2>
<div class="scroll"><table>
<thead><tr><th>Service</th><th>Sells</th><th>Price</th><th>Served</th><th>Challenges</th><th>Payments</th><th>Earned</th></tr></thead>
<tbody id="services"></tbody>
</table></div></section>
</main>
<noscript><p>This page needs JavaScript. The same numbers are at <code>/api/totals</code> and <code>/api/services</code>.</p></noscript>
<script nonce="${nonce}">(${runDashboard.toString()})();</script>
</body>
</html>
`;
  const contentSecurityPolicy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}'`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  return { html, contentSecurityPolicy };
}

const STYLE = `
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 18%,transparent);--soft:color-mix(in srgb,currentColor 65%,transparent)}
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:0 auto;padding:1.5rem}
h1{margin:0;font-size:1.5rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
#status{margin:.25rem 0;color:var(--soft)}
.banner{background:#b45309;color:#fff;padding:.5rem .75rem;border-radius:.5rem;font-weight:600}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(12rem,1fr));gap:.75rem;margin:0}
.cards div{border:1px solid var(--line);border-radius:.5rem;padding:.5rem .75rem}
.cards dt{color:var(--soft);font-size:.85rem}.cards dd{margin:0;font-weight:600;overflow-wrap:anywhere}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid var(--line)}
td:nth-child(n+4),th:nth-child(n+4){text-align:right;font-variant-numeric:tabular-nums}
form{display:grid;gap:.5rem;max-width:28rem}input,button{font:inherit;padding:.5rem}
[hidden]{display:none}
`;
