/** The payment page's style: system fonts and colours, light and dark, nothing loaded. */
export const PAYMENT_STYLE = `
:root{color-scheme:light dark;--line:color-mix(in srgb,currentColor 20%,transparent);--soft:color-mix(in srgb,currentColor 68%,transparent);--accent:#c2410c}
@media (prefers-color-scheme:dark){:root{--accent:#fb923c}}
*{box-sizing:border-box}
body{font:17px/1.5 system-ui,sans-serif;margin:0}
main{max-width:36rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.75rem;line-height:1.2;margin:.25rem 0 .5rem}
.site,.note{color:var(--soft);margin:0}.note{font-size:.9rem}
.what{overflow-wrap:anywhere}
#status{border-left:.25rem solid var(--accent);padding:.25rem .75rem;font-weight:600}
.qr{display:block;max-width:20rem;margin:1rem auto;background:#fff;border-radius:.75rem;overflow:hidden}
.qr svg{display:block;width:100%;height:auto}
.button,button{display:inline-block;font:inherit;padding:.5rem 1rem;border:1px solid var(--line);border-radius:.5rem;background:transparent;color:inherit;cursor:pointer;text-decoration:none}
.button{background:#c2410c;border-color:#c2410c;color:#fff;font-weight:600}
a:focus-visible,button:focus-visible,textarea:focus-visible,summary:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
label{display:block;font-weight:600;margin-top:1rem}
textarea,pre{width:100%;font:.85rem/1.4 ui-monospace,monospace;border:1px solid var(--line);border-radius:.5rem;padding:.5rem;background:transparent;color:inherit;overflow-wrap:anywhere;white-space:pre-wrap;margin:.25rem 0 .5rem}
textarea{resize:vertical}
#result pre{max-height:60vh;overflow:auto}
#result img,#result audio,#result video{max-width:100%}
details{margin-top:2rem}
.banner{background:#92400e;color:#fff;padding:.75rem 1rem}
.banner p,.banner pre,.banner button{max-width:34rem;margin:.25rem auto}
.banner button{display:block;border-color:#fff}
.banner pre{border-color:#fff8}
[hidden],.banner [hidden]{display:none}
`;
