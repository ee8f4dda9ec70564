/** The style of the live page: system fonts and colours, light and dark, nothing loaded. */
export const LIVE_PAGE_STYLE = `
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 20%,transparent);--accent:#c2410c}
@media (prefers-color-scheme:dark){:root{--accent:#fb923c}}
*{box-sizing:border-box}
body{font:17px/1.5 system-ui,sans-serif;margin:0}
main{max-width:40rem;margin:0 auto;padding:1rem 1rem 4rem}
h1{font-size:1.75rem;line-height:1.2}h2{font-size:1.2rem}
.banner{background:#92400e;color:#fff;padding:.5rem 1rem;text-align:center}
button{font:inherit;padding:.5rem 1rem;border:1px solid var(--line);border-radius:.5rem;background:transparent;color:inherit;cursor:pointer}
button:disabled{opacity:.5;cursor:default}
button.main:not(:disabled){background:#c2410c;border-color:#c2410c;color:#fff;font-weight:600}
button:focus-visible,textarea:focus-visible,input:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
#status{border-left:.25rem solid var(--accent);padding:.25rem .75rem;font-weight:600;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.5rem;margin:1rem 0}
dl div{border:1px solid var(--line);border-radius:.5rem;padding:.5rem .75rem}
dt{font-size:.85rem}dd{margin:0;font-size:1.3rem;font-variant-numeric:tabular-nums}
#pay{border:2px solid var(--accent);border-radius:.75rem;padding:0 1rem 1rem}
#qr{display:block;width:17.5rem;height:17.5rem;background:#fff;border-radius:.5rem;margin:.5rem 0}
label[for]{display:block;font-weight:600}
textarea,pre{width:100%;font:.85rem/1.4 ui-monospace,monospace;border:1px solid var(--line);border-radius:.5rem;padding:.5rem;background:transparent;color:inherit;overflow-wrap:anywhere;white-space:pre-wrap;margin:.25rem 0 .5rem}
#events{list-style:none;padding:0;font-family:ui-monospace,monospace;font-size:.9rem}
#events li{border-bottom:1px solid var(--line);padding:.15rem 0;overflow-wrap:anywhere}
[hidden]{display:none}
`;
