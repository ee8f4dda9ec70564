import type * as Sluice from '../../client/index.ts';

/**
 * The script of the live page. live-page.ts writes this function's own text into the page, so nothing outside its body can be used; the
 * client library comes as its argument. Everything is set as text, never as HTML.
 */
export function runLivePage(sluice: typeof Sluice): void {
  const MAX_EVENTS = 30;
  const TOP_UP = sluice.sats(20);
  const BELOW_MS = 30_000;
  const PAY_TIMEOUT_MS = 15 * 60_000;

  const element = <Kind extends HTMLElement>(id: string): Kind => {
    const found = document.getElementById(id);
    if (found === null) throw new Error(`The page has no #${id}.`);
    return found as Kind;
  };
  const start = element<HTMLButtonElement>('start');
  const stop = element<HTMLButtonElement>('stop');
  const topUp = element<HTMLButtonElement>('topup');
  const say = (text: string): void => {
    element('status').textContent = text;
  };
  const inSats = (amount: number): string => `${(Math.floor(amount / 100) / 10).toFixed(1)} sat`;

  let stream: Sluice.PaidStream | undefined;
  let balance: Sluice.Balance | undefined;
  let paid = 0;

  /** A person is the wallet: the invoice is shown, and the gateway asked until it is paid. */
  const person = sluice.createQrWallet({
    show: (invoice, amountMsat) => {
      element('amount').textContent = `Pay ${sluice.formatMsat(amountMsat)}`;
      element('command').textContent = `npx sluice pay ${invoice}`;
      element<HTMLTextAreaElement>('invoice').value = invoice;
      element('qr').setAttribute('src', `/free/qr.svg?text=LIGHTNING:${invoice.toUpperCase()}`);
      element('pay').hidden = false;
      say(stream === undefined ? 'Waiting for your payment …' : 'Running low: pay to go on without a break.');
    },
  });

  const wallet: Sluice.Wallet = {
    ...person,
    payInvoice: async (invoice, options) => {
      try {
        return await person.payInvoice(invoice, options);
      } finally {
        // Paid or expired: it must not be paid again. Stopping alone does not take it away, for then it can still be paid.
        element('pay').hidden = true;
      }
    },
  };

  const onEvent = (event: Sluice.PaymentEvent): void => {
    if (event.type === 'paid') {
      if (!event.recovered) paid += event.amountMsat + event.feeMsat;
      element('paid').textContent = inSats(paid);
      say('Paid.');
    } else if (event.type === 'topped-up') say('Topped up.');
    else if (event.type === 'reusing') say('Going on with what is left from before …');
    else if (event.type === 'top-up-failed') say(event.message);
    else if (event.type === 'notice' && event.notice === 'exhausted')
      say('The money is used up: the stream is held.');
    else if (event.type === 'notice' && event.notice === 'resumed') say('The stream goes on.');
    else if (event.type === 'reopening') say('Opening the stream again …');
  };

  const client = sluice.createPayingClient({
    wallet,
    budget: sluice.createBudget({ perRequestMsat: sluice.sats(100_000) }),
    store: sluice.createStorageTokenStore({ storage: sessionStorage }),
    payTimeoutMs: PAY_TIMEOUT_MS,
    onEvent,
  });

  /** Between two words of the gateway the balance is estimated from the pace, so that it runs down smoothly. */
  const draw = (): void => {
    if (balance === undefined) return;
    const { balanceMsat, msatPerSec = 0, atMs } = balance;
    const spent = stream === undefined ? 0 : (msatPerSec * Math.max(0, Date.now() - atMs)) / 1000;
    const left = Math.max(0, balanceMsat - spent);
    element('balance').textContent = inSats(left);
    element('rate').textContent = `${Math.round(msatPerSec)} msat/s`;
    element('lasts').textContent = msatPerSec === 0 ? '–' : `${Math.floor(left / msatPerSec)} s`;
  };

  const show = (event: Sluice.SseEvent): void => {
    const line = document.createElement('li');
    line.textContent = event.name === 'message' ? event.data : `${event.name}: ${event.data}`;
    const list = element('events');
    list.prepend(line);
    while (list.children.length > MAX_EVENTS) list.lastElementChild?.remove();
  };

  const read = async (body: ReadableStream<Uint8Array>): Promise<void> => {
    const events = new sluice.SseReader();
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const { event } of events.push(value)) if (event !== undefined) show(event);
    }
  };

  const enable = (isRunning: boolean): void => {
    start.disabled = isRunning;
    stop.disabled = !isRunning;
    topUp.disabled = !isRunning || stream === undefined;
  };

  const watch = async (stopping: AbortController): Promise<void> => {
    const autoTopUp = element<HTMLInputElement>('auto').checked
      ? { belowMs: BELOW_MS, amountMsat: TOP_UP }
      : false;
    const onBalance = (heard: Sluice.Balance): void => {
      balance = heard;
      draw();
    };
    stream = await client.stream('/live', { autoTopUp, onBalance, signal: stopping.signal });
    enable(true);
    const { response } = stream;
    if (!response.ok || response.body === null) throw new Error(`The gateway answered ${response.status}.`);
    say('Watching. You pay while this page is open, and no longer.');
    await read(response.body);
  };

  const run = async (): Promise<void> => {
    const stopping = new AbortController();
    const onStop = (): void => stopping.abort();
    stop.addEventListener('click', onStop);
    enable(true);
    say(element('pay').hidden ? 'Asking for the price …' : 'Waiting for your payment …');
    let end = 'The stream has ended.';
    try {
      await watch(stopping);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      end = stopping.signal.aborted ? 'Stopped. What is left is used when you watch again.' : message;
    }
    stop.removeEventListener('click', onStop);
    const summary = await stream?.done;
    stream = undefined;
    if (summary?.balanceMsat !== undefined) balance = { balanceMsat: summary.balanceMsat, atMs: Date.now() };
    draw();
    say(end);
    enable(false);
  };

  start.addEventListener('click', () => void run());
  topUp.addEventListener('click', () => {
    topUp.disabled = true;
    stream
      ?.topUp(TOP_UP)
      .catch((error: unknown) => say(error instanceof Error ? error.message : String(error)))
      .finally(() => {
        topUp.disabled = stream === undefined;
      });
  });
  element('copy').addEventListener('click', () => {
    // Without HTTPS browsers offer no clipboard, except on localhost; the text stands there to be selected.
    void navigator.clipboard?.writeText(element('command').textContent ?? '');
  });
  setInterval(draw, 200);
}
