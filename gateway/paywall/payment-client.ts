/** What the page tells its script. */
export interface PaymentPageData {
  readonly service: string;
  readonly macaroon: string;
  readonly paymentHash: string;
  /** Unix seconds. */
  readonly expiresAtSec: number;
  readonly method: string;
}

/**
 * The payment page's script. It runs in the browser: payment-page.ts writes this function's own text into the page, so
 * nothing outside its body can be used. It waits for the payment, fetches the page again with the credential, and shows
 * what comes. The credential is kept in this tab only (sessionStorage), and everything is set as text, never as HTML.
 */
export function runPaymentPage(): void {
  const WAIT_SEC = 50;
  const RETRY_MS = 3000;
  const PAUSE_MS = 300;
  const MAX_INLINE_BYTES = 1_000_000;
  const element = (id: string): HTMLElement => {
    const found = document.getElementById(id);
    if (found === null) throw new Error(`The page has no #${id}.`);
    return found;
  };
  const data: PaymentPageData = JSON.parse(element('payment').textContent ?? '');
  const key = `sluice-credential:${data.service}`;
  const say = (text: string): void => {
    element('status').textContent = text;
  };
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

  /** Storage can be switched off; then the credential lives as long as this page. */
  const remember = (authorization: string | null): void => {
    try {
      if (authorization === null) sessionStorage.removeItem(key);
      else sessionStorage.setItem(key, authorization);
    } catch {}
  };
  const remembered = (): string | null => {
    try {
      return sessionStorage.getItem(key);
    } catch {
      return null;
    }
  };

  const showText = (text: string): void => {
    const box = document.createElement('pre');
    box.textContent = text;
    element('result').append(box);
  };

  const showFile = (blob: Blob, type: string): void => {
    const url = URL.createObjectURL(blob.slice(0, blob.size, type));
    const kind = type.split('/')[0] ?? '';
    if (kind === 'image' || kind === 'audio' || kind === 'video') {
      const media = document.createElement(kind === 'image' ? 'img' : kind);
      media.setAttribute('src', url);
      if (kind === 'image') media.setAttribute('alt', 'What you paid for');
      else media.setAttribute('controls', '');
      element('result').append(media);
    }
    const link = document.createElement('a');
    link.setAttribute('href', url);
    link.setAttribute('download', decodeURIComponent(location.pathname.split('/').pop() || 'download'));
    link.setAttribute('class', 'button');
    link.textContent = 'Save file';
    element('result').append(link);
  };

  const show = async (response: Response): Promise<void> => {
    const type = (response.headers.get('content-type') ?? '').toLowerCase();
    const blob = await response.blob();
    element('pay').hidden = true;
    element('result').hidden = false;
    element('result').replaceChildren();
    const isText = /^text\/|[/+](json|xml)\b|^application\/(javascript|x-ndjson|yaml)/.test(type);
    if (isText && blob.size <= MAX_INLINE_BYTES) {
      const text = await blob.text();
      const isJson = /[/+]json\b/.test(type);
      try {
        showText(isJson ? JSON.stringify(JSON.parse(text), null, 2) : text);
      } catch {
        showText(text);
      }
    }
    // A type of our choosing: the upstream's HTML must not run as a page of its own from a blob.
    showFile(blob, /^(image\/(?!svg)|audio\/|video\/)/.test(type) ? type : 'application/octet-stream');
  };

  /** False when the credential does not open it (any more). */
  const open = async (authorization: string): Promise<boolean> => {
    const response = await fetch(location.href, {
      headers: { Authorization: authorization },
      cache: 'no-store',
    });
    if (response.status === 402) return false;
    remember(authorization);
    await show(response);
    say(response.ok ? 'Paid. Here it is.' : `Paid, but the answer is an error: ${response.status}.`);
    return true;
  };

  const deliver = async (authorization: string): Promise<void> => {
    remember(authorization);
    if (data.method !== 'GET' && data.method !== 'HEAD') {
      element('pay').hidden = true;
      element('result').hidden = false;
      say(`Paid. Send your ${data.method} again with this header:`);
      showText(`Authorization: ${authorization}`);
      return;
    }
    say('Paid. Fetching what you bought …');
    try {
      if (!(await open(authorization)))
        say('Paid, but the gateway asks for another payment. Reload the page.');
    } catch {
      say('Paid, but the answer did not arrive. Reload the page: your payment is kept in this tab.');
    }
  };

  const poll = async (): Promise<void> => {
    const url = `/.l402/invoices/${data.paymentHash}?wait=${WAIT_SEC}`;
    for (;;) {
      try {
        const response = await fetch(url, { headers: { 'L402-Macaroon': data.macaroon }, cache: 'no-store' });
        const answer = response.ok ? await response.json() : {};
        if (answer.state === 'settled') return await deliver(String(answer.authorization));
        if (answer.state === 'expired' || answer.state === 'cancelled') {
          return say('This invoice has expired. Reload the page for a new one; do not pay this one.');
        }
        if (response.status === 403 || response.status === 404) {
          return say(
            'This invoice is not known any more. Reload the page for a new one; do not pay this one.',
          );
        }
        // Also after an answer: a gateway that is stopping answers at once.
        await sleep(response.ok ? PAUSE_MS : RETRY_MS);
      } catch {
        await sleep(RETRY_MS);
      }
    }
  };

  const start = async (): Promise<void> => {
    const known = remembered();
    if (known !== null && data.method === 'GET') {
      try {
        if (await open(known)) return;
        remember(null);
      } catch {}
    }
    await poll();
  };

  for (const button of document.querySelectorAll<HTMLElement>('button[data-copy]')) {
    const source = element(button.getAttribute('data-copy') ?? '');
    button.hidden = false;
    button.addEventListener('click', () => {
      const text = source instanceof HTMLTextAreaElement ? source.value : (source.textContent ?? '');
      // Without HTTPS browsers offer no clipboard; the text stands there to be selected.
      navigator.clipboard?.writeText(text).then(() => {
        button.textContent = 'Copied';
      });
    });
  }
  element('address').textContent = `'${location.href.replace(/#.*$/, '').replaceAll("'", "'\\''")}'`;
  element('expires').textContent = new Date(data.expiresAtSec * 1000).toLocaleTimeString();
  void start();
}
